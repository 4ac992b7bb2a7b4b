/* Processes by more than their number: the start time tells a recycled pid from the process that was meant. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct process_stat {
  char state; /* as in /proc/PID/stat: R S D Z T … */
  pid_t parent;
  uint64_t start_time; /* clock ticks since boot */
};

/* -ESRCH (or -ENOENT) when there is no such process. */
int process_stat_read(pid_t pid, struct process_stat *ret_stat, struct err *err);

/* Opens a pidfd and checks that it is the process which started at `start_time`; -ESRCH otherwise or when it is a
 * zombie. */
int process_open(pid_t pid, uint64_t start_time, int *ret_pidfd, struct err *err);

/* Whether the process behind the pidfd has ended. While it has not, what was opened by its number is its own. */
bool process_has_ended(int pidfd);

/* Waits until the process behind the pidfd is gone (it need not be a child). timeout in ms, -1: for ever; -ETIMEDOUT.
 */
int process_wait_gone(int pidfd, int timeout_ms, struct err *err);

/* Continues from a read-only mount of this binary alone, or where that may not be made from a sealed copy in memory.
   The container can then neither see nor overwrite the host's file through /proc/PID/exe. */
int process_reexec_sealed(char **argv, struct err *err);

/* Empties the environment where /proc shows it: a container may look into what is made for it. */
void process_clear_environment(void);

/* Remembers where the command line lies; first thing in main. */
void process_keep_title(int argc, char **argv);

/* What ps shows of this process from now on: the arguments name paths of the host, and a container reads its init's. */
void process_set_title(const char *title);
