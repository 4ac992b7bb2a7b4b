#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "cgroup/v1/controllers.h"

#define LIMIT "memory.limit_in_bytes"
#define SWAP "memory.memsw.limit_in_bytes"

static int write_limit(const struct cgroup_writer *to, int64_t limit, struct err *err) {
  int r = cgroup_write_number(to, LIMIT, limit, err);
  if (r == -EBUSY) {
    return err_set(err, EBUSY, "cannot set " LIMIT " to %lld: %lld bytes are in use and cannot be reclaimed",
                   (long long)limit, (long long)cgroup_read_number(to->fd, "memory.usage_in_bytes"));
  }
  return r;
}

static int write_swap(const struct cgroup_writer *to, int64_t swap, struct err *err) {
  int r = cgroup_write_number(to, SWAP, swap, err);
  if (r == -ENOENT) {
    if (swap >= 0) {
      log_warn("linux.resources.memory.swap is not applied: this kernel does not account swap per cgroup");
    }
    return 0;
  }
  return r;
}

/* The kernel keeps limit ≤ memory and swap at every moment: which of both comes first depends on the direction. */
static int write_both(const struct cgroup_writer *to, const struct plan_resources *from, struct err *err) {
  int64_t limit = from->memory_limit, swap = from->memory_swap;
  if (limit != PLAN_UNSET && limit < 0 && swap == PLAN_UNSET) {
    swap = -1;
  }
  bool both = limit != PLAN_UNSET && swap != PLAN_UNSET;
  bool swap_first = both && (swap < 0 || swap > cgroup_read_number(to->fd, SWAP));
  int r = swap_first ? write_swap(to, swap, err) : write_limit(to, limit, err);
  if (r < 0) {
    return r;
  }
  return swap_first ? write_limit(to, limit, err) : write_swap(to, swap, err);
}

static int check_usage(int fd, const struct plan_resources *from, struct err *err) {
  int64_t used = from->memory_check ? cgroup_read_number(fd, "memory.usage_in_bytes") : PLAN_UNSET;
  if (from->memory_limit > 0 && used > from->memory_limit) {
    return err_set(err, EBUSY, "linux.resources.memory.limit: %lld bytes are in use, more than the new limit of %lld",
                   (long long)used, (long long)from->memory_limit);
  }
  return 0;
}

/* memory.oom_control reads as several lines and is written as one number: the first line is what can be set back. */
static int write_oom_control(const struct cgroup_writer *to, int64_t disable, struct err *err) {
  if (disable == PLAN_UNSET || (disable == 0 && to->journal == NULL)) {
    return 0;
  }
  char before[64];
  int r = file_read_line(to->fd, "memory.oom_control", before, sizeof(before), err);
  if (r < 0 || (strcmp(before, "oom_kill_disable 1") == 0) == (disable == 1)) {
    return r;
  }
  r = cgroup_write(to, "memory.oom_control", disable == 1 ? "1" : "0", err);
  if (r == 0 && to->journal != NULL) {
    strcpy(to->journal->items[to->journal->count - 1].before, disable == 1 ? "0" : "1");
  }
  return r;
}

int cgroup_v1_memory(const struct cgroup_writer *to, const struct plan_resources *from, struct err *err) {
  if (from->memory_kernel != PLAN_UNSET) {
    log_warn("linux.resources.memory.kernel is not applied: kernels since 5.16 have no such limit; the memory limit "
             "counts kernel memory too");
  }
  if (from->memory_hierarchical == 0) {
    log_warn("linux.resources.memory.useHierarchy false is not applied: accounting is always hierarchical");
  }
  int r = check_usage(to->fd, from, err);
  if (r < 0 || (r = write_both(to, from, err)) < 0 ||
      (r = cgroup_write_number(to, "memory.soft_limit_in_bytes", from->memory_reservation, err)) < 0 ||
      (r = cgroup_write_number(to, "memory.kmem.tcp.limit_in_bytes", from->memory_kernel_tcp, err)) < 0 ||
      (r = cgroup_write_number(to, "memory.swappiness", from->memory_swappiness, err)) < 0) {
    return r;
  }
  return write_oom_control(to, from->oom_kill_disable, err);
}
