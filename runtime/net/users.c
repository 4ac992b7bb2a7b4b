#include "net/users.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "sys/syscalls.h"

/* The kernel takes less than a page. */
#define MAP_SIZE 4096

static int map_text(const struct json *maps, const char *key, char *text, struct err *err) {
  struct json array;
  size_t count = 0, size = 0;
  int r = json_array_at(maps, key, &array, &count, err);
  if (r >= 0 && count == 0) {
    return err_set(err, EINVAL, "%s.%s: missing", maps->path, key);
  }
  for (size_t i = 0; r >= 0 && i < count; i++) {
    struct json item;
    long long inside = 0, outside = 0, length = 0;
    json_item(&array, i, &item);
    r = json_need_long(&item, "containerID", 0, UINT32_MAX - 1, &inside, err);
    r = r < 0 ? r : json_need_long(&item, "hostID", 0, UINT32_MAX - 1, &outside, err);
    r = r < 0 ? r : json_need_long(&item, "size", 1, UINT32_MAX, &length, err);
    if (r >= 0) {
      int n = snprintf(text + size, MAP_SIZE - size, "%lld %lld %lld\n", inside, outside, length);
      if (n < 0 || (size_t)n >= MAP_SIZE - size) {
        return err_set(err, E2BIG, "%s: more than the kernel takes", array.path);
      }
      size += (size_t)n;
    }
  }
  return r < 0 ? r : 0;
}

static int write_map(pid_t pid, const char *file, const struct json *maps, const char *key, struct err *err) {
  char path[48], text[MAP_SIZE];
  int r = map_text(maps, key, text, err);
  snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
  r = r < 0 ? r : file_write_existing(AT_FDCWD, path, text, err);
  return r < 0 ? err_prefix(err, "user namespace") : 0;
}

static int open_of(pid_t pid, const char *kind, int *ret_fd, struct err *err) {
  char path[48];
  snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, kind);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return err_errno(err, "cannot open %s", path);
  }
  *ret_fd = fd;
  return 0;
}

int users_make(const struct json *maps, int *ret_users, int *ret_netns, struct err *err) {
  cleanup_close int pidfd = -1;
  cleanup_close int users = -1;
  cleanup_close int netns = -1;
  pid_t pid = sys_clone3(CLONE_NEWUSER | CLONE_NEWNET, SIGCHLD, -1, &pidfd);
  if (pid < 0) {
    return err_errno(err, "cannot make a user and a network namespace");
  }
  if (pid == 0) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
      pause();
    }
  }
  int r = write_map(pid, "gid_map", maps, "gidMappings", err);
  r = r < 0 ? r : write_map(pid, "uid_map", maps, "uidMappings", err);
  r = r < 0 ? r : open_of(pid, "user", &users, err);
  r = r < 0 ? r : open_of(pid, "net", &netns, err);
  (void)sys_pidfd_send_signal(pidfd, SIGKILL);
  while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
  }
  if (r < 0) {
    return r;
  }
  *ret_users = take_fd(&users);
  *ret_netns = take_fd(&netns);
  return 0;
}

int users_of(int pid, int *ret_users, struct err *err) {
  cleanup_close int users = -1;
  struct stat own, other;
  int r = open_of(pid, "user", &users, err);
  if (r < 0) {
    return r;
  }
  if (stat("/proc/self/ns/user", &own) < 0 || fstat(users, &other) < 0) {
    return err_errno(err, "cannot look at a user namespace");
  }
  *ret_users = own.st_ino == other.st_ino && own.st_dev == other.st_dev ? -1 : take_fd(&users);
  return 0;
}
