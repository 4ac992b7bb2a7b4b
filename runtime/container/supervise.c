/* The foreground: our child's signals, its terminal and its words to the service manager, until it ends. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "container/console.h"
#include "container/container.h"
#include "container/notify.h"
#include "sys/syscalls.h"

/* Everything a user or a service manager sends. Job control of our own and what the kernel says of our faults is not
   the container's. */
static void held(sigset_t *set) {
  static const int own[] = {SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,  SIGTRAP, SIGSYS,
                            SIGABRT, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE, SIGURG};
  sigfillset(set);
  for (size_t i = 0; i < array_length(own); i++) {
    sigdelset(set, own[i]);
  }
}

/* Before the child exists: a signal in between is kept for it. */
void container_hold_signals(void) {
  sigset_t set;
  held(&set);
  (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

static void pass_signals(int signals, int pidfd, struct console *console) {
  struct signalfd_siginfo info;
  while (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
    int number = (int)info.ssi_signo;
    if (number == SIGWINCH && console != NULL) {
      console_resize(console);
    } else if (number != SIGCHLD) {
      (void)sys_pidfd_send_signal(pidfd, number);
    }
  }
}

static bool reaped(pid_t pid, int *ret_status, struct err *err, int *ret_error) {
  int status = 0;
  pid_t got = waitpid(pid, &status, WNOHANG);
  if (got < 0) {
    *ret_error = err_errno(err, "cannot wait for process %d", (int)pid);
    return true;
  }
  if (got == pid) {
    *ret_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    *ret_error = 0;
  }
  return got == pid;
}

int container_supervise(pid_t pid, int pidfd, struct console *console, struct notify *notify, int *ret_status,
                        struct err *err) {
  sigset_t set;
  held(&set);
  cleanup_close int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals < 0) {
    return err_errno(err, "cannot wait for signals");
  }
  int r = 0;
  while (!reaped(pid, ret_status, err, &r)) {
    struct pollfd entries[3 + CONSOLE_ENTRIES] = {{.fd = signals, .events = POLLIN},
                                                  {.fd = pidfd, .events = POLLIN},
                                                  {.fd = notify == NULL ? -1 : notify->socket, .events = POLLIN}};
    console_prepare(console, entries + 3);
    if (poll(entries, array_length(entries), -1) < 0 && errno != EINTR) {
      return err_errno(err, "cannot wait for process %d", (int)pid);
    }
    pass_signals(signals, pidfd, console);
    if ((entries[2].revents & POLLIN) != 0) {
      (void)notify_relay(notify, pid);
    }
    console_move(console, entries + 3);
  }
  console_drain(console);
  return r;
}
