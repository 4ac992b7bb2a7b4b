#include <errno.h>

#include "cgroup/v1/controllers.h"

/* Quota, period and burst hold each other within the parent's bounds: what is refused before the quota is changed may
   be fine after it. */
static int bandwidth(const struct cgroup_writer *to, const struct plan_resources *from, struct err *err) {
  int64_t period = from->cpu_period, burst = from->cpu_burst;
  bool again = from->cpu_quota != PLAN_UNSET;
  int r = cgroup_write_number(to, "cpu.cfs_period_us", period, err);
  if (r < 0 && (r != -EINVAL || !again)) {
    return r;
  }
  period = r < 0 ? period : PLAN_UNSET;
  r = cgroup_write_number(to, "cpu.cfs_burst_us", burst, err);
  if (r < 0 && (r != -EINVAL || !again)) {
    return r;
  }
  burst = r < 0 ? burst : PLAN_UNSET;
  r = cgroup_write_number(to, "cpu.cfs_quota_us", from->cpu_quota, err);
  r = r < 0 ? r : cgroup_write_number(to, "cpu.cfs_period_us", period, err);
  return r < 0 ? r : cgroup_write_number(to, "cpu.cfs_burst_us", burst, err);
}

static int realtime(const struct cgroup_writer *to, const struct plan_resources *from, struct err *err) {
  int r = cgroup_write_number(to, "cpu.rt_period_us", from->cpu_rt_period, err);
  r = r < 0 ? r : cgroup_write_number(to, "cpu.rt_runtime_us", from->cpu_rt_runtime, err);
  if (r == -ENOENT) {
    return err_set(err, ENOTSUP,
                   "linux.resources.cpu.realtimeRuntime, realtimePeriod: this kernel has no real-time "
                   "group scheduling");
  }
  return r < 0 ? err_prefix(err, "linux.resources.cpu.realtime… (the groups above need real-time runtime first)") : 0;
}

int cgroup_v1_cpu(const struct cgroup_writer *to, const struct plan_resources *from, struct err *err) {
  /* An idle group takes no shares: leaving that state comes first, entering it last. */
  int r = from->cpu_idle == 0 ? cgroup_write_number(to, "cpu.idle", 0, err) : 0;
  if (r < 0 || (r = cgroup_write_number(to, "cpu.shares", from->cpu_shares, err)) < 0 ||
      (r = bandwidth(to, from, err)) < 0 || (r = realtime(to, from, err)) < 0) {
    return r;
  }
  return from->cpu_idle == 1 ? cgroup_write_number(to, "cpu.idle", 1, err) : 0;
}
