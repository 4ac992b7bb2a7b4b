#include "container/between.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "setup/idmap.h"
#include "sys/syscalls.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

enum kind { BETWEEN_MAP, BETWEEN_MADE };

struct message {
  enum kind kind;
  pid_t pid; /* as the go-between sees it, which is in the runtime's pid namespace; 0: its own */
};

static int tell(int link, enum kind kind, pid_t pid, struct err *err) {
  const struct message message = {kind, pid};
  return fd_write_all(link, &message, sizeof(message), err);
}

/* ---- the go-between ---- */

/* A namespace owned by the container's user namespace may only be joined from in there, one of the host's only from
   outside: what is denied the first time is tried again. */
static int join_paths(const struct setup *setup, bool last, bool done[], struct err *err) {
  for (size_t i = 0; setup->plan != NULL && i < setup->plan->namespace_count; i++) {
    const struct plan_namespace *namespace = &setup->plan->namespaces[i];
    if (setup->namespace_fds[i] < 0 || namespace->flag == CLONE_NEWUSER || namespace->flag == CLONE_NEWNS ||
        (namespace->flag == CLONE_NEWPID && setup->makes_last) || done[i]) {
      continue; /* with steps of their own, the latter two */
    }
    if (setns(setup->namespace_fds[i], namespace->flag) == 0) {
      done[i] = true;
    } else if (last || errno != EPERM) {
      return err_errno(err, "cannot join the %s namespace at %s", namespace->name, namespace->path);
    }
  }
  return 0;
}

static int join_users(const struct between *between, struct err *err) {
  const struct setup *setup = between->setup;
  for (size_t i = 0; between->join_users && i < setup->plan->namespace_count; i++) {
    const struct plan_namespace *namespace = &setup->plan->namespaces[i];
    if (namespace->flag == CLONE_NEWUSER && setns(setup->namespace_fds[i], CLONE_NEWUSER) < 0) {
      return err_errno(err, "cannot join the user namespace at %s", namespace->path);
    }
  }
  return 0;
}

static int make_early(const struct between *between, int link, struct err *err) {
  int flags = (int)(between->made & (CLONE_NEWUSER | CLONE_NEWTIME));
  if (flags != 0 && unshare(flags) < 0) {
    return err_errno(err, "cannot make a%s%s namespace", (flags & CLONE_NEWUSER) != 0 ? " user" : "",
                     (flags & CLONE_NEWTIME) != 0 ? " time" : "");
  }
  /* An unprivileged runtime may write our maps only while it could trace us; nothing of the container sees us yet. */
  bool show = geteuid() != 0;
  struct message answer;
  if (show) {
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  }
  int r = tell(link, BETWEEN_MAP, 0, err);
  r = r < 0 ? r : fd_read_exact(link, &answer, sizeof(answer), err);
  (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  return r;
}

/* The child: a sibling, or with makes_last ourselves. */
static int make_first(const struct between *between, pid_t *ret_pid, struct err *err) {
  uint64_t flags = between->made & ~(uint64_t)(CLONE_NEWUSER | CLONE_NEWTIME);
  if (between->setup->makes_last) {
    *ret_pid = 0;
    return flags != 0 && unshare((int)flags) < 0 ? err_errno(err, "cannot make namespaces") : 0;
  }
  pid_t pid = sys_clone3(CLONE_PARENT | flags, 0, between->group, NULL);
  if (pid < 0) {
    return err_errno(err, "cannot make the container's first process");
  }
  *ret_pid = pid;
  return 0;
}

_Noreturn static void go(const struct between *between, int link) {
  struct setup *setup = between->setup;
  struct err err = ERR_INIT;
  bool done[array_length(setup->namespace_fds)] = {false};
  pid_t pid = -1;
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  int r = between->executes ? cgroup_enter_entries(setup->entries, &err) : 0;
  r = r < 0 || !between->executes ? r : labels_open_on_host(setup, &err);
  if (r == 0 && between->joined_init >= 0 && setns(between->joined_init, between->joined) < 0) {
    r = err_errno(&err, "cannot join the namespaces of container %s", setup->id);
  }
  if (r == 0 && setup->entered_root >= 0 && (fchdir(setup->entered_root) < 0 || chroot(".") < 0)) {
    r = err_errno(&err, "cannot enter the root of container %s", setup->id);
  }
  r = r < 0 ? r : join_paths(setup, false, done, &err);
  r = r < 0 ? r : join_users(between, &err);
  r = r < 0 ? r : make_early(between, link, &err);
  r = r < 0 ? r : join_paths(setup, true, done, &err);
  r = r < 0 ? r : make_first(between, &pid, &err);
  if (r == 0 && setup->makes_last) {
    r = tell(link, BETWEEN_MADE, 0, &err);
  }
  if (r == 0 && pid == 0) {
    close(link);
    between->child(setup);
    _exit(1);
  }
  r = r < 0 ? r : tell(link, BETWEEN_MADE, pid, &err);
  if (r < 0) {
    (void)sync_send(setup->sync, SYNC_FAILED, &err, NULL);
  }
  _exit(r < 0 ? 1 : 0);
}

/* ---- the runtime ---- */

static int write_offsets(const struct plan *plan, pid_t pid, struct err *err) {
  char path[48], text[128];
  int size = 0;
  for (size_t i = 0; i < CLOCK_OFFSETS; i++) {
    const struct plan_time_offset *offset = &plan->time_offsets[i];
    if (offset->given) {
      size += snprintf(text + size, sizeof(text) - (size_t)size, "%s %lld %u\n", clock_offset_names[i],
                       (long long)offset->seconds, offset->nanoseconds);
    }
  }
  snprintf(path, sizeof(path), "/proc/%d/timens_offsets", (int)pid);
  int r = size == 0 ? 0 : file_write_existing(AT_FDCWD, path, text, err);
  return r == -ERANGE ? err_set(err, ERANGE, "linux.timeOffsets: a clock would be before zero or beyond the far future")
         : r < 0      ? err_prefix(err, "linux.timeOffsets")
                      : 0;
}

/* Set on the go-between, from which the first process inherits it: inside another user namespace it could not be
   lowered. */
static void set_oom_score(const struct setup *setup, pid_t pid) {
  if (setup->process->oom_score_adj_given) {
    char path[48], text[16];
    struct err why = ERR_INIT;
    snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
    snprintf(text, sizeof(text), "%d", setup->process->oom_score_adj);
    if (file_write_existing(AT_FDCWD, path, text, &why) < 0) {
      log_warn("oomScoreAdj is not applied: %s", why.text);
    }
  }
}

static int settle(const struct between *between, pid_t pid, struct err *err) {
  const struct plan *plan = between->setup->plan;
  int r = 0;
  set_oom_score(between->setup, pid);
  if ((between->made & CLONE_NEWUSER) != 0) {
    r = idmap_write(pid, &plan->uid_maps, &plan->gid_maps, err);
  } else if (between->join_users) {
    r = idmap_check(pid, &plan->uid_maps, &plan->gid_maps, err);
  }
  return r < 0 || (between->made & CLONE_NEWTIME) == 0 ? r : write_offsets(plan, pid, err);
}

/* What the go-between wants, until it has made the process or is gone. */
static int serve(const struct between *between, int link, pid_t helper, pid_t *ret_pid, struct err *err) {
  for (;;) {
    struct message message;
    if (fd_read_exact(link, &message, sizeof(message), NULL) < 0) {
      return -EPIPE;
    }
    if (message.kind == BETWEEN_MADE) {
      *ret_pid = message.pid;
      return 0;
    }
    int r = settle(between, helper, err);
    r = r < 0 ? r : tell(link, BETWEEN_MAP, 0, err);
    if (r < 0) {
      return r;
    }
  }
}

int between_clone(const struct between *between, pid_t *ret_pid, int *ret_pidfd, struct err *err) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
    return err_errno(err, "cannot make a socket pair");
  }
  cleanup_close int ours = ends[0];
  cleanup_close int theirs = ends[1];
  cleanup_close int helper_fd = -1;
  pid_t pid = -1;
  pid_t helper = sys_clone3(0, SIGCHLD, between->executes ? between->group : -1, &helper_fd);
  if (helper < 0) {
    return err_errno(err, "cannot make a process");
  }
  if (helper == 0) {
    close(ours);
    close(between->peer);
    go(between, theirs);
  }
  close(take_fd(&theirs));
  close(between->setup->sync);
  between->setup->sync = -1;
  struct err why = ERR_INIT;
  int r = serve(between, ours, helper, &pid, &why);
  if (r == 0 && pid == 0) {
    *ret_pidfd = take_fd(&helper_fd);
    *ret_pid = helper;
    return 0;
  }
  if (r < 0) {
    (void)sys_pidfd_send_signal(helper_fd, SIGKILL);
  }
  while (waitpid(helper, NULL, 0) < 0 && errno == EINTR) {
  }
  if (r == -EPIPE && why.text[0] == '\0') {
    enum sync_kind kind = SYNC_FAILED;
    r = sync_receive(between->peer, &kind, &why, NULL);
    return r < 0 ? err_set(err, EPIPE, "the process that prepares the namespaces died")
                 : err_set(err, why.code, "join namespaces: %s", why.text);
  }
  if (r < 0) {
    return err_set(err, why.code, "join namespaces: %s", why.text);
  }
  *ret_pidfd = sys_pidfd_open(pid);
  *ret_pid = pid;
  return *ret_pidfd < 0 ? err_errno(err, "cannot open the container's first process") : 0;
}
