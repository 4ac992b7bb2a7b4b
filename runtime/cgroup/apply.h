/* Which controller does what on which version, and putting limits into its files. Within cgroup/ only. */
#pragma once

#include "cgroup/cgroup.h"
#include "cgroup/write.h"

bool cgroup_is_v2_only(const struct cgroup *cgroup);

/* A limit nobody enforces is refused. */
int cgroup_check_needs(const struct cgroup *cgroup, const struct cgroup_layout *layout,
                       const struct plan_resources *resources, struct err *err);

/* The first controller of the place of which something is asked, or NULL. */
const char *cgroup_first_need(const struct cgroup *cgroup, const struct cgroup_place *place,
                              const struct plan_resources *resources);

/* Is anything asked of the place, device rules included? */
bool cgroup_has_needs(const struct cgroup *cgroup, const struct cgroup_place *place,
                      const struct plan_resources *resources);

/* Has it a controller that must be filled at every level? */
bool cgroup_has_level(const struct cgroup_place *place);

/* "hugetlb,io": what is asked of v2. */
void cgroup_v2_wanted(const struct cgroup *cgroup, const struct plan_resources *resources, char *buffer,
                      size_t capacity);

int cgroup_apply_level(const struct cgroup_place *place, int parent, int fd, struct err *err);
int cgroup_apply(const struct cgroup *cgroup, const struct cgroup_place *place, const struct cgroup_writer *to,
                 const struct plan_resources *resources, struct err *err);
