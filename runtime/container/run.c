#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "container/container.h"
#include "sys/syscalls.h"

static void held(sigset_t *set) {
  static const int list[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT, SIGCHLD};
  sigemptyset(set);
  for (size_t i = 0; i < array_length(list); i++) {
    sigaddset(set, list[i]);
  }
}

/* Before the child exists: a signal in between is kept for it. */
void container_hold_signals(void) {
  sigset_t set;
  held(&set);
  (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

int container_supervise(pid_t pid, int pidfd, int *ret_status, struct err *err) {
  sigset_t set;
  held(&set);
  for (;;) {
    int status = 0;
    pid_t got = waitpid(pid, &status, WNOHANG);
    if (got < 0) {
      return err_errno(err, "cannot wait for process %d", (int)pid);
    }
    if (got == pid) {
      *ret_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
      return 0;
    }
    siginfo_t info;
    if (sigwaitinfo(&set, &info) >= 0 && info.si_signo != SIGCHLD) {
      (void)sys_pidfd_send_signal(pidfd, info.si_signo);
    }
  }
}

int container_run(const struct create_options *options, int *ret_status, struct err *err) {
  struct created created = {0, -1};
  if (options->wait) {
    container_hold_signals();
  }
  int r = container_create(options, &created, err);
  if (r < 0 || options->dry_run) {
    *ret_status = 0;
    return r;
  }
  cleanup_close int pidfd = created.pidfd;
  if (!options->wait) {
    *ret_status = 0;
    return 0;
  }
  r = container_supervise(created.pid, pidfd, ret_status, err);
  struct err why = ERR_INIT;
  int removed = container_delete(options->root, options->id, true, &why);
  if (r == 0 && removed < 0) {
    log_warn("%s", why.text);
  }
  return r;
}
