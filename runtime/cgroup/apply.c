#include "cgroup/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "cgroup/v1/controllers.h"
#include "cgroup/v2/controllers.h"
#include "cgroup/v2/devices.h"

struct need {
  const char *v1, *v2; /* the controller's name on each version; NULL: not there */
  bool asked;
};

#define NEEDS 11

static bool is_set(int64_t value) {
  return value != PLAN_UNSET;
}

static bool is_text(const char *value) {
  return value != NULL && value[0] != '\0';
}

/* Numbers below zero say "no limit": nothing to enforce. */
static void list_needs(const struct plan_resources *of, struct need needs[NEEDS]) {
  const struct need list[NEEDS] = {
      {"memory", "memory",
       of->memory_limit > 0 || of->memory_swap > 0 || of->memory_reservation > 0 || is_set(of->memory_swappiness) ||
           of->memory_kernel_tcp > 0 || of->oom_kill_disable == 1},
      {"cpu", "cpu",
       of->cpu_quota > 0 || is_set(of->cpu_shares) || is_set(of->cpu_period) || is_set(of->cpu_burst) ||
           is_set(of->cpu_idle) || is_set(of->cpu_rt_runtime) || is_set(of->cpu_rt_period)},
      {"pids", "pids", of->pids_limit > 0},
      {"devices", NULL, of->device_count > 0},
      {"cpuset", "cpuset", is_text(of->cpuset_cpus) || is_text(of->cpuset_mems)},
      {"blkio", "io",
       is_set(of->block_weight) || is_set(of->block_leaf_weight) || of->block_weight_count > 0 ||
           of->block_limit_count > 0},
      {"hugetlb", "hugetlb", of->hugepage_count > 0},
      {"rdma", "rdma", of->rdma_count > 0},
      {"net_cls", NULL, is_set(of->net_class)},
      {"net_prio", NULL, of->net_priority_count > 0},
      {NULL, "unified", of->unified_count > 0},
  };
  memcpy(needs, list, sizeof(list));
}

static const struct cgroup_place *v1_place_of(const struct cgroup *cgroup, const char *controller) {
  for (size_t i = 0; i < cgroup->count; i++) {
    if (!cgroup->places[i].v2 && cgroup_place_has(&cgroup->places[i], controller)) {
      return &cgroup->places[i];
    }
  }
  return NULL;
}

bool cgroup_is_v2_only(const struct cgroup *cgroup) {
  for (size_t i = 0; i < cgroup->count; i++) {
    if (!cgroup->places[i].v2 && !str_starts(cgroup->places[i].controllers, "name=")) {
      return false;
    }
  }
  return true;
}

/* Beside v1: a controller that no v1 hierarchy has taken may still be on the v2 tree. */
static bool v2_root_has(const struct cgroup_layout *layout, const char *controller) {
  for (size_t i = 0; i < layout->count; i++) {
    char words[512];
    cleanup_close int fd =
        layout->items[i].v2 ? open(layout->items[i].mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0 && file_read_line(fd, "cgroup.controllers", words, sizeof(words), NULL) == 0) {
      char *rest = NULL;
      for (char *word = strtok_r(words, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        if (strcmp(word, controller) == 0) {
          return true;
        }
      }
    }
  }
  return false;
}

int cgroup_check_needs(const struct cgroup *cgroup, const struct cgroup_layout *layout,
                       const struct plan_resources *resources, struct err *err) {
  struct need needs[NEEDS];
  bool v2_only = cgroup_is_v2_only(cgroup), has_v2 = false;
  for (size_t i = 0; i < cgroup->count; i++) {
    has_v2 = has_v2 || cgroup->places[i].v2;
  }
  list_needs(resources, needs);
  for (size_t i = 0; i < NEEDS; i++) {
    const struct need *need = &needs[i];
    if (!need->asked || (need->v1 != NULL && v1_place_of(cgroup, need->v1) != NULL)) {
      continue;
    }
    if (need->v1 == NULL) {
      if (!v2_only) {
        return err_set(err, ENOTSUP, "linux.resources.unified: this host's controllers are on cgroup v1");
      }
    } else if (strcmp(need->v1, "devices") == 0 && has_v2) {
      continue;
    } else if (need->v2 == NULL) {
      return err_set(err, ENOTSUP, "linux.resources: this host has no %s cgroup controller%s", need->v1,
                     v2_only ? ": it exists on cgroup v1 only" : " mounted");
    } else if (!v2_only && !v2_root_has(layout, need->v2)) {
      return err_set(err, ENOTSUP, "linux.resources: this host has no %s cgroup controller", need->v1);
    }
  }
  return 0;
}

static bool serves(const struct cgroup *cgroup, const struct cgroup_place *place, const struct need *need) {
  bool on_v1 = need->v1 != NULL && v1_place_of(cgroup, need->v1) != NULL;
  return place->v2 ? !on_v1 : on_v1 && cgroup_place_has(place, need->v1);
}

const char *cgroup_first_need(const struct cgroup *cgroup, const struct cgroup_place *place,
                              const struct plan_resources *resources) {
  struct need needs[NEEDS];
  list_needs(resources, needs);
  for (size_t i = 0; i < NEEDS; i++) {
    /* Without rights over the host's devices the rules protect nothing that file permissions do not. */
    bool devices = needs[i].v1 != NULL && strcmp(needs[i].v1, "devices") == 0;
    if (needs[i].asked && !devices && serves(cgroup, place, &needs[i])) {
      return place->v2 ? needs[i].v2 : needs[i].v1;
    }
  }
  return NULL;
}

bool cgroup_has_needs(const struct cgroup *cgroup, const struct cgroup_place *place,
                      const struct plan_resources *resources) {
  struct need needs[NEEDS];
  list_needs(resources, needs);
  for (size_t i = 0; i < NEEDS; i++) {
    if (needs[i].asked && serves(cgroup, place, &needs[i])) {
      return true;
    }
  }
  /* What is only warned about. */
  return cgroup_place_has(place, "memory") && (is_set(resources->memory_kernel) || resources->memory_hierarchical == 0);
}

bool cgroup_has_level(const struct cgroup_place *place) {
  return !place->v2 && cgroup_place_has(place, "cpuset");
}

void cgroup_v2_wanted(const struct cgroup *cgroup, const struct plan_resources *resources, char *buffer,
                      size_t capacity) {
  struct need needs[NEEDS];
  size_t size = 0;
  list_needs(resources, needs);
  buffer[0] = '\0';
  for (size_t i = 0; i < NEEDS; i++) {
    if (needs[i].asked && needs[i].v1 != NULL && needs[i].v2 != NULL && v1_place_of(cgroup, needs[i].v1) == NULL &&
        size < capacity) {
      int n = snprintf(buffer + size, capacity - size, "%s%s", size > 0 ? "," : "", needs[i].v2);
      size += n > 0 ? (size_t)n : 0;
    }
  }
}

/* First controller of a "cpu,cpuacct" list into `name`; moves on. */
static bool next_controller(const char **at, char *name, size_t capacity) {
  if (**at == '\0') {
    return false;
  }
  size_t length = strcspn(*at, ",");
  snprintf(name, capacity, "%.*s", (int)length, *at);
  *at += length + ((*at)[length] == ',');
  return true;
}

int cgroup_apply_level(const struct cgroup_place *place, int parent, int fd, struct err *err) {
  const char *at = place->controllers;
  char name[64];
  while (next_controller(&at, name, sizeof(name))) {
    const struct cgroup_controller *controller = cgroup_v1_controller(name);
    int r = controller == NULL || controller->level == NULL ? 0 : controller->level(parent, fd, err);
    if (r < 0) {
      return r;
    }
  }
  return 0;
}

static int apply_devices(const struct cgroup_writer *to, const struct plan_resources *resources, struct err *err) {
  int r = cgroup_v2_devices_apply(to->fd, resources, err);
  if (r == -EPERM && cgroup_user_is_confined()) {
    log_debug("device rules are not applied: this user may load no device program, and may make no device nodes");
    return 0;
  }
  return r;
}

static int apply_v2(const struct cgroup *cgroup, const struct cgroup_writer *to, const struct plan_resources *resources,
                    struct err *err) {
  const struct cgroup_v2_controller *controller;
  int r = 0;
  for (size_t i = 0; r == 0 && (controller = cgroup_v2_controller(i)) != NULL; i++) {
    const char *v1_name = strcmp(controller->name, "io") == 0 ? "blkio" : controller->name;
    if (v1_place_of(cgroup, v1_name) == NULL) {
      r = controller->apply(to, resources, err);
    }
  }
  if (r == -ENOENT) {
    return err_prefix(err, "this group does not have this controller (a group above it that has processes, or is not "
                           "ours, cannot pass it on)");
  }
  r = r < 0 || !cgroup_is_v2_only(cgroup) ? r : cgroup_v2_unified(to, resources, err);
  return r < 0 || v1_place_of(cgroup, "devices") != NULL ? r : apply_devices(to, resources, err);
}

int cgroup_apply(const struct cgroup *cgroup, const struct cgroup_place *place, const struct cgroup_writer *to,
                 const struct plan_resources *resources, struct err *err) {
  int r = 0;
  if (place->v2) {
    r = apply_v2(cgroup, to, resources, err);
  }
  const char *at = place->controllers;
  char name[64];
  while (r == 0 && next_controller(&at, name, sizeof(name))) {
    const struct cgroup_controller *controller = cgroup_v1_controller(name);
    r = controller == NULL ? 0 : controller->apply(to, resources, err);
  }
  return r < 0 ? err_prefix(err, "cgroup %s", place->directory) : 0;
}
