/* Ways into a group: for the first process, for those that join, for a process about to lose sight of the files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cgroup/cgroup.h"

int cgroup_clone_target(const struct cgroup *cgroup) {
  const struct cgroup_place *place = cgroup_v2_place(cgroup);
  return place == NULL ? -1 : open(place->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Where in the file system the v2 group of a process is; false when it cannot be told. */
static bool v2_directory_of(pid_t pid, char *buffer, size_t capacity) {
  struct cgroup_layout layout;
  char file[32];
  cleanup_free char *text = NULL;
  snprintf(file, sizeof(file), "/proc/%d/cgroup", (int)pid);
  if (cgroup_layout_read(&layout, NULL) < 0 || file_read(AT_FDCWD, file, &text, NULL, NULL) < 0) {
    return false;
  }
  char *line = str_starts(text, "0::") ? text : strstr(text, "\n0::");
  if (line == NULL) {
    return false;
  }
  char *path = strchr(line, '/');
  if (path == NULL) {
    return false;
  }
  path[strcspn(path, "\n")] = '\0';
  for (size_t i = 0; i < layout.count; i++) {
    if (layout.items[i].v2) {
      return cgroup_directory(&layout.items[i], path, buffer, capacity, NULL) == 0;
    }
  }
  return false;
}

int cgroup_join_target(const struct cgroup *cgroup, pid_t init) {
  const struct cgroup_place *place = cgroup_v2_place(cgroup);
  cleanup_close int own = cgroup_clone_target(cgroup);
  char passed[512] = "";
  if (own < 0 || file_read_line(own, "cgroup.subtree_control", passed, sizeof(passed), NULL) < 0 || passed[0] == '\0') {
    return take_fd(&own);
  }
  char directory[sizeof(place->directory)];
  size_t length = strlen(place->directory);
  /* Only below the container's own group: the limits hold there. */
  if (v2_directory_of(init, directory, sizeof(directory)) && strncmp(directory, place->directory, length) == 0 &&
      directory[length] == '/') {
    int below = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (below >= 0) {
      return below;
    }
  }
  return take_fd(&own);
}

int cgroup_enter(const struct cgroup *cgroup, bool skip_v2, struct err *err) {
  for (size_t i = 0; i < cgroup->count; i++) {
    const struct cgroup_place *place = &cgroup->places[i];
    if (place->directory[0] == '\0' || (place->v2 && skip_v2)) {
      continue;
    }
    /* "0" into v1's tasks moves the caller without the kernel's global lock, whose first taker waits for a grace
       period (some 8 ms). */
    char file[sizeof(place->directory) + 16];
    snprintf(file, sizeof(file), "%s/%s", place->directory, place->v2 ? "cgroup.procs" : "tasks");
    int r = file_write_existing(AT_FDCWD, file, "0", err);
    if (r < 0) {
      return r;
    }
  }
  return 0;
}

int cgroup_open_entries(const struct cgroup *cgroup, bool skip_v2, int ret_fds[CGROUP_HIERARCHIES], struct err *err) {
  for (size_t i = 0; i < cgroup->count; i++) {
    const struct cgroup_place *place = &cgroup->places[i];
    char file[sizeof(place->directory) + 16];
    if (place->directory[0] == '\0' || (place->v2 && skip_v2)) {
      continue;
    }
    snprintf(file, sizeof(file), "%s/%s", place->directory, place->v2 ? "cgroup.procs" : "tasks");
    ret_fds[i] = open(file, O_WRONLY | O_CLOEXEC);
    if (ret_fds[i] < 0) {
      return err_errno(err, "cannot open %s", file);
    }
  }
  return 0;
}

int cgroup_enter_entries(const int fds[CGROUP_HIERARCHIES], struct err *err) {
  for (size_t i = 0; i < CGROUP_HIERARCHIES; i++) {
    if (fds[i] >= 0 && write(fds[i], "0", 1) < 0) {
      return err_errno(err, "cannot enter the container's cgroups");
    }
  }
  return 0;
}
