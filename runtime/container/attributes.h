/* What is given to a process from outside, where the rights to do so are. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "spec/plan.h"

/* Scheduler, I/O priority and, with `limits`, rlimits of a process that is ready but does not run yet. */
int attributes_apply(pid_t pid, const struct plan_process *process, bool limits, struct err *err);

/* Processors of `pid`, 0: of the caller and what it makes from now on. NULL: as they are. */
int attributes_set_cpus(pid_t pid, const struct plan_cpus *cpus, const char *key, struct err *err);
