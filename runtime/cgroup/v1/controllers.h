/* Controllers of cgroup v1, each with the files it writes. */
#pragma once

#include "cgroup/write.h"
#include "spec/plan.h"

struct cgroup_controller {
  const char *name;
  /* On the way down to the new group, for every level made (cpuset must be filled before a process may enter). */
  int (*level)(int parent_fd, int fd, struct err *err);
  int (*apply)(const struct cgroup_writer *to, const struct plan_resources *resources, struct err *err);
};

/* NULL: a hierarchy we only enter. */
const struct cgroup_controller *cgroup_v1_controller(const char *name);

int cgroup_v1_memory(const struct cgroup_writer *to, const struct plan_resources *resources, struct err *err);
int cgroup_v1_cpu(const struct cgroup_writer *to, const struct plan_resources *resources, struct err *err);
int cgroup_v1_blkio(const struct cgroup_writer *to, const struct plan_resources *resources, struct err *err);
int cgroup_v1_devices(const struct cgroup_writer *to, const struct plan_resources *resources, struct err *err);

/* The same files on both versions. */
int cgroup_cpuset_apply(const struct cgroup_writer *to, const struct plan_resources *resources, struct err *err);
int cgroup_pids_apply(const struct cgroup_writer *to, const struct plan_resources *resources, struct err *err);
int cgroup_rdma_apply(const struct cgroup_writer *to, const struct plan_resources *resources, struct err *err);
