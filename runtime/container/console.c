#include "container/console.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

int console_open(struct console *ret_console, int *ret_socket, struct err *err) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
    return err_errno(err, "cannot make a socket pair");
  }
  memset(ret_console, 0, sizeof(*ret_console));
  ret_console->pair = ends[0];
  ret_console->outer = -1;
  *ret_socket = ends[1];
  return 0;
}

void console_resize(const struct console *console) {
  struct winsize size;
  if (console != NULL && console->outer >= 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0) {
    (void)ioctl(console->outer, TIOCSWINSZ, &size);
  }
}

int console_attach(struct console *console, struct err *err) {
  char name[64];
  size_t size = 0, count = 0;
  int r = fd_receive(console->pair, name, sizeof(name), &size, &console->outer, 1, &count, err);
  if (r < 0 || count != 1) {
    return r < 0 ? r : err_set(err, EPROTO, "the container sent no terminal");
  }
  r = fd_set_nonblock(console->outer, true, err);
  if (r < 0) {
    return r;
  }
  struct winsize given;
  if (ioctl(console->outer, TIOCGWINSZ, &given) == 0 && given.ws_row == 0 && given.ws_col == 0) {
    console_resize(console);
  }
  if (tcgetattr(STDIN_FILENO, &console->saved) == 0) {
    struct termios raw = console->saved;
    cfmakeraw(&raw);
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0) {
      return err_errno(err, "cannot make the terminal raw");
    }
    console->raw = true;
  }
  return 0;
}

/* Input is read only as fast as the pty takes it. */
void console_prepare(const struct console *console, struct pollfd *entries) {
  entries[0] = entries[1] = (struct pollfd){.fd = -1};
  if (console == NULL || console->outer < 0) {
    return;
  }
  if (console->held == 0 && !console->input_ended) {
    entries[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
  }
  entries[1] = (struct pollfd){.fd = console->outer, .events = (short)(POLLIN | (console->held > 0 ? POLLOUT : 0))};
}

static bool move_output(struct console *console) {
  char buffer[8192];
  ssize_t n = read(console->outer, buffer, sizeof(buffer));
  return n > 0 && fd_write_all(STDOUT_FILENO, buffer, (size_t)n, NULL) == 0;
}

static void move_input(struct console *console) {
  if (console->held == 0) {
    ssize_t n = read(STDIN_FILENO, console->input, sizeof(console->input));
    console->input_ended = n <= 0;
    console->held = n > 0 ? (size_t)n : 0;
    if (n == 0) {
      /* What a terminal says at the end of input. */
      console->input[0] = 4;
      console->held = 1;
    }
  }
  ssize_t n = write(console->outer, console->input, console->held);
  if (n > 0) {
    console->held -= (size_t)n;
    memmove(console->input, console->input + n, console->held);
  }
}

void console_move(struct console *console, const struct pollfd *entries) {
  if (console == NULL || console->outer < 0) {
    return;
  }
  if ((entries[0].revents & (POLLIN | POLLHUP)) != 0 || (entries[1].revents & POLLOUT) != 0) {
    move_input(console);
  }
  if ((entries[1].revents & (POLLIN | POLLHUP)) != 0 && !move_output(console) && (entries[1].revents & POLLHUP) != 0) {
    /* The last process that had it open has closed it. */
    close(take_fd(&console->outer));
  }
}

void console_drain(struct console *console) {
  while (console != NULL && console->outer >= 0 && move_output(console)) {
  }
}

void console_close(struct console *console) {
  if (console == NULL) {
    return;
  }
  if (console->raw) {
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &console->saved);
  }
  if (console->pair >= 0) {
    close(console->pair);
  }
  if (console->outer >= 0) {
    close(console->outer);
  }
}
