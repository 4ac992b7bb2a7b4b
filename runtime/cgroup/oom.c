#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/file.h"
#include "cgroup/cgroup.h"
#include "cgroup/stats.h"

/* v2 tells of changes of memory.events by inotify, v1 of pressure by an eventfd; both count kills. */
int cgroup_oom_open(const struct cgroup *cgroup, struct cgroup_oom *ret_oom, struct err *err) {
  const struct cgroup_place *place = cgroup_place_of(cgroup, "memory");
  if (place == NULL) {
    return err_set(err, ENOTSUP, "the container has no memory cgroup");
  }
  cleanup_close int group = open(place->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  cleanup_close int counter =
      group < 0 ? -1 : openat(group, place->v2 ? "memory.events" : "memory.oom_control", O_RDONLY | O_CLOEXEC);
  if (counter < 0) {
    return err_errno(err, "cannot open %s/%s", place->directory, place->v2 ? "memory.events" : "memory.oom_control");
  }
  cleanup_close int wake = -1;
  if (place->v2) {
    char path[sizeof(place->directory) + 32];
    snprintf(path, sizeof(path), "%s/memory.events", place->directory);
    wake = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (wake < 0 || inotify_add_watch(wake, path, IN_MODIFY) < 0) {
      return err_errno(err, "cannot watch %s", path);
    }
  } else {
    char text[40];
    wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    snprintf(text, sizeof(text), "%d %d", wake, counter);
    int r = wake < 0 ? err_errno(err, "cannot make an eventfd")
                     : file_write_existing(group, "cgroup.event_control", text, err);
    if (r < 0) {
      return r;
    }
  }
  *ret_oom = (struct cgroup_oom){take_fd(&wake), take_fd(&counter)};
  return 0;
}

uint64_t cgroup_oom_count(const struct cgroup_oom *oom) {
  char text[1024];
  while (read(oom->wake, text, sizeof(text)) > 0) {
  }
  ssize_t n = pread(oom->counter, text, sizeof(text) - 1, 0);
  if (n < 0) {
    return 0;
  }
  text[n] = '\0';
  const char *line = str_starts(text, "oom_kill ") ? text : strstr(text, "\noom_kill ");
  return line == NULL ? 0 : strtoull(strchr(line, ' '), NULL, 10);
}

void cgroup_oom_close(struct cgroup_oom *oom) {
  close(oom->wake);
  close(oom->counter);
}
