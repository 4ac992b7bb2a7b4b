/* Found: root mounted at `setup->root`, host visible. Every target is a descriptor, attached by move_mount: no path is
 * walked twice. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "setup/setup.h"
#include "spec/mount_flags.h"
#include "sys/inroot.h"
#include "sys/mountfd.h"

/* Files of /proc that tools such as lxcfs replace; anything else there could redirect what the runtime itself writes.
 */
static const char *const replaceable[] = {
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/net/dev",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
};

static bool is_on_proc(int fd) {
  struct statfs at;
  return fstatfs(fd, &at) == 0 && at.f_type == PROC_SUPER_MAGIC;
}

static int check_target(int target, const struct plan_mount *mount, struct err *err) {
  if (!is_on_proc(target)) {
    return 0;
  }
  for (size_t i = 0; i < array_length(replaceable); i++) {
    if (strcmp(replaceable[i], mount->destination) == 0) {
      return 0;
    }
  }
  return err_set(err, EPERM, "refused: nothing may be mounted inside the container's /proc");
}

static bool is_kernel_directory(const char *path) {
  return strcmp(path, "/proc") == 0 || strcmp(path, "/sys") == 0 || strcmp(path, "/proc/") == 0 ||
         strcmp(path, "/sys/") == 0;
}

int mount_at_plain_directory(int root, const char *path, int mount, struct err *err) {
  cleanup_close int target = -1;
  int r = inroot_make_plain_directory(root, path, 0755, &target, err);
  if (r < 0) {
    return r;
  }
  return mountfd_attach(mount, target) < 0 ? err_errno(err, "cannot mount on %s", path) : 0;
}

static int set_attributes(int tree, const struct plan_mount *mount, struct err *err) {
  if ((mount->set | mount->clear) != 0 && mountfd_setattr(tree, 0, mount->set, mount->clear, 0) < 0) {
    return err_errno(err, "cannot set the options");
  }
  if ((mount->recursive_set | mount->recursive_clear) != 0 &&
      mountfd_setattr(tree, 1, mount->recursive_set, mount->recursive_clear, 0) < 0) {
    return err_errno(err, "cannot set the recursive options");
  }
  uint64_t propagation = mount->propagation == 0 ? MS_PRIVATE : mount->propagation;
  int recursive = mount->propagation == 0 || mount->propagation_recursive;
  if (mount->bind && mountfd_setattr(tree, recursive, 0, 0, propagation) < 0) {
    return err_errno(err, "cannot set the propagation");
  }
  return 0;
}

static int attach(struct setup *setup, const struct plan_mount *mount, int tree, struct err *err) {
  struct stat at;
  cleanup_close int target = -1;
  if (fstat(tree, &at) < 0) {
    return err_errno(err, "cannot stat the source");
  }
  int r;
  if (is_kernel_directory(mount->destination)) {
    /* A bind on /proc must be a procfs, or what writes there would write somewhere else. */
    if (strncmp(mount->destination, "/proc", 5) == 0 && !is_on_proc(tree)) {
      return err_set(err, EPERM, "refused: only procfs may be mounted on /proc");
    }
    r = inroot_make_plain_directory(setup->root, mount->destination, 0755, &target, err);
  } else if (S_ISDIR(at.st_mode)) {
    r = inroot_make_directory(setup->root, mount->destination, 0755, &target, err);
  } else {
    r = inroot_make_file(setup->root, mount->destination, &target, err);
  }
  r = r < 0 ? r : check_target(target, mount, err);
  if (r < 0) {
    return r;
  }
  if (mountfd_attach(tree, target) < 0) {
    return err_errno(err, "cannot attach");
  }
  /* Mounted over the root itself: later paths must see the new one. */
  if (strcmp(mount->destination, "/") == 0) {
    return err_set(err, ENOTSUP, "mounting over / is not supported");
  }
  return 0;
}

static int mount_bind(struct setup *setup, const struct plan_mount *mount, struct err *err) {
  char path[PATH_MAX];
  bool absolute = mount->source[0] == '/';
  int n = snprintf(path, sizeof(path), "%s%s%s", absolute ? "" : setup->bundle, absolute ? "" : "/", mount->source);
  if (n < 0 || (size_t)n >= sizeof(path)) {
    return err_code(err, ENAMETOOLONG, "source %s", mount->source);
  }
  cleanup_close int tree = mountfd_clone(AT_FDCWD, path, mount->recursive);
  if (tree < 0) {
    return err_errno(err, "cannot open source %s", path);
  }
  int r = set_attributes(tree, mount, err);
  return r < 0 ? r : attach(setup, mount, tree, err);
}

static int configure(int fs, const char *option, struct err *err) {
  const char *equals = strchr(option, '=');
  char key[64];
  int n;
  if (equals == NULL) {
    n = mountfd_config(fs, MOUNTFD_FLAG, option, NULL);
  } else {
    snprintf(key, sizeof(key), "%.*s", (int)(equals - option), option);
    n = mountfd_config(fs, MOUNTFD_STRING, key, equals + 1);
  }
  return n < 0 ? err_errno(err, "option '%s'", option) : 0;
}

static int make_file_system(const struct plan_mount *mount, int *ret_tree, struct err *err) {
  cleanup_close int fs = mountfd_open(mount->type);
  if (fs < 0) {
    return err_errno(err, "cannot open file system type %s", mount->type);
  }
  const char *source = mount->source == NULL || mount->source[0] == '\0' ? mount->type : mount->source;
  if (mountfd_config(fs, MOUNTFD_STRING, "source", source) < 0) {
    return err_errno(err, "source %s", source);
  }
  for (size_t i = 0; i < mount->data.count; i++) {
    int r = configure(fs, mount->data.items[i], err);
    if (r < 0) {
      return r;
    }
  }
  if (mountfd_config(fs, MOUNTFD_CREATE, NULL, NULL) < 0) {
    return err_errno(err, "cannot make a %s file system", mount->type);
  }
  unsigned attributes = (unsigned)mount->set;
  int tree = mountfd_mount(fs, attributes);
  if (tree < 0) {
    return err_errno(err, "cannot mount a %s file system", mount->type);
  }
  *ret_tree = tree;
  return 0;
}

static int mount_file_system(struct setup *setup, const struct plan_mount *mount, struct err *err) {
  struct plan_mount own = *mount;
  /* A network's sysfs can only be mounted by an owner of that network: else the host's is shown, read-only. */
  if (str_equal(mount->type, "sysfs") && plan_namespace(setup->plan, CLONE_NEWNET) == NULL) {
    own.bind = true;
    own.recursive = false;
    own.source = "/sys";
    return mount_bind(setup, &own, err);
  }
  cleanup_close int tree = -1;
  int r = make_file_system(&own, &tree, err);
  if (r == 0 && (own.recursive_set | own.recursive_clear) != 0 &&
      mountfd_setattr(tree, 1, own.recursive_set, own.recursive_clear, 0) < 0) {
    r = err_errno(err, "cannot set the recursive options");
  }
  if (r == 0 && own.propagation != 0 && mountfd_setattr(tree, own.propagation_recursive, 0, 0, own.propagation) < 0) {
    r = err_errno(err, "cannot set the propagation");
  }
  return r < 0 ? r : attach(setup, &own, tree, err);
}

int step_mounts(struct setup *setup, struct err *err) {
  mode_t mask = umask(0);
  int r = 0;
  for (size_t i = 0; r == 0 && i < setup->plan->mount_count; i++) {
    const struct plan_mount *mount = &setup->plan->mounts[i];
    if (mount->bind) {
      r = mount_bind(setup, mount, err);
    } else if (str_equal(mount->type, "cgroup")) {
      r = mount_cgroups(setup, mount, err);
    } else {
      r = mount_file_system(setup, mount, err);
    }
    if (r < 0) {
      err_prefix(err, "%s", mount->destination);
    }
  }
  umask(mask);
  return r;
}
