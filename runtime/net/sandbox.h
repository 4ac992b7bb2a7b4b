/*
 * net/sandbox: network namespaces with their links, made for the keeper.
 *
 * Every call forks a child that enters (or unshares) the namespace, works there over rtnetlink and passes the resulting
 * descriptors back by SCM_RIGHTS; the calling process never changes its own namespace. The child is waited for before
 * the call returns, so a reaper of the caller never sees it. Refuses policy: addresses, names and routes are given.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "sys/sandbox_fds.h"

struct err;
struct json;

/* Closes what is open; accepts a half-filled or closed one. */
void sandbox_fds_close(struct sandbox_fds *fds);

/* A sandbox being worked on by a child. `fd` becomes readable when the child reported or died. */
struct sandbox_job {
  pid_t pid;
  int fd;
};

/*
 * The two halves of sandbox_make, for a caller with an event loop: begin returns at once, finish blocks until the child
 * is gone. finish must be called exactly once for each successful begin. A SIGCHLD of the child's end may be noticed
 * earlier by the caller's reaper when it reaps every pid: finish tolerates that.
 */
int sandbox_make_begin(const struct json *config, struct sandbox_job *ret_job, struct err *err);
int sandbox_make_finish(struct sandbox_job *job, struct sandbox_fds *ret_fds, struct err *err);

/* New namespace with lo up, the links, routes and sysctls of `config` (form: README, sandbox config). On failure
 * nothing stays. */
int sandbox_make(const struct json *config, struct sandbox_fds *ret_fds, struct err *err);

/* Takes the namespace of a running process (held by `pidfd`) over; with want_names new sockets and rules replace those
 * of a lost keeper.
 */
int sandbox_adopt(pid_t pid, int pidfd, bool want_names, struct sandbox_fds *ret_fds, struct err *err);

/* Adds `links` and `routes` of `config` to a live sandbox and writes its `sysctls`. With `ret_names` it also gets what
 * a name server needs: only those descriptors are set. */
int sandbox_link(int netns_fd, const struct json *config, struct sandbox_fds *ret_names, struct err *err);

/* Removes one interface (and its host end) from a live sandbox; an absent one is fine. */
int sandbox_unlink(int netns_fd, const char *interface, struct err *err);
