#include "cgroup/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "cgroup/apply.h"
#include "cgroup/v1/controllers.h"
#include "cgroup/v2/controllers.h"

bool cgroup_user_is_confined(void) {
  char map[64];
  unsigned inside = 1, outside = 1, count = 0;
  if (geteuid() != 0) {
    return true;
  }
  return file_read_line(AT_FDCWD, "/proc/self/uid_map", map, sizeof(map), NULL) == 0 &&
         (sscanf(map, "%u %u %u", &inside, &outside, &count) != 3 || inside != 0 || outside != 0 ||
          count != UINT32_MAX);
}

int cgroup_own_path(char *buffer, size_t capacity, struct err *err) {
  cleanup_free char *text = NULL;
  int r = file_read(AT_FDCWD, "/proc/self/cgroup", &text, NULL, err);
  if (r < 0) {
    return r;
  }
  const char *line = str_starts(text, "0::") ? text : strstr(text, "\n0::");
  const char *path = line == NULL ? NULL : strchr(line, '/');
  int n = path == NULL ? 0 : snprintf(buffer, capacity, "%.*s", (int)strcspn(path, "\n"), path);
  if (n <= 0 || (size_t)n >= capacity) {
    return err_set(err, ENOENT, "this process has no cgroup v2 group");
  }
  return 0;
}

/* Walks from the mount point down, making what is missing. */
static int make_directories(const struct cgroup_hierarchy *hierarchy, const struct cgroup_place *place,
                            const char *delegate, int *ret_fd, struct err *err) {
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
    if (place->v2 && (delegate == NULL || delegate[0] != '\0')) {
      cgroup_v2_delegate(at, delegate);
    }
    bool made = mkdirat(at, name, 0755) == 0;
    if (!made && errno != EEXIST) {
      return err_errno(err, "cannot create cgroup %s", place->directory);
    }
    int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int r = next < 0 ? err_errno(err, "cannot open cgroup %s", place->directory) : 0;
    if (r == 0 && !place->v2) {
      r = cgroup_apply_level(place, at, next, err);
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

/* A group below a threaded one takes threads, not processes. */
static int check_type(const struct cgroup_place *place, int fd, struct err *err) {
  char type[32];
  if (!place->v2 || file_read_line(fd, "cgroup.type", type, sizeof(type), NULL) < 0) {
    return 0;
  }
  if (strcmp(type, "threaded") == 0 || strcmp(type, "domain invalid") == 0) {
    return err_set(err, ENOTSUP,
                   "cgroup %s cannot hold a container: its cgroup.type is '%s' (it, or a group above, is threaded); "
                   "choose another linux.cgroupsPath",
                   place->directory, type);
  }
  return 0;
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

/* A group just made below parents that are there. -ENODATA: a parent is not ready, the long way has to be gone. */
static int open_leaf(const struct cgroup_place *place, int *ret_fd, struct err *err) {
  char above[sizeof(place->directory)];
  cleanup_close int fd = open(place->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    return err_errno(err, "cannot open cgroup %s", place->directory);
  }
  if (cgroup_has_level(place)) {
    snprintf(above, sizeof(above), "%s", place->directory);
    *strrchr(above, '/') = '\0';
    cleanup_close int parent = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0 || cgroup_apply_level(place, parent, fd, NULL) < 0) {
      return -ENODATA;
    }
  }
  *ret_fd = take_fd(&fd);
  return 0;
}

struct creation {
  const struct cgroup *cgroup;
  const struct plan_resources *resources;
  bool adopt;
};

/* *ret_made: the group was not there before. */
static int create_one(const struct creation *creation, const struct cgroup_hierarchy *hierarchy,
                      const struct cgroup_place *place, bool *ret_made, struct err *err) {
  const struct cgroup *cgroup = creation->cgroup;
  const struct plan_resources *resources = creation->resources;
  cleanup_close int fd = -1;
  char wanted[128] = "";
  if (place->v2) {
    cgroup_v2_wanted(cgroup, resources, wanted, sizeof(wanted));
  }
  /* With v1 controllers beside it, only what is asked of v2 is switched on for the groups above. */
  bool delegates = place->v2 && !creation->adopt && (cgroup_is_v2_only(cgroup) || wanted[0] != '\0');
  *ret_made = mkdir(place->directory, 0755) == 0;
  if (!creation->adopt && !*ret_made && errno == EEXIST && cgroup_has_processes(place)) {
    return err_set(err, EBUSY, "cgroup %s has processes already; delete what runs there first", place->directory);
  }
  int r = -ENODATA;
  if (*ret_made && !delegates) {
    /* Most hierarchies are only entered. */
    if (!place->v2 && !cgroup_has_level(place) && !cgroup_has_needs(cgroup, place, resources)) {
      return 0;
    }
    r = open_leaf(place, &fd, err);
  }
  if (r == -ENODATA) {
    r = make_directories(hierarchy, place, !delegates ? "" : cgroup_is_v2_only(cgroup) ? NULL : wanted, &fd, err);
  }
  r = r < 0 ? r : check_type(place, fd, err);
  const struct cgroup_writer to = {.fd = fd, .journal = NULL};
  return r < 0 ? r : cgroup_apply(cgroup, place, &to, resources, err);
}

/* No right to make a group: fine for a user who has none and asks for nothing there. */
static int leave_out(const struct cgroup *cgroup, struct cgroup_place *place, const struct plan_resources *resources,
                     int reason, struct err *err) {
  bool denied = reason == -EACCES || reason == -EPERM || reason == -EROFS;
  if (!denied || !cgroup_user_is_confined()) {
    return reason;
  }
  const char *limit = cgroup_first_need(cgroup, place, resources);
  if (limit != NULL) {
    return err_prefix(err,
                      "linux.resources asks for the %s controller, which this user may not use (delegate a cgroup to "
                      "the user, or take the limit out)",
                      limit);
  }
  place->directory[0] = '\0';
  return 0;
}

static int create(const struct cgroup_layout *layout, const char *path, const struct plan_resources *resources,
                  bool adopt, struct cgroup *ret_cgroup, struct err *err) {
  struct cgroup cgroup;
  const struct creation creation = {&cgroup, resources, adopt};
  bool made[CGROUP_HIERARCHIES] = {false};
  size_t left_out = 0;
  int r = cgroup_find(layout, path, &cgroup, err);
  r = r < 0 ? r : cgroup_check_needs(&cgroup, layout, resources, err);
  if (r < 0) {
    return r;
  }
  for (size_t i = 0; i < layout->count; i++) {
    struct cgroup_place *place = &cgroup.places[i];
    r = create_one(&creation, &layout->items[i], place, &made[i], err);
    if (r == -EBUSY && !adopt && !made[i] && cgroup_has_processes(place)) {
      /* Somebody else's: only what is ours goes. */
      for (size_t k = 0; k < i; k++) {
        (void)(made[k] && rmdir(cgroup.places[k].directory));
      }
      return r;
    }
    r = r < 0 ? leave_out(&cgroup, place, resources, r, err) : 0;
    left_out += place->directory[0] == '\0';
    if (r < 0) {
      (void)cgroup_destroy(&cgroup, NULL);
      return r;
    }
  }
  if (left_out == cgroup.count) {
    log_warn("no cgroup of its own for the container: this user may not make any; it runs in the caller's");
  }
  *ret_cgroup = cgroup;
  return 0;
}

int cgroup_create(const struct cgroup_layout *layout, const char *path, const struct plan_resources *resources,
                  struct cgroup *ret_cgroup, struct err *err) {
  return create(layout, path, resources, false, ret_cgroup, err);
}

int cgroup_adopt(const struct cgroup_layout *layout, const char *path, const struct plan_resources *resources,
                 struct cgroup *ret_cgroup, struct err *err) {
  return create(layout, path, resources, true, ret_cgroup, err);
}

const struct cgroup_place *cgroup_v2_place(const struct cgroup *cgroup) {
  for (size_t i = 0; i < cgroup->count; i++) {
    if (cgroup->places[i].v2 && cgroup->places[i].directory[0] != '\0') {
      return &cgroup->places[i];
    }
  }
  return NULL;
}

bool cgroup_place_has(const struct cgroup_place *place, const char *controller) {
  size_t length = strlen(controller);
  for (const char *at = place->controllers; *at != '\0'; at += strcspn(at, ","), at += *at == ',') {
    if (strncmp(at, controller, length) == 0 && (at[length] == ',' || at[length] == '\0')) {
      return true;
    }
  }
  return false;
}

const struct cgroup_place *cgroup_place_of(const struct cgroup *cgroup, const char *controller) {
  for (size_t i = 0; i < cgroup->count; i++) {
    const struct cgroup_place *place = &cgroup->places[i];
    if (!place->v2 && cgroup_place_has(place, controller)) {
      return place->directory[0] == '\0' ? NULL : place;
    }
  }
  return cgroup_v2_place(cgroup);
}
