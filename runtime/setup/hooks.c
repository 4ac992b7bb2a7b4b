/* Hooks run as children with a fixed environment, working directory "/", the container's state on stdin. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
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

static int run_one(const struct plan_hook *hook, const char *state_text, struct err *err) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) {
    return err_errno(err, "cannot make a pipe");
  }
  cleanup_close int read_end = ends[0];
  cleanup_close int write_end = ends[1];
  pid_t pid = fork();
  if (pid < 0) {
    return err_errno(err, "cannot fork");
  }
  if (pid == 0) {
    run_child(hook, read_end);
  }
  close(take_fd(&read_end));
  /* A hook may not read its input: a broken pipe is no failure. */
  void (*old)(int) = signal(SIGPIPE, SIG_IGN);
  (void)fd_write_all(write_end, state_text, strlen(state_text), NULL);
  (void)signal(SIGPIPE, old);
  close(take_fd(&write_end));
  return wait_for(pid, hook, err);
}

int hooks_run(const struct plan_hooks *hooks, const char *kind, const char *state_text, struct err *err) {
  for (size_t i = 0; i < hooks->count; i++) {
    int r = run_one(&hooks->items[i], state_text, err);
    if (r < 0) {
      return err_prefix(err, "%s hook", kind);
    }
  }
  return 0;
}

int step_container_hooks(struct setup *setup, struct err *err) {
  const struct plan_hooks *hooks = &setup->plan->hooks[HOOK_CREATE_CONTAINER];
  return hooks->count == 0 ? 0 : hooks_run(hooks, hook_names[HOOK_CREATE_CONTAINER], setup->state_text, err);
}
