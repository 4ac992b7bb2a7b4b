#include <errno.h>
#include <poll.h>
#include <time.h>

#include "base/fd.h"
#include "container/container.h"
#include "sys/process.h"

static int print_stats(const struct container *container, struct err *err) {
  cleanup_str struct str out = STR_INIT;
  int r = str_addf(&out, "{\"type\":\"stats\",\"id\":\"%s\",\"data\":", container->id);
  r = r < 0 ? err_oom(err) : cgroup_stats_text(&container->cgroup, &out, err);
  if (r < 0) {
    return r;
  }
  return str_add(&out, "}\n") < 0 ? err_oom(err) : fd_write_all(STDOUT_FILENO, out.data, out.size, err);
}

static int print_oom(const struct container *container, struct err *err) {
  cleanup_str struct str out = STR_INIT;
  if (str_addf(&out, "{\"type\":\"oom\",\"id\":\"%s\"}\n", container->id) < 0) {
    return err_oom(err);
  }
  return fd_write_all(STDOUT_FILENO, out.data, out.size, err);
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until the container's first process is gone. */
static int follow(const struct container *container, const struct cgroup_oom *oom, int pidfd, int interval_ms,
                  struct err *err) {
  uint64_t told = cgroup_oom_count(oom);
  int64_t next = now_ms() + interval_ms;
  for (;;) {
    struct pollfd entries[] = {{.fd = pidfd, .events = POLLIN}, {.fd = oom->wake, .events = POLLIN}};
    int64_t left = next - now_ms();
    int ready = poll(entries, array_length(entries), left > 0 ? (int)left : 0);
    if (ready < 0 && errno != EINTR) {
      return err_errno(err, "cannot wait for events");
    }
    uint64_t count = cgroup_oom_count(oom);
    int r = count > told ? print_oom(container, err) : 0;
    told = count > told ? count : told;
    if (r < 0 || (entries[0].revents & POLLIN) != 0) {
      return r;
    }
    if (now_ms() >= next) {
      r = print_stats(container, err);
      next = now_ms() + interval_ms;
    }
    if (r < 0) {
      return r;
    }
  }
}

int container_events(const char *root, const char *id, bool once, int interval_ms, struct err *err) {
  cleanup_container struct container container = CONTAINER_INIT;
  cleanup_close int pidfd = -1;
  struct cgroup_oom oom;
  int r = container_open(root, id, false, &container, err);
  if (r < 0) {
    return r;
  }
  if (process_open(container.pid, container.start_time, &pidfd, NULL) < 0) {
    return err_set(err, EINVAL, "container %s is stopped: it has no events", id);
  }
  if (once) {
    return print_stats(&container, err);
  }
  r = cgroup_oom_open(&container.cgroup, &oom, err);
  if (r < 0) {
    return r;
  }
  r = follow(&container, &oom, pidfd, interval_ms, err);
  cgroup_oom_close(&oom);
  return r;
}
