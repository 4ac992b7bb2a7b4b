#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "keeper/state.h"

/* How long the daemon of an old binary may take to end before it is killed. */
#define REPLACE_MS 10000
/* Until the next look whether the programs of a daemon have ended. */
#define RUNS_MS 5

int daemon_start(struct keeper *keeper, struct err *err) {
  struct daemon *daemon = &keeper->daemon;
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
    return err_errno(err, "cannot make a control stream");
  }
  cleanup_close int theirs = pair[1];
  int r = control_open(keeper, pair[0], err);
  if (r < 0) {
    return r;
  }
  struct child_plan plan = CHILD_PLAN_INIT;
  plan.path = keeper->options.daemon[0];
  plan.argv = keeper->options.daemon;
  plan.fds[1] = plan.fds[2] = CHILD_INHERIT;
  plan.fds[3] = keeper->api_fd;
  plan.fds[4] = theirs;
  plan.session = true; /* a ctrl-C of the terminal reaches it through us alone */
  daemon->shutdown = daemon->replaced = false;
  daemon->backoff.started = now_ms();
  r = child_start(&plan, &daemon->pid, err);
  if (r < 0) {
    control_close(keeper);
  }
  return r;
}

static void timer_ready(struct watch *watch, uint32_t events) {
  (void)events;
  struct keeper *keeper = watch->owner;
  struct err err = ERR_INIT;
  loop_timer_taken(watch->fd);
  if (keeper->daemon.pid > 0) {
    (void)kill(keeper->daemon.pid, SIGKILL); /* replaced, and too slow to end by itself */
  } else if (keeper->runs != NULL) {
    loop_timer_set(watch->fd, RUNS_MS);
  } else if (daemon_start(keeper, &err) < 0) {
    log_error("%s", err.text);
    loop_timer_set(watch->fd, backoff_pause(&keeper->daemon.backoff));
  }
}

int daemon_prepare(struct keeper *keeper, struct err *err) {
  int timer = -1;
  int r = loop_timer(&timer, err);
  return r < 0 ? r : keeper_watch(keeper, &keeper->daemon.timer, timer, EPOLLIN, timer_ready, keeper, err);
}

void daemon_exited(struct keeper *keeper, int status) {
  struct daemon *daemon = &keeper->daemon;
  bool orderly = daemon->told_to_end || (daemon->shutdown && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  daemon->pid = 0;
  control_close(keeper);
  if (orderly) {
    keeper_leave(keeper);
    return;
  }
  /* What it had run must not change the host any more once the next one looks at it. */
  spawn_end_runs(keeper);
  int pause = daemon->replaced ? 1 : backoff_pause(&daemon->backoff);
  if (!daemon->replaced) {
    log_warn("the daemon ended (%s %d), starting it again in %d ms", WIFSIGNALED(status) ? "signal" : "status",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), pause);
  }
  loop_timer_set(daemon->timer.fd, pause);
}

void daemon_ask_to_end(struct keeper *keeper) {
  keeper->daemon.told_to_end = true;
  if (keeper->daemon.pid > 0) {
    (void)kill(keeper->daemon.pid, SIGTERM);
  } else {
    keeper_leave(keeper);
  }
}

void daemon_replace(struct keeper *keeper) {
  struct daemon *daemon = &keeper->daemon;
  daemon->replaced = true;
  if (daemon->pid > 0) {
    (void)kill(daemon->pid, SIGTERM);
    loop_timer_set(daemon->timer.fd, REPLACE_MS);
  } else {
    loop_timer_set(daemon->timer.fd, 1);
  }
}
