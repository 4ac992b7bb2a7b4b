/*
 * The go-between: a process that lives between the runtime and the container's first process when that one shall be in
 * a user or time namespace of its own, and always at exec. It leaves the runtime's user namespace, which cannot be
 * undone, while the runtime stays outside and keeps its rights:
 *
 *   runtime                      go-between                                   first process
 *   fork ----------------------> join by path what the host owns
 *                                join or make the user namespace,
 *                                make the time namespace
 *          <-- BETWEEN_MAP -----
 *   id maps, clock offsets
 *          --- BETWEEN_MAP ----> join the rest, clone3(CLONE_PARENT) --------> steps
 *          <-- BETWEEN_MADE ---- leave
 *
 * Where others are in the pid namespace already (exec, a pid namespace by path: setup->makes_last) it stays outside of
 * that and is the child itself: it makes the other namespaces too, goes through the steps, and makes the process last.
 *
 * What fails is told as SYNC_FAILED on the socket of the first process.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "setup/setup.h"

struct between {
  struct setup *setup;
  uint64_t made;   /* CLONE_NEW… of namespaces to be made */
  bool join_users; /* setup->namespace_fds has a user namespace */
  int joined_init; /* exec: pidfd of the process whose namespaces are joined; -1 */
  int joined;      /* exec: which ones */
  bool executes;   /* exec: enters group and setup->entries itself */
  int group;       /* v2 group for clone3, or -1 */
  int peer;        /* our end of setup->sync */
  void (*child)(struct setup *setup);
};

/* Makes the child. setup->sync, the child's end, is closed on return. With makes_last the caller waits for it when it
   has made the process. */
int between_clone(const struct between *between, pid_t *ret_pid, int *ret_pidfd, struct err *err);
