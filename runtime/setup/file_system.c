/* New file systems, detached: their own options, and what differs for a tmpfs and in a user namespace. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
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

int setup_configure(int fs, const struct plan_mount *mount, struct err *err) {
  int r = 0;
  for (size_t i = 0; r == 0 && i < mount->data.count; i++) {
    r = configure(fs, mount->data.items[i], err);
  }
  return r;
}

/* A procfs shows the processes that whoever opens it is among. */
static int open_type(const struct setup *setup, const char *type, int *ret_fs, struct err *err) {
  if (setup->makes_last && str_equal(type, "proc")) {
    return proc_open_inside(setup, ret_fs, err);
  }
  *ret_fs = mountfd_open(type);
  return *ret_fs < 0 ? err_errno(err, "cannot open file system type %s", type) : 0;
}

static int make_file_system(const struct setup *setup, const struct plan_mount *mount, int *ret_tree, struct err *err) {
  const struct plan *plan = setup->plan;
  cleanup_close int fs = -1;
  int r = open_type(setup, mount->type, &fs, err);
  if (r < 0) {
    return r == -ENODEV ? err_set(err, ENODEV, "this kernel has no file system type %s", mount->type) : r;
  }
  const char *source = mount->source == NULL || mount->source[0] == '\0' ? mount->type : mount->source;
  if (mountfd_config(fs, MOUNTFD_STRING, "source", source) < 0) {
    return err_errno(err, "source %s", source);
  }
  r = setup_configure(fs, mount, err);
  r = r < 0 ? r : labels_add_context(plan, fs, mount->type, err);
  if (r < 0) {
    return r;
  }
  if (mountfd_config(fs, MOUNTFD_CREATE, NULL, NULL) < 0) {
    return err_errno(err, "cannot make a %s file system", mount->type);
  }
  unsigned attributes = (unsigned)mount->set;
  cleanup_close int tree = mountfd_mount(fs, attributes);
  struct statfs at;
  if (tree < 0 || fstatfs(tree, &at) < 0) {
    return err_errno(err, "cannot mount a %s file system", mount->type);
  }
  /* Who opened it could be talked into something else. */
  if (str_equal(mount->type, "proc") && at.f_type != PROC_SUPER_MAGIC) {
    return err_set(err, EPERM, "refused: it is not procfs");
  }
  r = labels_add_to_queue(plan, tree, mount->type, err);
  if (r < 0) {
    return r;
  }
  *ret_tree = take_fd(&tree);
  return 0;
}

/* A copy of `mount` without the options that begin with `prefix`; `items` has room for all. */
static struct plan_mount without(const struct plan_mount *mount, const char *prefix, const char **items) {
  struct plan_mount other = *mount;
  other.data.items = items;
  other.data.count = 0;
  for (size_t i = 0; i < mount->data.count; i++) {
    if (!str_starts(mount->data.items[i], prefix)) {
      items[other.data.count++] = mount->data.items[i];
    }
  }
  return other;
}

/* What the kernel gives only to the owner of a namespace, in a user namespace that does not own it: the host's own
   instance, as far as that shows nothing else. */
static int make_for_users(const struct setup *setup, const struct plan_mount *mount, int why, int *ret_tree,
                          struct err *err) {
  static const char *const bound[][2] = {{"sysfs", "/sys"}, {"mqueue", "/dev/mqueue"}};
  const char *items[64];
  if (why == -EINVAL && str_equal(mount->type, "devpts") && mount->data.count < array_length(items)) {
    struct plan_mount other = without(mount, "gid=", items);
    if (other.data.count < mount->data.count) {
      setup_warn(setup, "%s: gid= is left out: the user namespace has no such group", mount->destination);
      return make_file_system(setup, &other, ret_tree, err);
    }
  }
  for (size_t i = 0; why == -EPERM && i < array_length(bound); i++) {
    if (str_equal(mount->type, bound[i][0])) {
      setup_warn(setup, "%s: bound from the host's %s: its namespace belongs to another user namespace",
                 mount->destination, bound[i][1]);
      cleanup_close int tree = mountfd_clone(AT_FDCWD, bound[i][1], 1);
      if (tree < 0 || mountfd_setattr(tree, 1, mount->set & ~(uint64_t)MNT_ATTR_ATIME_MASK, 0, MS_PRIVATE) < 0) {
        return err_errno(err, "cannot bind %s", bound[i][1]);
      }
      *ret_tree = take_fd(&tree);
      return 0;
    }
  }
  return why == -EPERM && str_equal(mount->type, "proc")
             ? err_prefix(err, "the pid namespace must belong to the user namespace, and the host's /proc be uncovered")
             : why;
}

static bool has_data(const struct plan_mount *mount, const char *prefix) {
  for (size_t i = 0; i < mount->data.count; i++) {
    if (str_starts(mount->data.items[i], prefix)) {
      return true;
    }
  }
  return false;
}

/* A tmpfs has the mode of the directory it covers unless it says another, and its content on request. */
static int make_tmpfs(const struct setup *setup, const struct plan_mount *mount, int *ret_tree, struct err *err) {
  const char *items[65];
  char mode[16];
  struct stat at;
  cleanup_close int covered = -1;
  struct plan_mount own = *mount;
  if ((mount->copy_up || !has_data(mount, "mode=")) && mount->data.count + 1 < array_length(items)) {
    int r = inroot_open(setup->root, mount->destination, O_RDONLY | O_DIRECTORY, &covered, err);
    if (r < 0 && r != -ENOENT) {
      return r;
    }
  }
  if (covered >= 0 && !has_data(mount, "mode=") && fstat(covered, &at) == 0) {
    snprintf(mode, sizeof(mode), "mode=%o", at.st_mode & 07777);
    own = without(mount, "mode=", items);
    items[own.data.count++] = mode;
  }
  /* It is filled before it may be read-only. */
  cleanup_close int tree = -1;
  own.set = mount->copy_up ? mount->set & ~(uint64_t)MNT_ATTR_RDONLY : mount->set;
  int r = make_file_system(setup, &own, &tree, err);
  if (r == 0 && mount->copy_up && covered >= 0) {
    cleanup_close int top = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top < 0 || fstat(covered, &at) < 0 || fchown(top, at.st_uid, at.st_gid) < 0) {
      return err_errno(err, "cannot prepare the copy");
    }
    r = setup_copy_up(covered, top, err);
  }
  if (r == 0 && own.set != mount->set && mountfd_setattr(tree, 0, MNT_ATTR_RDONLY, 0, 0) < 0) {
    r = err_errno(err, "cannot make it read-only");
  }
  *ret_tree = r < 0 ? -1 : take_fd(&tree);
  return r;
}

int setup_make_file_system(const struct setup *setup, const struct plan_mount *mount, int *ret_tree, struct err *err) {
  int r = str_equal(mount->type, "tmpfs") ? make_tmpfs(setup, mount, ret_tree, err)
                                          : make_file_system(setup, mount, ret_tree, err);
  return r < 0 ? make_for_users(setup, mount, r, ret_tree, err) : r;
}
