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
  bool kept = mount->remount && mount->propagation == 0;
  if (mount->bind && !kept && mountfd_setattr(tree, recursive, 0, 0, propagation) < 0) {
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

static int mount_bind(struct setup *setup, size_t index, struct err *err) {
  const struct plan_mount *mount = &setup->plan->mounts[index];
  cleanup_close int tree = -1;
  int r = 0;
  if (setup->sources != NULL && setup->sources[index] >= 0) {
    tree = setup->sources[index];
    setup->sources[index] = -1;
  } else {
    r = setup_open_source(setup, mount, &tree, err);
  }
  r = r < 0 ? r : set_attributes(tree, mount, err);
  return r < 0 ? r : attach(setup, mount, tree, err);
}

/* A network's sysfs can only be mounted by an owner of that network: else the host's is shown, read-only. In a user
   namespace it cannot be had without what is mounted below. */
static int bind_sysfs(struct setup *setup, const struct plan_mount *mount, struct err *err) {
  struct plan_mount own = *mount;
  own.bind = true;
  if (setup->own_users) {
    own.recursive_set |= own.set & ~(uint64_t)MNT_ATTR_ATIME_MASK;
  }
  cleanup_close int tree = mountfd_clone(AT_FDCWD, "/sys", setup->own_users);
  int r = tree < 0 ? err_errno(err, "cannot bind /sys") : set_attributes(tree, &own, err);
  return r < 0 ? r : attach(setup, &own, tree, err);
}

static int mount_file_system(struct setup *setup, const struct plan_mount *mount, struct err *err) {
  if (str_equal(mount->type, "sysfs") && plan_namespace(setup->plan, CLONE_NEWNET) == NULL) {
    return bind_sysfs(setup, mount, err);
  }
  cleanup_close int tree = -1;
  int r = setup_make_file_system(setup, mount, &tree, err);
  if (r == 0 && (mount->recursive_set | mount->recursive_clear) != 0 &&
      mountfd_setattr(tree, 1, mount->recursive_set, mount->recursive_clear, 0) < 0) {
    r = err_errno(err, "cannot set the recursive options");
  }
  if (r == 0 && mount->propagation != 0 &&
      mountfd_setattr(tree, mount->propagation_recursive, 0, 0, mount->propagation) < 0) {
    r = err_errno(err, "cannot set the propagation");
  }
  return r < 0 ? r : attach(setup, mount, tree, err);
}

/* `remount`: options of what is mounted there; with data, the file system itself is configured anew. */
static int remount(struct setup *setup, const struct plan_mount *mount, struct err *err) {
  cleanup_close int target = -1;
  bool kernel = is_kernel_directory(mount->destination);
  int r = kernel ? inroot_open_plain(setup->root, mount->destination, O_PATH, &target, err)
                 : inroot_open(setup->root, mount->destination, O_PATH, &target, err);
  r = r < 0 || kernel ? r : check_target(target, mount, err);
  if (r < 0) {
    return r;
  }
  struct statx info;
  if (statx(target, "", AT_EMPTY_PATH, 0, &info) < 0) {
    return err_errno(err, "cannot look at the mount");
  }
  if ((info.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0) {
    return err_set(err, EINVAL, "remount: nothing is mounted there");
  }
  if (mount->data.count > 0) {
    cleanup_close int fs = mountfd_pick(target);
    if (fs < 0) {
      return err_errno(err, "cannot configure the file system anew");
    }
    r = setup_configure(fs, mount, err);
    if (r == 0 && mountfd_config(fs, MOUNTFD_RECONFIGURE, NULL, NULL) < 0) {
      r = err_errno(err, "cannot configure the file system anew");
    }
  }
  return r < 0 ? r : set_attributes(target, mount, err);
}

static int mount_one(struct setup *setup, size_t index, struct err *err) {
  const struct plan_mount *mount = &setup->plan->mounts[index];
  if (mount->relative) {
    setup_warn(setup, "mounts[%zu].destination: %s is not absolute, taken as %s", index, mount->destination + 1,
               mount->destination);
  }
  if (mount->remount) {
    return remount(setup, mount, err);
  }
  if (mount->bind) {
    return mount_bind(setup, index, err);
  }
  return str_equal(mount->type, "cgroup") ? mount_cgroups(setup, mount, err) : mount_file_system(setup, mount, err);
}

int step_mounts(struct setup *setup, struct err *err) {
  mode_t mask = umask(0);
  int r = 0;
  for (size_t i = 0; r == 0 && i < setup->plan->mount_count; i++) {
    const struct plan_mount *mount = &setup->plan->mounts[i];
    if (mount->ignored != NULL) {
      setup_warn(setup, "mount %s: option '%s' means nothing to a bind mount", mount->destination, mount->ignored);
    }
    r = mount_one(setup, i, err);
    if (r < 0) {
      err_prefix(err, "%s", setup->plan->mounts[i].destination);
    }
  }
  umask(mask);
  return r;
}
