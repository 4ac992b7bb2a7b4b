#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Above every target, so that no dup2 overwrites a source that is still needed. */
#define LOWEST_SOURCE 16

static int set_attributes(const struct child_plan *plan, posix_spawnattr_t *attributes) {
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (plan->session ? POSIX_SPAWN_SETSID : 0);
  int r = posix_spawnattr_setsigmask(attributes, &none);
  r = r != 0 ? r : posix_spawnattr_setsigdefault(attributes, &all);
  return r != 0 ? r : posix_spawnattr_setflags(attributes, (short)flags);
}

static int set_actions(const struct child_plan *plan, const int sources[CHILD_FDS],
                       posix_spawn_file_actions_t *actions) {
  int r = 0;
  for (int target = 0; target < CHILD_FDS && r == 0; target++) {
    if (sources[target] >= 0) {
      r = posix_spawn_file_actions_adddup2(actions, sources[target], target);
    } else if (plan->fds[target] == CHILD_NULL && target <= STDERR_FILENO) {
      r = posix_spawn_file_actions_addopen(actions, target, "/dev/null", target == STDIN_FILENO ? O_RDONLY : O_WRONLY,
                                           0);
    }
  }
  return r != 0 ? r : posix_spawn_file_actions_addchdir_np(actions, plan->cwd == NULL ? "/" : plan->cwd);
}

/* posix_spawn: the child borrows our memory until it executes, so the cost does not grow with us, and errno comes back.
 */
static int spawn_with(const struct child_plan *plan, const int sources[CHILD_FDS], pid_t *ret_pid) {
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
  int r = posix_spawnattr_init(&attributes);
  if (r != 0) {
    return r;
  }
  r = posix_spawn_file_actions_init(&actions);
  if (r == 0) {
    char path[40];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", plan->exec_fd);
    r = set_attributes(plan, &attributes);
    r = r != 0 ? r : set_actions(plan, sources, &actions);
    r = r != 0 ? r
               : posix_spawn(ret_pid, plan->exec_fd >= 0 ? path : plan->path, &actions, &attributes, plan->argv,
                             plan->environment == NULL ? environ : plan->environment);
    posix_spawn_file_actions_destroy(&actions);
  }
  posix_spawnattr_destroy(&attributes);
  return r;
}

/* In the child: what posix_spawn would do, then nothing of ours is open but what the verb gets. */
static int become(const struct child_plan *plan, const int sources[CHILD_FDS]) {
  int above = STDERR_FILENO + 1;
  for (int number = 1; number < NSIG; number++) {
    (void)signal(number, SIG_DFL);
  }
  if (plan->session) {
    (void)setsid();
  }
  for (int target = 0; target < CHILD_FDS; target++) {
    int source = sources[target];
    if (source < 0 && plan->fds[target] == CHILD_NULL && target <= STDERR_FILENO) {
      source = open("/dev/null", target == STDIN_FILENO ? O_RDONLY : O_WRONLY);
      if (source < 0) {
        return errno;
      }
    }
    if (source >= 0 && source != target && dup2(source, target) < 0) {
      return errno;
    }
    above = sources[target] >= 0 && target >= above ? target + 1 : above;
  }
  closefrom(above);
  (void)prctl(PR_SET_NAME, plan->argv[0]);
  return chdir(plan->cwd == NULL ? "/" : plan->cwd) < 0 ? errno : 0;
}

static int fork_with(const struct child_plan *plan, const int sources[CHILD_FDS], pid_t *ret_pid) {
  sigset_t all, before;
  sigfillset(&all);
  /* Handlers of ours must not run in the child. */
  (void)sigprocmask(SIG_BLOCK, &all, &before);
  pid_t pid = fork();
  if (pid == 0) {
    sigset_t none;
    int argc = 0;
    sigemptyset(&none);
    if (become(plan, sources) != 0) {
      _exit(127);
    }
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    while (plan->argv[argc] != NULL) {
      argc++;
    }
    if (plan->prepare != NULL) {
      plan->prepare();
    }
    int status = plan->verb(argc, (char **)plan->argv);
    (void)fflush(NULL);
    _exit(status);
  }
  int r = pid < 0 ? errno : 0;
  (void)sigprocmask(SIG_SETMASK, &before, NULL);
  *ret_pid = pid;
  return r;
}

int child_start(const struct child_plan *plan, pid_t *ret_pid, struct err *err) {
  int sources[CHILD_FDS];
  int r = 0;
  for (int target = 0; target < CHILD_FDS; target++) {
    sources[target] = -1;
  }
  for (int target = 0; target < CHILD_FDS && r == 0; target++) {
    if (plan->fds[target] >= 0) {
      sources[target] = fcntl(plan->fds[target], F_DUPFD_CLOEXEC, LOWEST_SOURCE);
      r = sources[target] < 0 ? errno : 0;
    }
  }
  pid_t pid = 0;
  if (r == 0) {
    r = plan->verb != NULL ? fork_with(plan, sources, &pid) : spawn_with(plan, sources, &pid);
  }
  for (int target = 0; target < CHILD_FDS; target++) {
    if (sources[target] >= 0) {
      close(sources[target]);
    }
  }
  if (r != 0) {
    return err_code(err, r, "cannot start %s", plan->path == NULL ? plan->argv[0] : plan->path);
  }
  *ret_pid = pid;
  return 0;
}
