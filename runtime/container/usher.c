#include "container/usher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "sys/process.h"

/* Until there is a byte to read from the fifo; false: the process is gone. */
static bool wait_for_start(int fifo, int process) {
  struct pollfd entries[] = {{.fd = fifo, .events = POLLIN}, {.fd = process, .events = POLLIN}};
  char byte;
  for (;;) {
    int n = poll(entries, 2, -1);
    if ((n < 0 && errno != EINTR) || (n > 0 && entries[1].revents != 0)) {
      return false;
    }
    if (n > 0 && entries[0].revents != 0) {
      return read(fifo, &byte, 1) == 1;
    }
  }
}

_Noreturn static void serve(int fifo, int error, int process) {
  char text[1024];
  int keep[] = {fifo, error, process};
  sigset_t none;
  sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, NULL);
  (void)setsid();
  (void)signal(SIGPIPE, SIG_IGN);
  if (fd_close_but(0, keep, array_length(keep), NULL) < 0) {
    _exit(1);
  }
  process_set_title("tscompose-usher");
  if (wait_for_start(fifo, process) && fd_write_all(process, "s", 1, NULL) == 0) {
    ssize_t n;
    while ((n = read(process, text, sizeof(text))) > 0 || (n < 0 && errno == EINTR)) {
      if (n > 0) {
        (void)fd_write_all(error, text, (size_t)n, NULL);
      }
    }
  }
  _exit(0);
}

int usher_make(struct setup *setup, struct err *err) {
  if (setup->start_fifo < 0) {
    return 0;
  }
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
    return err_errno(err, "cannot make a socket pair");
  }
  cleanup_close int outer = ends[0];
  cleanup_close int inner = ends[1];
  pid_t pid = fork();
  if (pid < 0) {
    return err_errno(err, "cannot fork");
  }
  if (pid == 0) {
    serve(setup->start_fifo, setup->start_error, outer);
  }
  close(setup->start_fifo);
  close(setup->start_error);
  setup->start_fifo = take_fd(&inner);
  setup->start_error = fcntl(setup->start_fifo, F_DUPFD_CLOEXEC, 0);
  return setup->start_error < 0 ? err_errno(err, "cannot duplicate a socket") : 0;
}
