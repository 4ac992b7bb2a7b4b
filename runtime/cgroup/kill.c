/* The processes of a group: who they are, stopping them, killing them, removing what is left. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "cgroup/cgroup.h"
#include "sys/syscalls.h"

#define TIMEOUT_MS 10000
/* Between two looks at who is left. */
#define ROUND_MS 50
/* Processes held at once while they are signalled. */
#define HELD 64
#define PLACE_FILE (sizeof(((struct cgroup_place *)0)->directory) + 32)

static void place_file(const struct cgroup_place *place, const char *file, char buffer[PLACE_FILE]) {
  snprintf(buffer, PLACE_FILE, "%s/%s", place->directory, file);
}

bool cgroup_has_processes(const struct cgroup_place *place) {
  char file[PLACE_FILE], text[32];
  place_file(place, "cgroup.procs", file);
  cleanup_close int fd = open(file, O_RDONLY | O_CLOEXEC);
  return fd >= 0 && read(fd, text, sizeof(text)) > 0;
}

/* Groups made by the container itself too, deepest first. */
static void each_below(const char *directory, void (*act)(const char *, void *), void *data) {
  cleanup_dir DIR *dir = opendir(directory);
  const struct dirent *entry;
  while (dir != NULL && (entry = readdir(dir)) != NULL) {
    if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
      char below[PLACE_FILE * 2];
      int n = snprintf(below, sizeof(below), "%s/%s", directory, entry->d_name);
      if (n > 0 && (size_t)n < sizeof(below)) {
        each_below(below, act, data);
      }
    }
  }
  act(directory, data);
}

struct pids {
  pid_t *items;
  size_t count, capacity;
  bool failed;
};

static void collect(const char *directory, void *data) {
  struct pids *pids = data;
  char path[PLACE_FILE * 3];
  snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
  cleanup_file FILE *file = fopen(path, "re");
  int pid = 0;
  while (file != NULL && fscanf(file, "%d", &pid) == 1) {
    /* 0: a process our pid namespace does not show. */
    if (pid <= 0) {
      continue;
    }
    if (pids->count == pids->capacity) {
      size_t capacity = pids->capacity == 0 ? 64 : pids->capacity * 2;
      pid_t *items = realloc(pids->items, capacity * sizeof(*items));
      if (items == NULL) {
        pids->failed = true;
        return;
      }
      pids->items = items;
      pids->capacity = capacity;
    }
    pids->items[pids->count++] = pid;
  }
}

static int compare_pids(const void *a, const void *b) {
  pid_t left = *(const pid_t *)a, right = *(const pid_t *)b;
  return (left > right) - (left < right);
}

int cgroup_processes(const struct cgroup *cgroup, pid_t **ret_pids, size_t *ret_count, struct err *err) {
  /* Every hierarchy holds the same processes. */
  const struct cgroup_place *place = cgroup_v2_place(cgroup);
  for (size_t i = 0; place == NULL && i < cgroup->count; i++) {
    place = cgroup->places[i].directory[0] != '\0' ? &cgroup->places[i] : NULL;
  }
  struct pids pids = {NULL, 0, 0, false};
  if (place != NULL) {
    each_below(place->directory, collect, &pids);
  }
  if (pids.failed) {
    free(pids.items);
    return err_oom(err);
  }
  if (pids.count > 1) {
    qsort(pids.items, pids.count, sizeof(*pids.items), compare_pids);
  }
  /* One that moved while we read may have been met twice. */
  size_t kept = 0;
  for (size_t i = 0; i < pids.count; i++) {
    if (kept == 0 || pids.items[kept - 1] != pids.items[i]) {
      pids.items[kept++] = pids.items[i];
    }
  }
  *ret_pids = pids.items;
  *ret_count = kept;
  return 0;
}

/* Not ourselves: the caller may have put the runtime into the group. */
static int hold(const pid_t *pids, size_t count, int *fds, struct err *err) {
  for (size_t i = 0; i < count; i++) {
    fds[i] = pids[i] == getpid() ? -1 : sys_pidfd_open(pids[i]);
    if (fds[i] < 0 && pids[i] != getpid() && errno != ESRCH) {
      return err_errno(err, "cannot open process %d", (int)pids[i]);
    }
  }
  return 0;
}

/* A process that ended since it was listed may have left its number to a stranger. So each is held first, and then
   listed once more: one that is held and not gone, and whose number is listed, is a member. */
static int signal_some(const struct cgroup *cgroup, const pid_t *pids, size_t count, int signal, struct err *err) {
  int fds[HELD];
  cleanup_free pid_t *members = NULL;
  size_t member_count = 0;
  memset(fds, -1, sizeof(fds));
  int r = hold(pids, count, fds, err);
  r = r < 0 ? r : cgroup_processes(cgroup, &members, &member_count, err);
  for (size_t i = 0; i < count; i++) {
    if (r == 0 && fds[i] >= 0 && bsearch(&pids[i], members, member_count, sizeof(*members), compare_pids) != NULL) {
      (void)sys_pidfd_send_signal(fds[i], signal);
    }
    if (fds[i] >= 0) {
      close(fds[i]);
    }
  }
  return r;
}

static int signal_members(const struct cgroup *cgroup, const pid_t *pids, size_t count, int signal, struct err *err) {
  int r = 0;
  for (size_t from = 0; r == 0 && from < count; from += HELD) {
    r = signal_some(cgroup, pids + from, count - from < HELD ? count - from : HELD, signal, err);
  }
  return r;
}

int cgroup_signal(const struct cgroup *cgroup, int signal, struct err *err) {
  cleanup_free pid_t *pids = NULL;
  size_t count = 0;
  int r = cgroup_processes(cgroup, &pids, &count, err);
  return r < 0 ? r : signal_members(cgroup, pids, count, signal, err);
}

/* Waits until a file of the v2 group that notifies of changes holds the text. */
static int wait_event(const struct cgroup_place *place, const char *text, const char *failure, struct err *err) {
  char file[PLACE_FILE], content[128];
  place_file(place, "cgroup.events", file);
  cleanup_close int fd = open(file, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return err_errno(err, "cannot open %s", file);
  }
  for (;;) {
    ssize_t n = pread(fd, content, sizeof(content) - 1, 0);
    if (n < 0) {
      return err_errno(err, "cannot read %s", file);
    }
    content[n] = '\0';
    if (strstr(content, text) != NULL) {
      return 0;
    }
    struct pollfd entry = {.fd = fd, .events = POLLPRI};
    int ready = poll(&entry, 1, TIMEOUT_MS);
    if (ready == 0) {
      return err_set(err, ETIMEDOUT, "processes in %s do not %s", place->directory, failure);
    }
    if (ready < 0 && errno != EINTR) {
      return err_errno(err, "cannot wait for %s", file);
    }
  }
}

static const struct cgroup_place *freezer_of(const struct cgroup *cgroup) {
  const struct cgroup_place *place = cgroup_place_of(cgroup, "freezer");
  return place == NULL || place->v2 ? NULL : place;
}

/* v1 tells of nothing: its state is asked again, ever less often. */
static int freeze_v1(const struct cgroup_place *place, bool freeze, int patience_ms, struct err *err) {
  char file[PLACE_FILE], state[32];
  const char *wanted = freeze ? "FROZEN" : "THAWED";
  place_file(place, "freezer.state", file);
  int r = file_write_existing(AT_FDCWD, file, wanted, err);
  for (int pause = 1, waited = 0; r == 0; waited += pause, pause = pause < 50 ? pause * 2 : pause) {
    r = file_read_line(AT_FDCWD, file, state, sizeof(state), err);
    if (r < 0 || strcmp(state, wanted) == 0) {
      return r;
    }
    if (waited >= patience_ms) {
      return err_set(err, ETIMEDOUT, "processes in %s do not %s", place->directory, freeze ? "freeze" : "thaw");
    }
    poll(NULL, 0, pause);
  }
  return r;
}

int cgroup_freeze(const struct cgroup *cgroup, bool freeze, struct err *err) {
  const struct cgroup_place *place = cgroup_v2_place(cgroup);
  if (place != NULL) {
    char file[PLACE_FILE];
    place_file(place, "cgroup.freeze", file);
    int r = file_write_existing(AT_FDCWD, file, freeze ? "1" : "0", err);
    r = r < 0 ? r : wait_event(place, freeze ? "frozen 1" : "frozen 0", freeze ? "freeze" : "thaw", err);
    if (r == -ETIMEDOUT && freeze) {
      (void)file_write_existing(AT_FDCWD, file, "0", NULL);
    }
    return r;
  }
  place = freezer_of(cgroup);
  if (place == NULL) {
    return err_set(err, ENOTSUP, "this host has neither cgroup v2 nor the freezer controller of cgroup v1");
  }
  int r = freeze_v1(place, freeze, TIMEOUT_MS, err);
  if (r == -ETIMEDOUT && freeze) {
    (void)freeze_v1(place, false, 0, NULL);
  }
  return r;
}

bool cgroup_is_frozen(const struct cgroup *cgroup) {
  char file[PLACE_FILE], text[32];
  const struct cgroup_place *place = cgroup_v2_place(cgroup);
  if (place != NULL) {
    place_file(place, "cgroup.freeze", file);
    return file_read_line(AT_FDCWD, file, text, sizeof(text), NULL) == 0 && text[0] == '1';
  }
  place = freezer_of(cgroup);
  if (place == NULL) {
    return false;
  }
  place_file(place, "freezer.state", file);
  return file_read_line(AT_FDCWD, file, text, sizeof(text), NULL) == 0 && text[0] == 'F';
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Without cgroup.kill: nobody may fork while the signals go out, so everything is frozen first; again until none is
   left, since what cannot be frozen may have forked in between. */
static int kill_one_by_one(const struct cgroup *cgroup, struct err *err) {
  const struct cgroup_place *freezer = freezer_of(cgroup);
  int64_t deadline = now_ms() + TIMEOUT_MS;
  for (;;) {
    cleanup_free pid_t *pids = NULL;
    size_t count = 0;
    if (freezer != NULL) {
      (void)freeze_v1(freezer, true, 50, NULL);
    }
    int r = cgroup_processes(cgroup, &pids, &count, err);
    r = r < 0 ? r : signal_members(cgroup, pids, count, SIGKILL, err);
    if (freezer != NULL) {
      (void)freeze_v1(freezer, false, 0, NULL);
    }
    if (r < 0 || count == 0) {
      return r;
    }
    if (now_ms() > deadline) {
      return err_set(err, ETIMEDOUT, "process %d of the container does not die", (int)pids[0]);
    }
    /* No longer than a round: the number may be a stranger's by now. */
    cleanup_close int pidfd = sys_pidfd_open(pids[0]);
    struct pollfd entry = {.fd = pidfd, .events = POLLIN};
    if (pidfd >= 0) {
      (void)poll(&entry, 1, ROUND_MS);
    }
  }
}

static int kill_all(const struct cgroup *cgroup, struct err *err) {
  const struct cgroup_place *place = cgroup_v2_place(cgroup);
  const struct cgroup_place *freezer = freezer_of(cgroup);
  char file[PLACE_FILE];
  if (place != NULL) {
    place_file(place, "cgroup.kill", file);
    if (file_write_existing(AT_FDCWD, file, "1", err) == 0) {
      if (freezer != NULL) {
        /* What v1 froze, the container or somebody outside, dies only when it is thawed. */
        (void)freeze_v1(freezer, false, 0, NULL);
      }
      int r = wait_event(place, "populated 0", "die", err);
      return r == -ENOENT || r == -ENODEV ? 0 : r;
    }
  }
  return kill_one_by_one(cgroup, err);
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
    if (directory[0] != '\0' && rmdir(directory) < 0 && errno != ENOENT) {
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
