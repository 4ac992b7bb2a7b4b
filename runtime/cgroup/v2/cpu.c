#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cgroup/v2/controllers.h"

/* A curve through (2, 1), (1024, 100) and (262144, 10000), as the other runtimes draw it: the default of one version is
   the default of the other. */
int64_t cgroup_v2_weight(int64_t shares) {
  if (shares <= 2) {
    return 1;
  }
  if (shares >= 262144) {
    return 10000;
  }
  double l = log2((double)shares);
  return (int64_t)ceil(pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0));
}

/* Quota and period are one file; what is not given stays. */
static int bandwidth(const struct cgroup_writer *to, const struct plan_resources *from, struct err *err) {
  char quota[64], text[128];
  if (from->cpu_quota == PLAN_UNSET && from->cpu_period == PLAN_UNSET) {
    return 0;
  }
  int r = file_read_line(to->fd, "cpu.max", quota, sizeof(quota), err);
  if (r < 0) {
    return r;
  }
  quota[strcspn(quota, " ")] = '\0';
  if (from->cpu_quota != PLAN_UNSET) {
    snprintf(quota, sizeof(quota), from->cpu_quota > 0 ? "%lld" : "max", (long long)from->cpu_quota);
  }
  if (from->cpu_period == PLAN_UNSET) {
    return cgroup_write(to, "cpu.max", quota, err);
  }
  snprintf(text, sizeof(text), "%s %lld", quota, (long long)from->cpu_period);
  return cgroup_write(to, "cpu.max", text, err);
}

int cgroup_v2_cpu(const struct cgroup_writer *to, const struct plan_resources *from, struct err *err) {
  if (from->cpu_rt_runtime != PLAN_UNSET || from->cpu_rt_period != PLAN_UNSET) {
    return err_set(err, ENOTSUP,
                   "linux.resources.cpu.%s: this host's controllers are on cgroup v2, which has no such setting",
                   from->cpu_rt_runtime != PLAN_UNSET ? "realtimeRuntime" : "realtimePeriod");
  }
  /* An idle group takes no weight: leaving that state comes first, entering it last. */
  int r = from->cpu_idle == 0 ? cgroup_write_number(to, "cpu.idle", 0, err) : 0;
  if (r == 0 && from->cpu_shares != PLAN_UNSET) {
    r = cgroup_write_number(to, "cpu.weight", cgroup_v2_weight(from->cpu_shares), err);
  }
  /* A burst above the quota is refused, so a smaller one comes before a smaller quota and a larger one after. */
  bool burst_first = from->cpu_burst != PLAN_UNSET && from->cpu_burst < cgroup_read_number(to->fd, "cpu.max.burst");
  r = r < 0 || !burst_first ? r : cgroup_write_number(to, "cpu.max.burst", from->cpu_burst, err);
  r = r < 0 ? r : bandwidth(to, from, err);
  r = r < 0 || burst_first ? r : cgroup_write_number(to, "cpu.max.burst", from->cpu_burst, err);
  return r < 0 || from->cpu_idle != 1 ? r : cgroup_write_number(to, "cpu.idle", 1, err);
}
