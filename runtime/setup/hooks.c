/* Hooks run as children with a fixed environment, working directory "/", the container's state on stdin. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "setup/setup.h"
#include "sys/syscalls.h"

static _Noreturn void run_child(const struct plan_hook *hook, int input) {
  static const char *const no_env[] = {NULL};
  const char *own[] = {hook->path, NULL};
  const char **args = hook->args == NULL ? own : hook->args;
  const char *const *env = hook->env == NULL ? no_env : (const char *const *)hook->env;
  if (dup2(input, STDIN_FILENO) < 0 || chdir("/") < 0) {
    _exit(127);
  }
  /* A caller in the foreground holds signals back; a hook must be stoppable. */
  sigset_t none;
  sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, NULL);
  execve(hook->path, (char *const *)args, (char *const *)env);
  _exit(127);
}

static int wait_for(pid_t pid, const struct plan_hook *hook, struct err *err) {
  int status = 0;
  if (hook->timeout_s > 0) {
    cleanup_close int pidfd = sys_pidfd_open(pid);
    struct pollfd entry = {.fd = pidfd, .events = POLLIN};
    if (pidfd >= 0 && poll(&entry, 1, hook->timeout_s * 1000) == 0) {
      kill(pid, SIGKILL);
      (void)waitpid(pid, &status, 0);
      return err_set(err, ETIMEDOUT, "%s did not end within %d s", hook->path, hook->timeout_s);
    }
  }
  pid_t got;
  do {
    got = waitpid(pid, &status, 0);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    return err_errno(err, "cannot wait for %s", hook->path);
  }
  if (WIFSIGNALED(status)) {
    return err_set(err, ECHILD, "%s was killed by signal %d", hook->path, WTERMSIG(status));
  }
  return WEXITSTATUS(status) == 0 ? 0
                                  : err_set(err, ECHILD, "%s ended with status %d", hook->path, WEXITSTATUS(status));
}

/* A file in memory instead of a pipe: a hook that never reads cannot hold us up, however long the state is. Three parts
   one behind the other: a process that is made last has no heap to join them in. */
static int open_input(const char *const state[3], int *ret_fd, struct err *err) {
  cleanup_close int fd = memfd_create("state", MFD_CLOEXEC);
  if (fd < 0) {
    return err_errno(err, "cannot make a file for the state");
  }
  for (int i = 0; i < 3; i++) {
    int r = fd_write_all(fd, state[i], strlen(state[i]), err);
    if (r < 0) {
      return r;
    }
  }
  if (lseek(fd, 0, SEEK_SET) < 0) {
    return err_errno(err, "cannot rewind the state");
  }
  *ret_fd = take_fd(&fd);
  return 0;
}

static int run_one(const struct plan_hook *hook, const char *const state[3], struct err *err) {
  cleanup_close int input = -1;
  int r = open_input(state, &input, err);
  if (r < 0) {
    return r;
  }
  pid_t pid = fork();
  if (pid < 0) {
    return err_errno(err, "cannot fork");
  }
  if (pid == 0) {
    run_child(hook, input);
  }
  return wait_for(pid, hook, err);
}

static int run_all(const struct plan_hooks *hooks, const char *kind, const char *const state[3], struct err *err) {
  for (size_t i = 0; i < hooks->count; i++) {
    int r = run_one(&hooks->items[i], state, err);
    if (r < 0) {
      return err_prefix(err, "%s hook", kind);
    }
  }
  return 0;
}

int hooks_run(const struct plan_hooks *hooks, const char *kind, const char *state_text, struct err *err) {
  const char *const state[] = {state_text, "", ""};
  return run_all(hooks, kind, state, err);
}

void hooks_run_all(const struct plan_hooks *hooks, const char *kind, const char *state_text) {
  for (size_t i = 0; i < hooks->count; i++) {
    struct err err = ERR_INIT;
    const char *const state[] = {state_text, "", ""};
    if (run_one(&hooks->items[i], state, &err) < 0) {
      log_warn("%s hook: %s", kind, err.text);
    }
  }
}

int hooks_run_inside(const struct setup *setup, enum hook_kind kind, const char *status, struct err *err) {
  char now[64];
  const char *const state[] = {setup->state_head, now, setup->state_tail};
  snprintf(now, sizeof(now), ",\"status\":\"%s\",\"pid\":%d", status, (int)getpid());
  return run_all(&setup->plan->hooks[kind], hook_names[kind], state, err);
}

int step_container_hooks(struct setup *setup, struct err *err) {
  return hooks_run_inside(setup, HOOK_CREATE_CONTAINER, "creating", err);
}
