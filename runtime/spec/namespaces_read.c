#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/personality.h>

#include "spec/plan.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

/* The kernel takes no more lines in one map. */
#define MAPS_MAX 340

const char *const clock_offset_names[CLOCK_OFFSETS] = {
    [CLOCK_OFFSET_MONOTONIC] = "monotonic",
    [CLOCK_OFFSET_BOOTTIME] = "boottime",
};

static const struct {
  const char *name;
  int flag;
} kinds[] = {
    {"mount", CLONE_NEWNS}, {"pid", CLONE_NEWPID},       {"network", CLONE_NEWNET}, {"ipc", CLONE_NEWIPC},
    {"uts", CLONE_NEWUTS},  {"cgroup", CLONE_NEWCGROUP}, {"user", CLONE_NEWUSER},   {"time", CLONE_NEWTIME},
};

const char *plan_namespace_name(size_t index) {
  return index < array_length(kinds) ? kinds[index].name : NULL;
}

const struct plan_namespace *plan_namespace(const struct plan *plan, int flag) {
  for (size_t i = 0; i < plan->namespace_count; i++) {
    if (plan->namespaces[i].flag == flag) {
      return &plan->namespaces[i];
    }
  }
  return NULL;
}

static int read_namespace(struct plan *plan, const struct json *item, struct err *err) {
  struct plan_namespace *to = &plan->namespaces[plan->namespace_count];
  int r = json_need_string(item, "type", &to->name, err);
  if (r < 0 || json_string_at(item, "path", &to->path, err) < 0) {
    return -EINVAL;
  }
  if (to->path != NULL && to->path[0] == '\0') {
    to->path = NULL;
  }
  if (to->path != NULL && to->path[0] != '/') {
    return err_set(err, EINVAL, "%s.path: '%s' is not an absolute path", item->path, to->path);
  }
  for (size_t i = 0; i < array_length(kinds); i++) {
    if (strcmp(kinds[i].name, to->name) == 0) {
      to->flag = kinds[i].flag;
    }
  }
  if (to->flag == 0) {
    return err_set(err, ENOTSUP, "%s.type: namespace '%s' is not supported", item->path, to->name);
  }
  if (plan_namespace(plan, to->flag) != NULL) {
    return err_set(err, EINVAL, "%s.type: namespace '%s' is given twice", item->path, to->name);
  }
  plan->namespace_count++;
  return 0;
}

static int read_list(struct plan *plan, const struct json *linux_object, struct err *err) {
  struct json array;
  size_t count = 0;
  int r = json_array_at(linux_object, "namespaces", &array, &count, err);
  if (r < 0) {
    return r;
  }
  plan->namespaces = arena_get(&plan->arena, (count + 1) * sizeof(*plan->namespaces));
  if (plan->namespaces == NULL) {
    return err_oom(err);
  }
  for (size_t i = 0; i < count; i++) {
    struct json item;
    json_item(&array, i, &item);
    r = read_namespace(plan, &item, err);
    if (r < 0) {
      return r;
    }
  }
  if (plan_namespace(plan, CLONE_NEWNS) == NULL) {
    return err_set(err, ENOTSUP, "linux.namespaces: a mount namespace is needed");
  }
  return 0;
}

static bool overlap(uint32_t a, uint32_t a_count, uint32_t b, uint32_t b_count) {
  return a < (uint64_t)b + b_count && b < (uint64_t)a + a_count;
}

static int read_id_map(const struct json *item, struct plan_id_map *map, struct err *err) {
  long long inside = 0, outside = 0, count = 0;
  if (json_need_long(item, "containerID", 0, UINT32_MAX - 1, &inside, err) < 0 ||
      json_need_long(item, "hostID", 0, UINT32_MAX - 1, &outside, err) < 0 ||
      json_need_long(item, "size", 1, UINT32_MAX, &count, err) < 0) {
    return -EINVAL;
  }
  /* The last number means "no id" to the kernel. */
  if (inside + count > UINT32_MAX || outside + count > UINT32_MAX) {
    return err_set(err, EINVAL, "%s: ends above the largest id", item->path);
  }
  *map = (struct plan_id_map){(uint32_t)inside, (uint32_t)outside, (uint32_t)count};
  return 0;
}

int plan_read_id_maps(struct arena *arena, const struct json *parent, const char *key, struct plan_id_maps *ret_maps,
                      struct err *err) {
  struct json array;
  size_t count = 0;
  int r = json_array_at(parent, key, &array, &count, err);
  if (r <= 0 || count == 0) {
    return r < 0 ? r : 0;
  }
  if (count > MAPS_MAX) {
    return err_set(err, E2BIG, "%s: %zu ranges, the kernel takes %d", array.path, count, MAPS_MAX);
  }
  struct plan_id_map *items = arena_get(arena, count * sizeof(*items));
  if (items == NULL) {
    return err_oom(err);
  }
  for (size_t i = 0; i < count; i++) {
    struct json item;
    json_item(&array, i, &item);
    r = read_id_map(&item, &items[i], err);
    if (r < 0) {
      return r;
    }
    for (size_t before = 0; before < i; before++) {
      if (overlap(items[i].inside, items[i].count, items[before].inside, items[before].count) ||
          overlap(items[i].outside, items[i].count, items[before].outside, items[before].count)) {
        return err_set(err, EINVAL, "%s: overlaps range %zu", item.path, before);
      }
    }
  }
  *ret_maps = (struct plan_id_maps){items, count};
  return 0;
}

bool plan_id_maps_equal(const struct plan_id_maps *a, const struct plan_id_maps *b) {
  return a->count == b->count && (a->count == 0 || memcmp(a->items, b->items, a->count * sizeof(*a->items)) == 0);
}

bool plan_id_map_outside(const struct plan_id_maps *maps, uint32_t inside, uint32_t *ret_outside) {
  for (size_t i = 0; i < maps->count; i++) {
    const struct plan_id_map *map = &maps->items[i];
    if (inside >= map->inside && inside - map->inside < map->count) {
      *ret_outside = map->outside + (inside - map->inside);
      return true;
    }
  }
  return false;
}

static int read_user_namespace(struct plan *plan, const struct json *linux_object, struct err *err) {
  if (plan_read_id_maps(&plan->arena, linux_object, "uidMappings", &plan->uid_maps, err) < 0 ||
      plan_read_id_maps(&plan->arena, linux_object, "gidMappings", &plan->gid_maps, err) < 0) {
    return -EINVAL;
  }
  const struct plan_namespace *user = plan_namespace(plan, CLONE_NEWUSER);
  if (user == NULL && (plan->uid_maps.count > 0 || plan->gid_maps.count > 0)) {
    return err_set(err, EINVAL, "linux.uidMappings, linux.gidMappings: linux.namespaces has no user namespace");
  }
  if (user != NULL && user->path == NULL && (plan->uid_maps.count == 0 || plan->gid_maps.count == 0)) {
    return err_set(err, EINVAL, "linux.%s: a new user namespace needs it",
                   plan->uid_maps.count == 0 ? "uidMappings" : "gidMappings");
  }
  return 0;
}

static int read_time_offsets(struct plan *plan, const struct json *linux_object, struct err *err) {
  struct json offsets, clock;
  const char *name = NULL;
  int r = json_object_at(linux_object, "timeOffsets", &offsets, err);
  if (r <= 0) {
    return r;
  }
  bool any = false;
  for (size_t at = 0; json_next(&offsets, &at, &name, &clock); any = true) {
    size_t i = 0;
    while (i < CLOCK_OFFSETS && strcmp(clock_offset_names[i], name) != 0) {
      i++;
    }
    if (i == CLOCK_OFFSETS) {
      return err_set(err, EINVAL, "%s: a time namespace has monotonic and boottime", clock.path);
    }
    long long seconds = 0, nanoseconds = 0;
    if (json_long_at(&clock, "secs", -INT64_C(9000000000), INT64_C(9000000000), &seconds, err) < 0 ||
        json_long_at(&clock, "nanosecs", 0, 999999999, &nanoseconds, err) < 0) {
      return -EINVAL;
    }
    plan->time_offsets[i] = (struct plan_time_offset){true, seconds, (uint32_t)nanoseconds};
  }
  const struct plan_namespace *time = plan_namespace(plan, CLONE_NEWTIME);
  if (any && (time == NULL || time->path != NULL)) {
    return err_set(err, EINVAL, "%s: needs a new time namespace in linux.namespaces", offsets.path);
  }
  return 0;
}

static int read_personality(struct plan *plan, const struct json *linux_object, struct err *err) {
  struct json object, flags;
  const char *domain = NULL;
  size_t count = 0;
  plan->personality = PLAN_UNSET;
  int r = json_object_at(linux_object, "personality", &object, err);
  if (r <= 0) {
    return r;
  }
  if (json_need_string(&object, "domain", &domain, err) < 0 ||
      json_array_at(&object, "flags", &flags, &count, err) < 0) {
    return -EINVAL;
  }
  if (count > 0) {
    return err_set(err, ENOTSUP, "%s: none is defined", flags.path);
  }
  if (strcmp(domain, "LINUX") != 0 && strcmp(domain, "LINUX32") != 0) {
    return err_set(err, EINVAL, "%s.domain: expected LINUX or LINUX32, got '%s'", object.path, domain);
  }
  plan->personality = domain[5] == '\0' ? PER_LINUX : PER_LINUX32;
  return 0;
}

int plan_read_namespaces(struct plan *plan, const struct json *linux_object, struct err *err) {
  int r = read_list(plan, linux_object, err);
  r = r < 0 ? r : read_user_namespace(plan, linux_object, err);
  r = r < 0 ? r : read_time_offsets(plan, linux_object, err);
  return r < 0 ? r : read_personality(plan, linux_object, err);
}

int plan_check_ids(const struct plan *plan, struct err *err) {
  const struct plan_process *process = &plan->process;
  uint32_t outside;
  if (plan->uid_maps.count > 0 && !plan_id_map_outside(&plan->uid_maps, process->uid, &outside)) {
    return err_set(err, EINVAL, "process.user.uid: %u is not in linux.uidMappings", process->uid);
  }
  if (plan->gid_maps.count > 0 && !plan_id_map_outside(&plan->gid_maps, process->gid, &outside)) {
    return err_set(err, EINVAL, "process.user.gid: %u is not in linux.gidMappings", process->gid);
  }
  for (size_t i = 0; plan->gid_maps.count > 0 && i < process->group_count; i++) {
    if (!plan_id_map_outside(&plan->gid_maps, process->groups[i], &outside)) {
      return err_set(err, EINVAL, "process.user.additionalGids: %u is not in linux.gidMappings", process->groups[i]);
    }
  }
  return 0;
}
