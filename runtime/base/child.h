/* Starting programs from small long-lived processes: fresh signals, chosen descriptors, nothing else inherited. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

#define CHILD_FDS 5
/* Values of child_plan.fds beside a descriptor: */
#define CHILD_NULL (-1)    /* /dev/null for 0 to 2, closed above */
#define CHILD_INHERIT (-2) /* our own descriptor of that number */

struct child_plan {
  /* A verb of this very program, run in a forked child: a small process forks faster than it executes. The first choice
   * when it is set. */
  int (*verb)(int argc, char **argv);
  int exec_fd;      /* program by descriptor; below 0: by `path` */
  const char *path; /* absolute */
  char *const *argv;
  char *const *environment; /* NULL: ours */
  int fds[CHILD_FDS];       /* what becomes 0, 1, 2, 3, 4 */
  const char *cwd;          /* NULL: / */
  bool session;             /* setsid */
  void (*prepare)(void);    /* runs in a forked child before its verb */
};

#define CHILD_PLAN_INIT                                                                                                \
  {                                                                                                                    \
    .exec_fd = -1, .fds = { CHILD_NULL, CHILD_NULL, CHILD_NULL, CHILD_NULL, CHILD_NULL }                               \
  }

/* Every descriptor of the caller must be close-on-exec but 0 to 2. A program that cannot be executed is an error here.
 */
int child_start(const struct child_plan *plan, pid_t *ret_pid, struct err *err);
