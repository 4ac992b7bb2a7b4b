#include "setup/idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "base/file.h"
#include "sys/syscalls.h"

/* A write to uid_map must be smaller than a page. */
#define MAP_TEXT_SIZE 4096

bool idmap_holds(int capability) {
  uint64_t effective = 0, permitted = 0, inheritable = 0;
  return sys_capget(&effective, &permitted, &inheritable) == 0 && (effective >> capability & 1) != 0;
}

int idmap_text(const struct plan_id_maps *maps, char *buffer, size_t capacity, struct err *err) {
  size_t size = 0;
  for (size_t i = 0; i < maps->count; i++) {
    const struct plan_id_map *map = &maps->items[i];
    int n = snprintf(buffer + size, capacity - size, "%u %u %u\n", map->inside, map->outside, map->count);
    if (n < 0 || (size_t)n >= capacity - size) {
      return err_set(err, E2BIG, "the id map of %zu ranges exceeds the kernel's limit of %d bytes", maps->count,
                     MAP_TEXT_SIZE - 1);
    }
    size += (size_t)n;
  }
  return 0;
}

static bool is_single(const struct plan_id_maps *maps, uint32_t own) {
  return maps->count == 1 && maps->items[0].count == 1 && maps->items[0].outside == own;
}

static int write_map(pid_t pid, const char *name, const struct plan_id_maps *maps, struct err *err) {
  char path[48], text[MAP_TEXT_SIZE];
  snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
  int r = idmap_text(maps, text, sizeof(text), err);
  r = r < 0 ? r : file_write_existing(AT_FDCWD, path, text, err);
  return r == -EPERM ? err_prefix(err, "the kernel refuses the map (ids that this process may not give away)") : r;
}

/* newuidmap PID INSIDE OUTSIDE COUNT … */
static int run_helper(const char *name, pid_t pid, const struct plan_id_maps *maps, struct err *err) {
  char path[32], numbers[3 * 341][12];
  char *words[3 * 341 + 2];
  size_t count = 0;
  snprintf(path, sizeof(path), "/usr/bin/%s", name);
  if (access(path, X_OK) < 0) {
    return err_set(err, ENOENT,
                   "the map gives away more than your own id, which needs %s (package uidmap), not found on this host; "
                   "map your own id alone, or install it",
                   path);
  }
  words[count++] = path;
  snprintf(numbers[0], sizeof(numbers[0]), "%d", (int)pid);
  words[count++] = numbers[0];
  for (size_t i = 0; i < maps->count; i++) {
    const uint32_t each[3] = {maps->items[i].inside, maps->items[i].outside, maps->items[i].count};
    for (int k = 0; k < 3; k++) {
      snprintf(numbers[count - 1], sizeof(numbers[0]), "%u", each[k]);
      words[count] = numbers[count - 1];
      count++;
    }
  }
  words[count] = NULL;
  char *environment[] = {(char *)(uintptr_t) "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
  struct child_plan child = CHILD_PLAN_INIT;
  child.path = path;
  child.argv = words;
  child.environment = environment;
  child.fds[2] = CHILD_INHERIT;
  pid_t helper = 0;
  int status = 0;
  int r = child_start(&child, &helper, err);
  if (r < 0) {
    return r;
  }
  while (waitpid(helper, &status, 0) < 0 && errno == EINTR) {
  }
  return status == 0
             ? 0
             : err_set(err, EPERM, "%s refuses the map; /etc/subuid and /etc/subgid say what you may map", path);
}

int idmap_write(pid_t pid, const struct plan_id_maps *uids, const struct plan_id_maps *gids, struct err *err) {
  int r;
  if (idmap_holds(CAP_SETGID)) {
    r = write_map(pid, "gid_map", gids, err);
  } else if (is_single(gids, getegid())) {
    /* Without privileges a group that denies must not be dropped: the kernel wants that promised first. */
    char path[48];
    snprintf(path, sizeof(path), "/proc/%d/setgroups", (int)pid);
    r = file_write_existing(AT_FDCWD, path, "deny", err);
    r = r < 0 ? r : write_map(pid, "gid_map", gids, err);
  } else {
    r = run_helper("newgidmap", pid, gids, err);
  }
  if (r < 0) {
    return err_prefix(err, "gidMappings");
  }
  r = idmap_holds(CAP_SETUID) || is_single(uids, geteuid()) ? write_map(pid, "uid_map", uids, err)
                                                            : run_helper("newuidmap", pid, uids, err);
  return r < 0 ? err_prefix(err, "uidMappings") : 0;
}

static int check_map(pid_t pid, const char *name, const struct plan_id_maps *maps, struct err *err) {
  char path[48], want[MAP_TEXT_SIZE];
  cleanup_free char *text = NULL;
  snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
  int r = file_read(AT_FDCWD, path, &text, NULL, err);
  if (r < 0) {
    return r;
  }
  size_t found = 0;
  const char *line = text;
  struct plan_id_map map;
  while (sscanf(line, " %u %u %u", &map.inside, &map.outside, &map.count) == 3) {
    bool same = false;
    for (size_t i = 0; i < maps->count && !same; i++) {
      same = memcmp(&maps->items[i], &map, sizeof(map)) == 0;
    }
    found += same;
    line = strchr(line, '\n');
    if (!same || line == NULL) {
      break;
    }
    line++;
  }
  r = idmap_text(maps, want, sizeof(want), err);
  if (r == 0 && (found != maps->count || (line != NULL && line[0] != '\0'))) {
    return err_set(err, EINVAL, "the joined user namespace has another %s than the configuration says", name);
  }
  return r;
}

int idmap_check(pid_t pid, const struct plan_id_maps *uids, const struct plan_id_maps *gids, struct err *err) {
  int r = uids->count == 0 ? 0 : check_map(pid, "uid_map", uids, err);
  return r < 0 || gids->count == 0 ? r : check_map(pid, "gid_map", gids, err);
}

int idmap_namespace(const struct plan_id_maps *uids, const struct plan_id_maps *gids, int *ret_fd, struct err *err) {
  cleanup_close int pidfd = -1;
  char path[48];
  pid_t pid = sys_clone3(CLONE_NEWUSER, SIGCHLD, -1, &pidfd);
  if (pid < 0) {
    return err_errno(err, "cannot make a user namespace to map ids by");
  }
  if (pid == 0) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
      pause();
    }
  }
  int r = idmap_write(pid, uids, gids, err);
  if (r == 0) {
    snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    r = fd < 0 ? err_errno(err, "cannot open %s", path) : 0;
    *ret_fd = r < 0 ? *ret_fd : fd;
  }
  (void)sys_pidfd_send_signal(pidfd, SIGKILL);
  while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
  }
  return r;
}
