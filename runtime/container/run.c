#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "container/console.h"
#include "container/container.h"
#include "container/notify.h"

static int foreground(const struct create_options *options, struct running *running, int *ret_status, struct err *err) {
  struct created created = {0, -1};
  container_hold_signals();
  int r = container_create(options, running, &created, err);
  if (r < 0) {
    return r;
  }
  cleanup_close int pidfd = created.pidfd;
  r = container_supervise(created.pid, pidfd, running->console, running->notify, ret_status, err);
  struct err why = ERR_INIT;
  int removed = options->keep ? 0 : container_delete(options->root, options->id, true, &why);
  if (r == 0 && removed < 0) {
    log_warn("%s", why.text);
  }
  return r;
}

static int background(const struct create_options *options, struct running *running, struct err *err) {
  struct created created = {0, -1};
  int r = container_create(options, running, &created, err);
  cleanup_close int pidfd = created.pidfd;
  if (r == 0) {
    notify_wait_ready(running->notify, created.pid, pidfd);
  }
  return r;
}

int container_run(const struct create_options *options, int *ret_status, struct err *err) {
  struct console console = {.pair = -1, .outer = -1};
  struct notify notify = NOTIFY_INIT;
  struct running running = {.console = options->wait ? &console : NULL, .notify = &notify};
  *ret_status = 0;
  if (options->dry_run || !options->run) {
    struct created created = {0, -1};
    int r = container_create(options, NULL, &created, err);
    cleanup_close_at(&created.pidfd);
    return r;
  }
  int r = options->wait ? foreground(options, &running, ret_status, err) : background(options, &running, err);
  console_close(&console);
  notify_close(&notify);
  return r;
}
