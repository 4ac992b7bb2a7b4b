/* Controllers of cgroup v2, each with the files it writes. */
#pragma once

#include "cgroup/write.h"
#include "spec/plan.h"

struct cgroup_v2_controller {
  const char *name;
  int (*apply)(const struct cgroup_writer *to, const struct plan_resources *resources, struct err *err);
};

/* By index; NULL at the end. Device rules and the unified map are not among them. */
const struct cgroup_v2_controller *cgroup_v2_controller(size_t index);

int cgroup_v2_memory(const struct cgroup_writer *to, const struct plan_resources *resources, struct err *err);
int cgroup_v2_cpu(const struct cgroup_writer *to, const struct plan_resources *resources, struct err *err);
int cgroup_v2_io(const struct cgroup_writer *to, const struct plan_resources *resources, struct err *err);
int cgroup_v2_unified(const struct cgroup_writer *to, const struct plan_resources *resources, struct err *err);

/* cpu.weight for v1's cpu.shares. Pure. */
int64_t cgroup_v2_weight(int64_t shares);

/* Passes controllers on to the groups below `fd`: every one it has, or only those of the list "cpu,io". */
void cgroup_v2_delegate(int fd, const char *only);
