/* Found: own mount namespace, still a copy of the host's tree. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "setup/setup.h"
#include "spec/mount_flags.h"
#include "sys/inroot.h"
#include "sys/mountfd.h"
#include "sys/syscalls.h"

bool setup_joins_mounts(const struct setup *setup) {
  return plan_namespace(setup->plan, CLONE_NEWNS)->path != NULL;
}

int step_propagation(struct setup *setup, struct err *err) {
  if (setup_joins_mounts(setup)) {
    return 0;
  }
  unsigned long flags = setup->plan->root_propagation;
  /* Shared on request only; else nothing mounted here may show on the host. Slave keeps bind sources able to follow the
   * host. */
  unsigned long first = (flags & MS_SHARED) != 0 ? 0 : MS_REC | MS_SLAVE;
  if (first != 0 && mount(NULL, "/", NULL, first, NULL) < 0) {
    return err_errno(err, "cannot detach / from the host");
  }
  return 0;
}

static int root_path(const struct setup *setup, char *path, size_t capacity, struct err *err) {
  const char *given = setup->plan->root_path;
  bool absolute = given[0] == '/';
  int n = snprintf(path, capacity, "%s%s%s", absolute ? "" : setup->bundle, absolute ? "" : "/", given);
  return n < 0 || (size_t)n >= capacity ? err_code(err, ENAMETOOLONG, "root.path") : 0;
}

/* pivot_root needs a mount; a recursive copy keeps what the bundle's owner mounted below. Nothing goes from it to the
   host; from the host to it only on request. */
static int clone_root(const struct plan *plan, const char *path, int *ret_tree, struct err *err) {
  bool follows = (plan->root_propagation & (MS_SHARED | MS_SLAVE)) != 0;
  cleanup_close int tree = mountfd_clone(AT_FDCWD, path, 1);
  if (tree < 0 || mountfd_setattr(tree, 1, 0, 0, follows ? MS_SLAVE : MS_PRIVATE) < 0) {
    return err_errno(err, "cannot use %s as root file system", path);
  }
  *ret_tree = take_fd(&tree);
  return 0;
}

int setup_open_root(const struct setup *setup, int *ret_tree, struct err *err) {
  char path[PATH_MAX];
  int r = root_path(setup, path, sizeof(path), err);
  if (r < 0 || setup->plan->overlay_lower.count == 0) {
    return r < 0 ? r : clone_root(setup->plan, path, ret_tree, err);
  }
  return overlay_open(setup->plan, ret_tree, err);
}

/* A shared mount that holds the root would carry it to the host, and pivot_root refuses it. */
static int make_private_below(int directory, struct err *err) {
  cleanup_close int at = dup(directory);
  for (;;) {
    struct statx info;
    if (at < 0 || statx(at, "", AT_EMPTY_PATH, 0, &info) < 0) {
      return err_errno(err, "cannot find the mount of the root file system");
    }
    if ((info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0) {
      return mountfd_setattr(at, 0, 0, 0, MS_PRIVATE) < 0 ? err_errno(err, "cannot make the root's parent private") : 0;
    }
    int above = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
    close(at);
    at = above;
  }
}

/* Onto `path`, or where the path cannot be walked by the container's user namespace, over "/": lookups still begin
   below. */
static int attach_root(const struct setup *setup, int tree, const char *path, struct err *err) {
  cleanup_close int target = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  int r = target < 0 ? err_errno(err, "cannot open %s", path) : 0;
  if (r == 0 && ((setup->plan->root_propagation & MS_SHARED) != 0 || setup_joins_mounts(setup))) {
    r = make_private_below(target, err);
  }
  return r == 0 && mountfd_attach(tree, target) < 0 ? err_errno(err, "cannot mount the root on %s", path) : r;
}

static int open_null(struct err *err) {
  cleanup_close int file = open("/dev/null", O_PATH | O_CLOEXEC);
  struct stat at;
  if (file < 0 || fstat(file, &at) < 0) {
    return err_errno(err, "cannot open /dev/null");
  }
  if (!S_ISCHR(at.st_mode) || at.st_rdev != 0x103) {
    return err_set(err, EPERM, "the host's /dev/null is not the null device");
  }
  return take_fd(&file);
}

int step_root(struct setup *setup, struct err *err) {
  const struct plan *plan = setup->plan;
  char path[PATH_MAX];
  int r = root_path(setup, path, sizeof(path), err);
  if (r < 0) {
    return r;
  }
  cleanup_close int null_file = open_null(err);
  if (null_file < 0) {
    return null_file;
  }
  cleanup_close int tree = -1;
  if (setup->root_tree >= 0) {
    tree = setup->root_tree;
    setup->root_tree = -1;
    /* In a namespace that others are in only where the path says. */
    r = attach_root(setup, tree, setup_joins_mounts(setup) ? path : "/", err);
  } else if (plan->overlay_lower.count > 0) {
    r = overlay_mount(plan, path, err);
  } else {
    r = clone_root(plan, path, &tree, err);
    r = r < 0 ? r : attach_root(setup, tree, path, err);
  }
  if (r < 0) {
    return r;
  }
  setup->root = tree >= 0 ? take_fd(&tree) : open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (setup->root < 0) {
    return err_errno(err, "cannot open %s", path);
  }
  setup->null_file = take_fd(&null_file);
  return 0;
}

static int pivot(int root, struct err *err) {
  cleanup_close int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (old < 0 || fchdir(root) < 0 || sys_pivot_root(".", ".") < 0) {
    return err_errno(err, "cannot make the container's root the root");
  }
  /* The old root lies on top of the new one now, "." is still the new one. The old one must not take the host's mounts
     along when it goes; the container's keep what they share with the host. */
  if (fchdir(old) < 0 || mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) < 0 || umount2(".", MNT_DETACH) < 0 ||
      chdir("/") < 0) {
    return err_errno(err, "cannot leave the host's root");
  }
  return 0;
}

/* --no-pivot, for a host whose root is an initial ramfs, which cannot be pivoted from. The host's mounts stay below in
   this namespace, out of sight but not gone. */
static int move_root(int root, struct err *err) {
  if (fchdir(root) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0) {
    return err_errno(err, "cannot move the container's root over the root");
  }
  return 0;
}

int setup_replace_root(int root, bool no_pivot, struct err *err) {
  return no_pivot ? move_root(root, err) : pivot(root, err);
}

/* In a joined mount namespace: its root is not ours to move. */
static int enter_root(const struct setup *setup, struct err *err) {
  return fchdir(setup->root) < 0 || chroot(".") < 0 || chdir("/") < 0
             ? err_errno(err, "cannot enter the container's root")
             : 0;
}

/* Found: root complete at `setup->root`. Left: it is "/", nothing of the host is reachable by path. */
int step_pivot(struct setup *setup, struct err *err) {
  const struct plan *plan = setup->plan;
  int r = setup_joins_mounts(setup) ? enter_root(setup, err) : setup_replace_root(setup->root, setup->no_pivot, err);
  if (r < 0) {
    return r;
  }
  if (plan->root_readonly) {
    /* The last moment to make it; what is wrong with it, the step that enters it says. */
    struct err ignored = ERR_INIT;
    cleanup_close int directory = -1;
    (void)setup_make_cwd(setup, &directory, &ignored);
    cleanup_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0 || mountfd_setattr(root, 0, MNT_ATTR_RDONLY, 0, 0) < 0) {
      return err_errno(err, "cannot make the root read-only");
    }
  }
  unsigned long flags = plan->root_propagation & ~(unsigned long)MS_REC;
  if (flags != 0 && flags != MS_PRIVATE && mount(NULL, "/", NULL, plan->root_propagation, NULL) < 0) {
    return err_errno(err, "cannot set linux.rootfsPropagation");
  }
  return 0;
}

/* Found (exec): every namespace of the container joined, its root is "/". */
int step_exec_root(struct setup *setup, struct err *err) {
  setup->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (setup->root < 0) {
    return err_errno(err, "cannot open the container's root");
  }
  return setup_new_keyring(setup, err);
}
