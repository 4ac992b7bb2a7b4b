#include "container/attributes.h"

#include <errno.h>
#include <sys/resource.h>

#include "sys/syscalls.h"

#define POLICY_FIFO 1
#define POLICY_RR 2

static int set_limits(pid_t pid, const struct plan_process *process, struct err *err) {
  for (size_t i = 0; i < process->rlimit_count; i++) {
    const struct plan_rlimit *limit = &process->rlimits[i];
    if (prlimit(pid, (__rlimit_resource_t)limit->resource, &limit->limit, NULL) < 0) {
      struct rlimit now = {0, 0};
      int code = errno;
      (void)getrlimit((__rlimit_resource_t)limit->resource, &now);
      return err_code(err, code, "set limits: cannot set %s to soft %llu, hard %llu (this host's hard limit is %llu)",
                      limit->name, (unsigned long long)limit->limit.rlim_cur, (unsigned long long)limit->limit.rlim_max,
                      (unsigned long long)now.rlim_max);
    }
  }
  return 0;
}

int attributes_apply(pid_t pid, const struct plan_process *process, bool limits, struct err *err) {
  int r = limits ? set_limits(pid, process, err) : 0;
  if (r < 0) {
    return r;
  }
  if (process->scheduler.given) {
    const struct plan_scheduler *from = &process->scheduler;
    const struct sys_sched_attributes attributes = {
        .size = sizeof(attributes),
        .policy = from->policy,
        .flags = from->flags,
        .nice = from->nice,
        .priority = from->priority,
        .runtime = from->runtime,
        .deadline = from->deadline,
        .period = from->period,
    };
    if (sys_sched_setattr(pid, &attributes) < 0) {
      bool budget = errno == EPERM && (from->policy == POLICY_FIFO || from->policy == POLICY_RR);
      return err_errno(err, "cannot set process.scheduler%s",
                       budget ? " (where cpu.rt_runtime_us exists, the cgroup needs resources.cpu.realtimeRuntime)"
                              : "");
    }
  }
  if (process->io_priority >= 0 && sys_ioprio_set(pid, process->io_priority) < 0) {
    return err_errno(err, "cannot set process.ioPriority");
  }
  return 0;
}

int attributes_set_cpus(pid_t pid, const struct plan_cpus *cpus, const char *key, struct err *err) {
  if (cpus != NULL && sys_sched_setaffinity(pid, cpus->words, sizeof(cpus->words)) < 0) {
    return err_errno(err, "cannot set process.execCPUAffinity.%s", key);
  }
  return 0;
}
