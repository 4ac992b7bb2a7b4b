#include "names/names.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "names/confine.h"
#include "names/server.h"
#include "sys/syscalls.h"

/* A question takes microseconds and somebody waits for it: on a busy machine a short slice makes the kernel (6.12 on)
   run us sooner, not longer. Older ones leave it out. */
#define SLICE_NANOSECONDS 100000

static void ask_for_short_slices(void) {
  struct sys_sched_attributes attributes = {.size = sizeof(attributes), .runtime = SLICE_NANOSECONDS};
  (void)sys_sched_setattr(0, &attributes);
}

static int start(struct server **ret_server, struct err *err) {
  int r = fd_close_from(NAMES_GATE_FD + 1, err);
  r = r < 0 ? r : fd_set_cloexec(NAMES_CONTROL_FD, true, err);
  r = r < 0 ? r : fd_set_cloexec(NAMES_GATE_FD, true, err);
  r = r < 0 ? r : server_new(ret_server, NAMES_GATE_FD, err);
  r = r < 0 ? r : server_watch_control(*ret_server, NAMES_CONTROL_FD, err);
  return r < 0 ? r : confine(err);
}

int names_main(int argc, char **argv) {
  (void)argv;
  struct err err = ERR_INIT;
  struct server *server = NULL;
  if (argc != 1) {
    fputs("usage: tscompose-runtime names (control socket on descriptor 3, gate on 4)\n", stderr);
    return 2;
  }
  (void)signal(SIGPIPE, SIG_IGN);
  ask_for_short_slices();
  int r = start(&server, &err);
  if (r < 0) {
    fprintf(stderr, "names: %s\n", err.text);
    return 1;
  }
  do {
    err.text[0] = '\0';
    r = server_turn(server, -1, &err);
    if (r < 0) {
      /* One bad message must not take the names of every container away. */
      (void)fd_write_all(STDERR_FILENO, "names: ", 7, NULL);
      (void)fd_write_all(STDERR_FILENO, err.text, strlen(err.text), NULL);
      (void)fd_write_all(STDERR_FILENO, "\n", 1, NULL);
    }
  } while (r != 0 && r != -EBADF && r != -ENOTCONN);
  server_free(server);
  return r < 0 ? 1 : 0;
}
