#include <errno.h>

#include "base/log.h"
#include "cgroup/v2/controllers.h"

/* What only v1 can do is refused, not forgotten. */
static int refuse_v1(const struct plan_resources *from, struct err *err) {
  const char *name = from->oom_kill_disable == 1             ? "disableOOMKiller"
                     : from->memory_swappiness != PLAN_UNSET ? "swappiness"
                     : from->memory_kernel_tcp != PLAN_UNSET ? "kernelTCP"
                                                             : NULL;
  if (name != NULL) {
    return err_set(err, ENOTSUP,
                   "linux.resources.memory.%s: this host's controllers are on cgroup v2, which has no such setting",
                   name);
  }
  if (from->memory_kernel != PLAN_UNSET) {
    log_warn("linux.resources.memory.kernel is not applied: cgroup v2 has no such limit; the memory limit counts "
             "kernel memory too");
  }
  if (from->memory_hierarchical == 0) {
    log_warn("linux.resources.memory.useHierarchy false is not applied: accounting is always hierarchical");
  }
  return 0;
}

static int check_usage(int fd, const struct plan_resources *from, struct err *err) {
  int64_t used = from->memory_check ? cgroup_read_number(fd, "memory.current") : PLAN_UNSET;
  if (from->memory_limit > 0 && used > from->memory_limit) {
    return err_set(err, EBUSY, "linux.resources.memory.limit: %lld bytes are in use, more than the new limit of %lld",
                   (long long)used, (long long)from->memory_limit);
  }
  return 0;
}

/* The specification counts memory and swap together, v2 counts swap alone. */
static int swap_alone(int fd, const struct plan_resources *from, int64_t *ret_swap, struct err *err) {
  int64_t limit = from->memory_limit, swap = from->memory_swap;
  if (swap == PLAN_UNSET || swap < 0) {
    *ret_swap = swap == PLAN_UNSET && limit != PLAN_UNSET && limit < 0 ? -1 : swap;
    return 0;
  }
  limit = limit == PLAN_UNSET ? cgroup_read_number(fd, "memory.max") : limit;
  if (limit == PLAN_UNSET || limit < 0) {
    return err_set(err, EINVAL, "linux.resources.memory.swap: needs a memory limit");
  }
  if (swap < limit) {
    return err_set(err, EINVAL, "linux.resources.memory.swap: %lld is below the memory limit of %lld", (long long)swap,
                   (long long)limit);
  }
  *ret_swap = swap - limit;
  return 0;
}

int cgroup_v2_memory(const struct cgroup_writer *to, const struct plan_resources *from, struct err *err) {
  int64_t swap = PLAN_UNSET;
  int r;
  if ((r = refuse_v1(from, err)) < 0 || (r = check_usage(to->fd, from, err)) < 0 ||
      (r = swap_alone(to->fd, from, &swap, err)) < 0 ||
      (r = cgroup_write_max(to, "memory.max", from->memory_limit, err)) < 0 ||
      (r = cgroup_write_max(to, "memory.low", from->memory_reservation, err)) < 0) {
    return r;
  }
  r = cgroup_write_max(to, "memory.swap.max", swap, err);
  if (r == -ENOENT) {
    if (swap > 0) {
      log_warn("linux.resources.memory.swap is not applied: this kernel does not account swap per cgroup");
    }
    return 0;
  }
  return r;
}
