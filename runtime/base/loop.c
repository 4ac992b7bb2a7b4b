#include "base/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

int loop_open(struct loop *ret_loop, struct err *err) {
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) {
    return err_errno(err, "cannot make an epoll set");
  }
  *ret_loop = (struct loop){.epoll = epoll};
  return 0;
}

void loop_close(struct loop *loop) {
  if (loop->epoll >= 0) {
    close(loop->epoll);
    loop->epoll = -1;
  }
}

int loop_arm(struct loop *loop, struct watch *watch, uint32_t events, struct err *err) {
  if (watch->armed == events) {
    return 0;
  }
  struct epoll_event event = {.events = events, .data = {.ptr = watch}};
  int operation = events == 0 ? EPOLL_CTL_DEL : watch->armed == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (epoll_ctl(loop->epoll, operation, watch->fd, &event) < 0) {
    return err_errno(err, "cannot watch descriptor %d", watch->fd);
  }
  watch->armed = events;
  return 0;
}

void loop_drop(struct loop *loop, struct watch *watch) {
  if (watch->fd < 0) {
    return;
  }
  (void)loop_arm(loop, watch, 0, /* err= */ NULL);
  close(watch->fd);
  watch->fd = -1;
  watch->armed = 0;
}

int loop_run(struct loop *loop, struct err *err) {
  while (!loop->quit) {
    struct epoll_event event;
    int n = epoll_wait(loop->epoll, &event, 1, -1);
    if (n < 0) {
      if (errno == EINTR) {
        continue;
      }
      return err_errno(err, "cannot wait for events");
    }
    if (n == 1) {
      struct watch *watch = event.data.ptr;
      watch->ready(watch, event.events);
    }
  }
  return 0;
}

int loop_signals(const int *signals, int *ret_fd, struct err *err) {
  sigset_t set;
  sigemptyset(&set);
  for (; *signals != 0; signals++) {
    sigaddset(&set, *signals);
  }
  if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
    return err_errno(err, "cannot block signals");
  }
  int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) {
    return err_errno(err, "cannot make a signalfd");
  }
  *ret_fd = fd;
  return 0;
}

int loop_timer(int *ret_fd, struct err *err) {
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (fd < 0) {
    return err_errno(err, "cannot make a timer");
  }
  *ret_fd = fd;
  return 0;
}

void loop_timer_set(int fd, int ms) {
  struct itimerspec at = {.it_value = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}};
  (void)timerfd_settime(fd, 0, &at, NULL);
}

void loop_timer_taken(int fd) {
  uint64_t count = 0;
  ssize_t n = read(fd, &count, sizeof(count));
  (void)n; /* EAGAIN after it was armed again: nothing to take */
}
