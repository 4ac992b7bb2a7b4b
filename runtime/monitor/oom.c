/*
 * Out-of-memory kills, counted by the kernel per cgroup: `oom_kill` in memory.events (v2, changes are told by inotify)
 * or in memory.oom_control (v1, told by an eventfd). Best effort: without the files nothing is reported, never a wrong
 * thing.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/file.h"
#include "monitor/state.h"

/* How often, and how many times, the counter is looked at after an event that it does not show yet. */
#define LOOK_AGAIN_MS 20
#define LOOKS_MAX 50

struct place {
  bool v1;
  char path[PATH_MAX]; /* of the cgroup below its mount */
};

/* Does the comma-separated list hold the word? */
static bool lists(const char *list, const char *word) {
  size_t length = strlen(word);
  for (const char *at = list; (at = strstr(at, word)) != NULL; at += length) {
    if ((at == list || at[-1] == ',') && (at[length] == ',' || at[length] == '\0' || at[length] == '\n')) {
      return true;
    }
  }
  return false;
}

/* The memory cgroup of a process: the v1 hierarchy that has the controller, else v2. */
static int find_place(pid_t pid, struct place *ret_place) {
  char name[40];
  cleanup_free char *text = NULL;
  size_t size = 0;
  snprintf(name, sizeof(name), "/proc/%d/cgroup", pid);
  if (file_read(AT_FDCWD, name, &text, &size, /* err= */ NULL) < 0) {
    return -ENOENT;
  }
  int found = -ENOENT;
  char *rest = NULL;
  for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
    char *controllers = strchr(line, ':');
    char *path = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (path == NULL || strlen(path) >= sizeof(ret_place->path)) {
      continue;
    }
    *path++ = '\0';
    bool v1 = lists(controllers + 1, "memory");
    if (v1 || (found < 0 && controllers[1] == '\0')) {
      ret_place->v1 = v1;
      strcpy(ret_place->path, path);
      found = 0;
      if (v1) {
        break;
      }
    }
  }
  return found;
}

/* Fields of a mountinfo line that matter here; they point into the line. */
static bool mount_of(char *line, bool v1, char **ret_root, char **ret_point) {
  char *fields[5];
  char *rest = NULL;
  char *tail = strstr(line, " - ");
  if (tail == NULL) {
    return false;
  }
  *tail = '\0';
  tail += 3;
  for (size_t i = 0; i < array_length(fields); i++) {
    fields[i] = strtok_r(i == 0 ? line : NULL, " ", &rest);
    if (fields[i] == NULL) {
      return false;
    }
  }
  const char *type = strtok_r(tail, " ", &rest);
  const char *source = strtok_r(NULL, " ", &rest);
  const char *options = strtok_r(NULL, " ", &rest);
  if (type == NULL || source == NULL || options == NULL ||
      (v1 ? strcmp(type, "cgroup") != 0 || !lists(options, "memory") : strcmp(type, "cgroup2") != 0)) {
    return false;
  }
  *ret_root = fields[3];
  *ret_point = fields[4];
  return true;
}

static int open_cgroup(const struct place *place) {
  cleanup_free char *text = NULL;
  size_t size = 0;
  if (file_read(AT_FDCWD, "/proc/self/mountinfo", &text, &size, /* err= */ NULL) < 0) {
    return -1;
  }
  char *rest = NULL;
  for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
    char *root = NULL, *point = NULL;
    if (!mount_of(line, place->v1, &root, &point)) {
      continue;
    }
    size_t skip = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(place->path, root, skip) != 0) {
      continue;
    }
    cleanup_free char *path = str_format("%s%s", point, place->path + skip);
    return path == NULL ? -1 : open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  }
  return -1;
}

static uint64_t read_counter(int fd) {
  char text[1024];
  ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
  if (n < 0) {
    return 0;
  }
  text[n] = '\0';
  for (char *line = text; line != NULL; line = strchr(line, '\n')) {
    line += *line == '\n';
    if (strncmp(line, "oom_kill ", 9) == 0) {
      return strtoull(line + 9, NULL, 10);
    }
  }
  return 0;
}

static void look_again(struct watch *watch, uint32_t events) {
  (void)events;
  struct monitor *monitor = watch->owner;
  uint64_t told = monitor->oom.told;
  loop_timer_taken(watch->fd);
  oom_check(monitor);
  if (monitor->oom.told == told && --monitor->oom.looks > 0) {
    loop_timer_set(watch->fd, LOOK_AGAIN_MS);
  }
}

/* v1 tells of the pressure, and the kill is counted a moment later. */
static void look_later(struct monitor *monitor) {
  struct oom *oom = &monitor->oom;
  int timer = -1;
  if (oom->again.fd < 0) {
    if (loop_timer(&timer, /* err= */ NULL) < 0) {
      return; /* the next event, or the end, will find it */
    }
    oom->again = (struct watch){.fd = timer, .ready = look_again, .owner = monitor};
    (void)loop_arm(&monitor->loop, &oom->again, EPOLLIN, /* err= */ NULL);
  }
  oom->looks = LOOKS_MAX;
  loop_timer_set(oom->again.fd, LOOK_AGAIN_MS);
}

static void told(struct watch *watch, uint32_t events) {
  struct monitor *monitor = watch->owner;
  char drain[512];
  ssize_t n = read(watch->fd, drain, sizeof(drain));
  if ((n < 0 && errno != EAGAIN) || (events & (EPOLLERR | EPOLLHUP))) {
    loop_drop(&monitor->loop, watch);
  }
  uint64_t before = monitor->oom.told;
  oom_check(monitor);
  if (monitor->oom.v1 && monitor->oom.told == before) {
    look_later(monitor);
  }
}

static int watch_v2(int cgroup) {
  char path[64];
  int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  snprintf(path, sizeof(path), "/proc/self/fd/%d/memory.events", cgroup);
  if (fd >= 0 && inotify_add_watch(fd, path, IN_MODIFY) < 0) {
    close(fd);
    return -1;
  }
  return fd;
}

static int watch_v1(int cgroup, int control) {
  cleanup_close int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  char text[40];
  snprintf(text, sizeof(text), "%d %d", fd, control);
  if (fd < 0 || file_write_existing(cgroup, "cgroup.event_control", text, /* err= */ NULL) < 0) {
    return -1;
  }
  return take_fd(&fd);
}

void oom_watch(struct monitor *monitor) {
  struct oom *oom = &monitor->oom;
  struct place place;
  if (find_place(monitor->pid, &place) < 0) {
    return;
  }
  cleanup_close int cgroup = open_cgroup(&place);
  if (cgroup < 0) {
    return;
  }
  oom->counter = openat(cgroup, place.v1 ? "memory.oom_control" : "memory.events", O_RDONLY | O_CLOEXEC);
  if (oom->counter < 0) {
    return;
  }
  oom->before = oom->told = read_counter(oom->counter);
  oom->v1 = place.v1;
  int fd = place.v1 ? watch_v1(cgroup, oom->counter) : watch_v2(cgroup);
  if (fd >= 0) {
    oom->watch = (struct watch){.fd = fd, .ready = told, .owner = monitor};
    (void)loop_arm(&monitor->loop, &oom->watch, EPOLLIN, /* err= */ NULL);
  }
}

/* Also at the end: a kill may be counted after the last event. */
void oom_check(struct monitor *monitor) {
  struct oom *oom = &monitor->oom;
  uint64_t now = read_counter(oom->counter);
  if (now <= oom->told) {
    return;
  }
  oom->told = now;
  /* An exec shares the container's cgroup: the container's monitor tells, here it only explains a kill. */
  if (!monitor->config.exec) {
    static const char event[] = "{\"event\":\"oom\"}";
    monitor->oom_killed = true;
    clients_event(monitor, event, sizeof(event) - 1);
  }
}

void oom_close(struct monitor *monitor) {
  loop_drop(&monitor->loop, &monitor->oom.watch);
  loop_drop(&monitor->loop, &monitor->oom.again);
  if (monitor->oom.counter >= 0) {
    close(monitor->oom.counter);
    monitor->oom.counter = -1;
  }
}
