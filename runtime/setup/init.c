/* The minimal init of annotation dev.tscompose.init: privileges are dropped, the process it looks after is its child.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "setup/setup.h"
#include "sys/process.h"

/* Signals about ourselves are not the payload's business. */
static void forwarded(sigset_t *set) {
  static const int own[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU};
  sigfillset(set);
  for (size_t i = 0; i < array_length(own); i++) {
    sigdelset(set, own[i]);
  }
}

/* Reaps everything; true with the status once the payload is gone. */
static bool reap(pid_t payload, int *ret_status) {
  int status = 0;
  pid_t pid;
  bool done = false;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    if (pid == payload) {
      *ret_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
      done = true;
    }
  }
  return done;
}

int init_main(struct setup *setup, void (*start)(struct setup *setup)) {
  sigset_t signals, old;
  forwarded(&signals);
  (void)signal(SIGTTIN, SIG_IGN);
  (void)signal(SIGTTOU, SIG_IGN);
  if (sigprocmask(SIG_SETMASK, &signals, &old) < 0) {
    return 126;
  }
  pid_t payload = fork();
  if (payload < 0) {
    return 126;
  }
  if (payload == 0) {
    /* A group of its own, in the terminal's foreground, so that ^C meets the payload. */
    (void)setpgid(0, 0);
    (void)tcsetpgrp(STDIN_FILENO, getpid());
    (void)signal(SIGTTIN, SIG_DFL);
    (void)signal(SIGTTOU, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, &old, NULL);
    start(setup);
    _exit(126);
  }
  process_set_title("tscompose-init");
  /* The payload's descriptors are its own: a pipe it closes must be closed. */
  (void)fd_close_from(0, NULL);
  for (;;) {
    siginfo_t info;
    int status = 0;
    if (sigwaitinfo(&signals, &info) < 0) {
      continue;
    }
    if (info.si_signo == SIGCHLD) {
      if (reap(payload, &status)) {
        return status;
      }
    } else {
      (void)kill(payload, info.si_signo);
    }
  }
}
