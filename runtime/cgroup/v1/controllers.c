#include "cgroup/v1/controllers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

/* A v1 cpuset starts empty and takes no process until it is filled: the parent's is passed on. */
static int cpuset_level(int parent_fd, int fd, struct err *err) {
  static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
  for (size_t i = 0; i < array_length(files); i++) {
    char text[4096];
    int r = file_read_line(fd, files[i], text, sizeof(text), err);
    if (r == 0 && text[0] == '\0') {
      r = file_read_line(parent_fd, files[i], text, sizeof(text), err);
      if (r == 0 && text[0] == '\0') {
        return err_set(err, ENODATA, "the cpuset above has no %s", files[i]);
      }
      r = r < 0 ? r : file_write_existing(fd, files[i], text, err);
    }
    if (r < 0) {
      return r;
    }
  }
  return 0;
}

int cgroup_cpuset_apply(const struct cgroup_writer *to, const struct plan_resources *from, struct err *err) {
  int r = from->cpuset_cpus == NULL || from->cpuset_cpus[0] == '\0'
              ? 0
              : cgroup_write(to, "cpuset.cpus", from->cpuset_cpus, err);
  if (r == 0 && from->cpuset_mems != NULL && from->cpuset_mems[0] != '\0') {
    r = cgroup_write(to, "cpuset.mems", from->cpuset_mems, err);
  }
  return r;
}

int cgroup_pids_apply(const struct cgroup_writer *to, const struct plan_resources *from, struct err *err) {
  return cgroup_write_max(to, "pids.max", from->pids_limit, err);
}

static int hugetlb_apply(const struct cgroup_writer *to, const struct plan_resources *from, struct err *err) {
  int r = 0;
  for (size_t i = 0; r == 0 && i < from->hugepage_count; i++) {
    const struct plan_hugepage_limit *limit = &from->hugepages[i];
    char file[64];
    snprintf(file, sizeof(file), "hugetlb.%.20s.limit_in_bytes", limit->page_size);
    r = cgroup_write_number(to, file, limit->limit > INT64_MAX ? -1 : (int64_t)limit->limit, err);
    if (r == 0) {
      /* Reservations are counted apart since 5.7; an older kernel counts only use. */
      snprintf(file, sizeof(file), "hugetlb.%.20s.rsvd.limit_in_bytes", limit->page_size);
      r = cgroup_write_number(to, file, limit->limit > INT64_MAX ? -1 : (int64_t)limit->limit, err);
      r = r == -ENOENT ? 0 : r;
    }
  }
  return r;
}

int cgroup_rdma_apply(const struct cgroup_writer *to, const struct plan_resources *from, struct err *err) {
  int r = 0;
  for (size_t i = 0; r == 0 && i < from->rdma_count; i++) {
    const struct plan_rdma_limit *limit = &from->rdma[i];
    char text[160], none[120];
    int n = snprintf(text, sizeof(text), "%s", limit->device);
    if (limit->handles != PLAN_UNSET) {
      n += snprintf(text + n, sizeof(text) - (size_t)n, " hca_handle=%lld", (long long)limit->handles);
    }
    if (limit->objects != PLAN_UNSET) {
      snprintf(text + n, sizeof(text) - (size_t)n, " hca_object=%lld", (long long)limit->objects);
    }
    snprintf(none, sizeof(none), "%s hca_handle=max hca_object=max", limit->device);
    r = cgroup_write_keyed(to, "rdma.max", limit->device, text, none, err);
    r = r < 0 ? err_prefix(err, "linux.resources.rdma.%s", limit->device) : 0;
  }
  return r;
}

static int net_class_apply(const struct cgroup_writer *to, const struct plan_resources *from, struct err *err) {
  return cgroup_write_number(to, "net_cls.classid", from->net_class, err);
}

static int net_priority_apply(const struct cgroup_writer *to, const struct plan_resources *from, struct err *err) {
  int r = 0;
  for (size_t i = 0; r == 0 && i < from->net_priority_count; i++) {
    const struct plan_net_priority *priority = &from->net_priorities[i];
    char text[100], none[80];
    snprintf(text, sizeof(text), "%s %lld", priority->interface, (long long)priority->priority);
    snprintf(none, sizeof(none), "%s 0", priority->interface);
    r = cgroup_write_keyed(to, "net_prio.ifpriomap", priority->interface, text, none, err);
    r = r < 0 ? err_prefix(err, "linux.resources.network.priorities: interface %s", priority->interface) : 0;
  }
  return r;
}

static const struct cgroup_controller controllers[] = {
    {"cpuset", cpuset_level, cgroup_cpuset_apply},
    {"memory", NULL, cgroup_v1_memory},
    {"cpu", NULL, cgroup_v1_cpu},
    {"pids", NULL, cgroup_pids_apply},
    {"devices", NULL, cgroup_v1_devices},
    {"blkio", NULL, cgroup_v1_blkio},
    {"hugetlb", NULL, hugetlb_apply},
    {"rdma", NULL, cgroup_rdma_apply},
    {"net_cls", NULL, net_class_apply},
    {"net_prio", NULL, net_priority_apply},
};

const struct cgroup_controller *cgroup_v1_controller(const char *name) {
  for (size_t i = 0; i < array_length(controllers); i++) {
    if (strcmp(controllers[i].name, name) == 0) {
      return &controllers[i];
    }
  }
  return NULL;
}
