#include "cgroup/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "sys/syscalls.h"

#define KILL_TIMEOUT_MS 10000

int cgroup_write_number(int fd, const char *file, int64_t value, struct err *err) {
  if (value == PLAN_UNSET) {
    return 0;
  }
  char text[24];
  snprintf(text, sizeof(text), "%lld", (long long)value);
  return file_write_existing(fd, file, text, err);
}

/* First controller of a "cpu,cpuacct" list into `name`; moves on. */
static bool next_controller(const char **at, char *name, size_t capacity) {
  if (**at == '\0') {
    return false;
  }
  size_t length = strcspn(*at, ",");
  snprintf(name, capacity, "%.*s", (int)length, *at);
  *at += length + ((*at)[length] == ',');
  return true;
}

static int prepare_level(const struct cgroup_place *place, int parent, int fd, struct err *err) {
  const char *at = place->controllers;
  char name[64];
  while (next_controller(&at, name, sizeof(name))) {
    const struct cgroup_controller *controller = cgroup_v1_controller(name);
    int r = controller == NULL || controller->level == NULL ? 0 : controller->level(parent, fd, err);
    if (r < 0) {
      return r;
    }
  }
  return 0;
}

/* Walks from the mount point down, making what is missing. */
static int make_directories(const struct cgroup_hierarchy *hierarchy, struct cgroup_place *place, bool limits,
                            int *ret_fd, struct err *err) {
  cleanup_close int at = open(hierarchy->mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (at < 0) {
    return err_errno(err, "cannot open %s", hierarchy->mount_point);
  }
  const char *part = place->directory + strlen(hierarchy->mount_point);
  while (*part != '\0') {
    part += strspn(part, "/");
    char name[256];
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(part, "/"), part);
    part += strlen(name);
    if (place->v2 && limits) {
      cgroup_v2_delegate(at);
    }
    bool made = mkdirat(at, name, 0755) == 0;
    if (!made && errno != EEXIST) {
      return err_errno(err, "cannot create cgroup %s", place->directory);
    }
    int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int r = next < 0 ? err_errno(err, "cannot open cgroup %s", place->directory) : 0;
    if (r == 0 && !place->v2) {
      r = prepare_level(place, at, next, err);
    }
    close(at);
    at = next;
    if (r < 0) {
      return r;
    }
  }
  *ret_fd = take_fd(&at);
  return 0;
}

static int apply(const struct cgroup_place *place, bool limits, int fd, const struct plan_resources *resources,
                 struct err *err) {
  if (place->v2) {
    int r = limits ? cgroup_v2_apply(fd, resources, err) : 0;
    if (r == -ENOENT) {
      return err_prefix(err, "%s does not have this controller (a group above it that has processes cannot pass it on)",
                        place->directory);
    }
    return r < 0 ? err_prefix(err, "%s", place->directory) : 0;
  }
  const char *at = place->controllers;
  char name[64];
  while (next_controller(&at, name, sizeof(name))) {
    const struct cgroup_controller *controller = cgroup_v1_controller(name);
    int r = controller == NULL ? 0 : controller->apply(fd, resources, err);
    if (r < 0) {
      return err_prefix(err, "%s", place->directory);
    }
  }
  return 0;
}

/* A limit nobody enforces is refused. */
static int check_controllers(const struct cgroup *cgroup, bool v1, const struct plan_resources *to, struct err *err) {
  const struct {
    const char *name;
    bool asked;
  } needs[] = {
      {"memory", to->memory_limit > 0},
      {"cpu", to->cpu_quota > 0 || to->cpu_shares > 0},
      {"pids", to->pids_limit > 0},
      {"devices", to->device_count > 0},
      {"cpuset", to->cpuset_cpus != NULL && to->cpuset_cpus[0] != '\0'},
      {"blkio", to->block_weight != PLAN_UNSET || to->block_limit_count > 0},
      {"hugetlb", to->hugepage_count > 0},
  };
  if (v1 && to->unified_count > 0) {
    return err_set(err, ENOTSUP, "linux.resources.unified: this host's controllers are on cgroup v1");
  }
  for (size_t i = 0; v1 && i < array_length(needs); i++) {
    bool found = !needs[i].asked;
    for (size_t p = 0; p < cgroup->count && !found; p++) {
      const char *at = cgroup->places[p].controllers;
      char name[64];
      while (!found && next_controller(&at, name, sizeof(name))) {
        found = strcmp(name, needs[i].name) == 0;
      }
    }
    if (!found) {
      return err_set(err, ENOTSUP, "linux.resources: this host has no %s cgroup controller", needs[i].name);
    }
  }
  return 0;
}

static int create_one(const struct cgroup_hierarchy *hierarchy, struct cgroup_place *place, bool limits,
                      const struct plan_resources *resources, struct err *err) {
  cleanup_close int fd = -1;
  int r = make_directories(hierarchy, place, limits, &fd, err);
  return r < 0 ? r : apply(place, limits, fd, resources, err);
}

int cgroup_find(const struct cgroup_layout *layout, const char *path, struct cgroup *ret_cgroup, struct err *err) {
  struct cgroup cgroup;
  cgroup.count = layout->count;
  for (size_t i = 0; i < layout->count; i++) {
    struct cgroup_place *place = &cgroup.places[i];
    place->v2 = layout->items[i].v2;
    memcpy(place->controllers, layout->items[i].controllers, sizeof(place->controllers));
    int r = cgroup_directory(&layout->items[i], path, place->directory, sizeof(place->directory), err);
    if (r < 0) {
      return r;
    }
  }
  *ret_cgroup = cgroup;
  return 0;
}

int cgroup_create(const struct cgroup_layout *layout, const char *path, const struct plan_resources *resources,
                  struct cgroup *ret_cgroup, struct err *err) {
  struct cgroup cgroup;
  int r = cgroup_find(layout, path, &cgroup, err);
  r = r < 0 ? r : check_controllers(&cgroup, layout->v1_controllers, resources, err);
  if (r < 0) {
    return r;
  }
  if (cgroup_is_populated(&cgroup)) {
    return err_set(err, EBUSY, "cgroup %s has processes already; delete what runs there first", path);
  }
  for (size_t i = 0; i < layout->count; i++) {
    r = create_one(&layout->items[i], &cgroup.places[i], !layout->v1_controllers, resources, err);
    if (r < 0) {
      (void)cgroup_destroy(&cgroup, NULL);
      return r;
    }
  }
  *ret_cgroup = cgroup;
  return 0;
}

static const struct cgroup_place *v2_place(const struct cgroup *cgroup) {
  for (size_t i = 0; i < cgroup->count; i++) {
    if (cgroup->places[i].v2) {
      return &cgroup->places[i];
    }
  }
  return NULL;
}

int cgroup_clone_target(const struct cgroup *cgroup) {
  const struct cgroup_place *place = v2_place(cgroup);
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
  const struct cgroup_place *place = v2_place(cgroup);
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
    if (place->v2 && skip_v2) {
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

static bool has_processes(const struct cgroup_place *place) {
  char file[sizeof(place->directory) + 16];
  char text[32];
  snprintf(file, sizeof(file), "%s/cgroup.procs", place->directory);
  cleanup_close int fd = open(file, O_RDONLY | O_CLOEXEC);
  return fd >= 0 && read(fd, text, sizeof(text)) > 0;
}

bool cgroup_is_populated(const struct cgroup *cgroup) {
  for (size_t i = 0; i < cgroup->count; i++) {
    if (has_processes(&cgroup->places[i])) {
      return true;
    }
  }
  return false;
}

static int signal_place(const char *directory, int signal, int *ret_sent) {
  char path[600];
  snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
  cleanup_file FILE *file = fopen(path, "re");
  int pid = 0;
  while (file != NULL && fscanf(file, "%d", &pid) == 1) {
    if (pid > 0 && pid != getpid() && kill(pid, signal) == 0) {
      (*ret_sent)++;
    }
  }
  return 0;
}

/* Groups made by the container itself, deepest first. */
static void each_below(const char *directory, void (*act)(const char *, void *), void *data) {
  cleanup_dir DIR *dir = opendir(directory);
  const struct dirent *entry;
  while (dir != NULL && (entry = readdir(dir)) != NULL) {
    if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
      char below[600];
      int n = snprintf(below, sizeof(below), "%s/%s", directory, entry->d_name);
      if (n > 0 && (size_t)n < sizeof(below)) {
        each_below(below, act, data);
      }
    }
  }
  act(directory, data);
}

struct signal_work {
  int signal;
  int sent;
};

static void signal_one(const char *directory, void *data) {
  struct signal_work *work = data;
  signal_place(directory, work->signal, &work->sent);
}

int cgroup_signal(const struct cgroup *cgroup, int signal, struct err *err) {
  (void)err;
  /* Every hierarchy holds the same processes; the one with most freedom for the container is not asked: pids or v2. */
  struct signal_work work = {signal, 0};
  const struct cgroup_place *place = v2_place(cgroup);
  if (place == NULL && cgroup->count > 0) {
    place = &cgroup->places[0];
  }
  if (place != NULL) {
    each_below(place->directory, signal_one, &work);
  }
  return 0;
}

static const struct cgroup_place *place_of(const struct cgroup *cgroup, const char *controller) {
  for (size_t i = 0; i < cgroup->count; i++) {
    if (strcmp(cgroup->places[i].controllers, controller) == 0) {
      return &cgroup->places[i];
    }
  }
  return NULL;
}

static void freeze_v1(const struct cgroup *cgroup, const char *state) {
  const struct cgroup_place *place = place_of(cgroup, "freezer");
  if (place != NULL) {
    char file[sizeof(place->directory) + 16];
    snprintf(file, sizeof(file), "%s/freezer.state", place->directory);
    (void)file_write_existing(AT_FDCWD, file, state, NULL);
  }
}

static int wait_empty_v2(const struct cgroup_place *place, struct err *err) {
  char file[sizeof(place->directory) + 16];
  snprintf(file, sizeof(file), "%s/cgroup.events", place->directory);
  cleanup_close int fd = open(file, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return errno == ENOENT ? 0 : err_errno(err, "cannot open %s", file);
  }
  for (;;) {
    char text[128];
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    if (n < 0) {
      return errno == ENODEV ? 0 : err_errno(err, "cannot read %s", file);
    }
    text[n] = '\0';
    if (strstr(text, "populated 0") != NULL) {
      return 0;
    }
    struct pollfd entry = {.fd = fd, .events = POLLPRI};
    int ready = poll(&entry, 1, KILL_TIMEOUT_MS);
    if (ready == 0) {
      return err_set(err, ETIMEDOUT, "processes in %s do not die", place->directory);
    }
    if (ready < 0 && errno != EINTR) {
      return err_errno(err, "cannot wait for %s", file);
    }
  }
}

/* Without cgroup.kill: nobody may fork while the signals go out, so everything is frozen first. */
static int kill_v1(const struct cgroup *cgroup, struct err *err) {
  freeze_v1(cgroup, "FROZEN");
  (void)cgroup_signal(cgroup, SIGKILL, NULL);
  freeze_v1(cgroup, "THAWED");
  const struct cgroup_place *place = &cgroup->places[0];
  char file[sizeof(place->directory) + 16];
  snprintf(file, sizeof(file), "%s/cgroup.procs", place->directory);
  for (int round = 0; round < 64; round++) {
    cleanup_file FILE *procs = fopen(file, "re");
    int pid = 0;
    if (procs == NULL || fscanf(procs, "%d", &pid) != 1) {
      return 0;
    }
    cleanup_close int pidfd = sys_pidfd_open(pid);
    struct pollfd entry = {.fd = pidfd, .events = POLLIN};
    if (pidfd >= 0 && poll(&entry, 1, KILL_TIMEOUT_MS) == 0) {
      return err_set(err, ETIMEDOUT, "process %d in %s does not die", pid, place->directory);
    }
  }
  return err_set(err, EBUSY, "processes keep appearing in %s", place->directory);
}

static int kill_all(const struct cgroup *cgroup, struct err *err) {
  const struct cgroup_place *place = v2_place(cgroup);
  if (place != NULL) {
    char file[sizeof(place->directory) + 16];
    snprintf(file, sizeof(file), "%s/cgroup.kill", place->directory);
    int r = file_write_existing(AT_FDCWD, file, "1", err);
    if (r == 0) {
      freeze_v1(cgroup, "THAWED");
      return wait_empty_v2(place, err);
    }
  }
  return kill_v1(cgroup, err);
}

static void remove_one(const char *directory, void *data) {
  int *busy = data;
  if (rmdir(directory) < 0 && errno != ENOENT) {
    *busy = errno;
  }
}

/* 0, or the errno of what stayed. A group is usually a leaf: one rmdir each. */
static int remove_all(const struct cgroup *cgroup) {
  int left = 0;
  for (size_t i = cgroup->count; i > 0; i--) {
    const char *directory = cgroup->places[i - 1].directory;
    if (rmdir(directory) < 0 && errno != ENOENT) {
      int busy = 0;
      each_below(directory, remove_one, &busy);
      left = busy != 0 ? busy : left;
    }
  }
  return left;
}

int cgroup_destroy(const struct cgroup *cgroup, struct err *err) {
  int left = remove_all(cgroup);
  /* A process leaves its groups a little after it can be waited for; then, or with live processes, the second round. */
  for (int round = 0; left == EBUSY && round < 8; round++) {
    int r = kill_all(cgroup, err);
    if (r < 0) {
      return r;
    }
    left = remove_all(cgroup);
    if (left == EBUSY && round > 1) {
      poll(NULL, 0, 1 << round);
    }
  }
  return left == 0 ? 0 : err_code(err, left, "cannot remove the container's cgroups");
}

static int wait_frozen(const struct cgroup_place *place, bool freeze, struct err *err) {
  char file[sizeof(place->directory) + 16];
  char text[128];
  snprintf(file, sizeof(file), "%s/cgroup.events", place->directory);
  cleanup_close int fd = open(file, O_RDONLY | O_CLOEXEC);
  while (fd >= 0) {
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    text[n < 0 ? 0 : n] = '\0';
    if (n < 0 || strstr(text, freeze ? "frozen 1" : "frozen 0") != NULL) {
      return n < 0 ? err_errno(err, "cannot read %s", file) : 0;
    }
    struct pollfd entry = {.fd = fd, .events = POLLPRI};
    if (poll(&entry, 1, KILL_TIMEOUT_MS) == 0) {
      return err_set(err, ETIMEDOUT, "processes in %s do not %s", place->directory, freeze ? "freeze" : "thaw");
    }
  }
  return err_errno(err, "cannot open %s", file);
}

int cgroup_freeze(const struct cgroup *cgroup, bool freeze, struct err *err) {
  const struct cgroup_place *place = v2_place(cgroup);
  if (place == NULL) {
    freeze_v1(cgroup, freeze ? "FROZEN" : "THAWED");
    return 0;
  }
  char file[sizeof(place->directory) + 16];
  snprintf(file, sizeof(file), "%s/cgroup.freeze", place->directory);
  int r = file_write_existing(AT_FDCWD, file, freeze ? "1" : "0", err);
  return r < 0 ? r : wait_frozen(place, freeze, err);
}

int cgroup_open_entries(const struct cgroup *cgroup, bool skip_v2, int ret_fds[CGROUP_HIERARCHIES], struct err *err) {
  for (size_t i = 0; i < cgroup->count; i++) {
    const struct cgroup_place *place = &cgroup->places[i];
    char file[sizeof(place->directory) + 16];
    if (place->v2 && skip_v2) {
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
