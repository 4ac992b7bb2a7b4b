/* Our own terminal and the container's pty, when nobody asked for it by --console-socket: bytes both ways, the size. */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

#include "base/err.h"

#define CONSOLE_ENTRIES 2

struct console {
  int pair; /* our end of the socket the pty comes over */
  int outer;
  bool raw, input_ended;
  struct termios saved;
  char input[4096]; /* read from stdin, not yet taken by the pty */
  size_t held;
};

/* The socket for the container's side. */
int console_open(struct console *ret_console, int *ret_socket, struct err *err);
/* The container is set up: its pty is taken, our terminal becomes raw. */
int console_attach(struct console *console, struct err *err);
/* All of these take NULL: no terminal. */
void console_resize(const struct console *console);
void console_prepare(const struct console *console, struct pollfd *entries);
void console_move(struct console *console, const struct pollfd *entries);
/* What the pty still holds. */
void console_drain(struct console *console);
void console_close(struct console *console);
