/*
 * An epoll loop for the long-lived processes. Level-triggered; one event per wait, so that a callback may free any
 * watch, its own included, without a stale event behind it.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct watch {
  int fd;
  void (*ready)(struct watch *watch, uint32_t events);
  void *owner;
  uint32_t armed; /* events asked for; 0: not in the set, so a hung-up peer wakes nobody */
};

struct loop {
  int epoll;
  bool quit;
};

int loop_open(struct loop *ret_loop, struct err *err);
void loop_close(struct loop *loop);

/* Asks for exactly these events (EPOLLIN, EPOLLOUT, …); 0 takes the watch out. Idempotent. */
int loop_arm(struct loop *loop, struct watch *watch, uint32_t events, struct err *err);

/* Takes the watch out and closes its descriptor; an unused one (fd -1) is fine. */
void loop_drop(struct loop *loop, struct watch *watch);

/* Serves until `quit`. */
int loop_run(struct loop *loop, struct err *err);

/* Blocks these signals (list ended by 0) and makes a signalfd of them. */
int loop_signals(const int *signals, int *ret_fd, struct err *err);

/* A timerfd that fires once after `ms`; loop_timer_set arms it again, 0 disarms. */
int loop_timer(int *ret_fd, struct err *err);
void loop_timer_set(int fd, int ms);
/* To be called when it fired. */
void loop_timer_taken(int fd);
