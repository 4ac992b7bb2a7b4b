/* Found: all mounts done, host visible. /dev is reached without any symbolic link: an image may ship one. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "setup/setup.h"
#include "sys/inroot.h"
#include "sys/mountfd.h"

/* A constant, unlike makedev: these numbers fit the old 16-bit form. */
#define DEVICE(major, minor) ((major) << 8 | (minor))

static const struct plan_device defaults[] = {
    {"/dev/null", S_IFCHR, DEVICE(1, 3), 0666, 0, 0},    {"/dev/zero", S_IFCHR, DEVICE(1, 5), 0666, 0, 0},
    {"/dev/full", S_IFCHR, DEVICE(1, 7), 0666, 0, 0},    {"/dev/random", S_IFCHR, DEVICE(1, 8), 0666, 0, 0},
    {"/dev/urandom", S_IFCHR, DEVICE(1, 9), 0666, 0, 0}, {"/dev/tty", S_IFCHR, DEVICE(5, 0), 0666, 0, 0},
};

static const struct {
  const char *name, *target;
} links[] = {
    {"fd", "/proc/self/fd"},
    {"stdin", "/proc/self/fd/0"},
    {"stdout", "/proc/self/fd/1"},
    {"stderr", "/proc/self/fd/2"},
};

/* Where the last part of the path goes, and that part: /dev is at hand, other parents are looked up or made. */
static int open_parent(int root, int dev, const struct plan_device *device, int *ret_parent, const char **ret_name,
                       struct err *err) {
  const char *name = strrchr(device->path, '/') + 1;
  *ret_name = name;
  if (str_starts(device->path, "/dev/") && name == device->path + 5) {
    *ret_parent = dup(dev);
    return *ret_parent < 0 ? err_errno(err, "cannot open /dev") : 0;
  }
  char path[PATH_MAX];
  int n = snprintf(path, sizeof(path), "%.*s", (int)(name - 1 - device->path), device->path);
  if (n < 0 || (size_t)n >= sizeof(path)) {
    return err_code(err, ENAMETOOLONG, "%s", device->path);
  }
  return inroot_make_plain_directory(root, n == 0 ? "/" : path, 0755, ret_parent, err);
}

/* In a user namespace nobody may make a device: the host's is bound, with the owner and mode it has there. */
static int bind_node(int parent, const char *name, const struct plan_device *device, struct err *err) {
  cleanup_close int source = open(device->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  struct stat at;
  if (source < 0 || fstat(source, &at) < 0) {
    return err_errno(err, "cannot open device %s of the host, which the container's user namespace needs",
                     device->path);
  }
  if ((at.st_mode & S_IFMT) != device->type || at.st_rdev != device->number) {
    return err_set(err, ENODEV, "%s of the host is not device %u:%u; in a user namespace devices come from the host",
                   device->path, major(device->number), minor(device->number));
  }
  cleanup_close int made = openat(parent, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (made < 0 && errno != EEXIST) {
    return err_errno(err, "cannot create %s", device->path);
  }
  cleanup_close int target = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (target < 0 || fstat(target, &at) < 0) {
    return err_errno(err, "cannot open %s", device->path);
  }
  if (S_ISLNK(at.st_mode) || S_ISDIR(at.st_mode)) {
    return err_set(err, EPERM, "refused: %s of the container's root file system is not a file", device->path);
  }
  cleanup_close int tree = mountfd_clone(source, "", 0);
  return tree < 0 || mountfd_attach(tree, target) < 0 ? err_errno(err, "cannot bind device %s", device->path) : 0;
}

static int make_node(const struct setup *setup, int dev, const struct plan_device *device, struct err *err) {
  cleanup_close int parent = -1;
  const char *name = NULL;
  int r = open_parent(setup->root, dev, device, &parent, &name, err);
  if (r < 0) {
    return r;
  }
  if (setup->own_users && device->type != S_IFIFO) {
    return bind_node(parent, name, device, err);
  }
  if (mknodat(parent, name, device->type | device->mode, device->number) < 0) {
    struct stat at;
    /* The runtime itself may be in a user namespace. */
    if (errno == EPERM && device->type != S_IFIFO) {
      return bind_node(parent, name, device, err);
    }
    bool same = errno == EEXIST && fstatat(parent, name, &at, AT_SYMLINK_NOFOLLOW) == 0 &&
                (at.st_mode & S_IFMT) == device->type && at.st_rdev == device->number;
    return same ? 0 : err_errno(err, "cannot make device %s", device->path);
  }
  if ((device->uid != 0 || device->gid != 0) &&
      fchownat(parent, name, device->uid, device->gid, AT_SYMLINK_NOFOLLOW) < 0) {
    return err_errno(err, "cannot change the owner of %s", device->path);
  }
  return 0;
}

static bool in_plan(const struct plan *plan, const char *path) {
  for (size_t i = 0; i < plan->device_count; i++) {
    if (strcmp(plan->devices[i].path, path) == 0) {
      return true;
    }
  }
  return false;
}

/* A bind of the host's /dev brings its own devices: nothing is made in a directory that is not the container's. */
static bool dev_is_bound(const struct plan *plan) {
  for (size_t i = 0; i < plan->mount_count; i++) {
    const char *destination = plan->mounts[i].destination;
    if (plan->mounts[i].bind && (strcmp(destination, "/dev") == 0 || strcmp(destination, "/dev/") == 0)) {
      return true;
    }
  }
  return false;
}

static int make_all(const struct setup *setup, int dev, struct err *err) {
  const struct plan *plan = setup->plan;
  int r = 0;
  for (size_t i = 0; r == 0 && i < array_length(defaults); i++) {
    r = in_plan(plan, defaults[i].path) ? 0 : make_node(setup, dev, &defaults[i], err);
  }
  for (size_t i = 0; r == 0 && i < plan->device_count; i++) {
    r = make_node(setup, dev, &plan->devices[i], err);
  }
  for (size_t i = 0; r == 0 && i < array_length(links); i++) {
    if (symlinkat(links[i].target, dev, links[i].name) < 0 && errno != EEXIST) {
      r = err_errno(err, "cannot link /dev/%s", links[i].name);
    }
  }
  struct stat at;
  if (r == 0 && fstatat(dev, "pts", &at, AT_SYMLINK_NOFOLLOW) == 0 && symlinkat("pts/ptmx", dev, "ptmx") < 0 &&
      errno != EEXIST) {
    r = err_errno(err, "cannot link /dev/ptmx");
  }
  return r;
}

int step_devices(struct setup *setup, struct err *err) {
  if (dev_is_bound(setup->plan)) {
    return 0;
  }
  cleanup_close int dev = -1;
  int r = inroot_make_plain_directory(setup->root, "/dev", 0755, &dev, err);
  if (r < 0) {
    return r;
  }
  mode_t mask = umask(0);
  r = make_all(setup, dev, err);
  umask(mask);
  return r;
}
