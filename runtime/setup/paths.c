/* Found: mounts and devices in place, host visible. linux.maskedPaths and linux.readonlyPaths. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "setup/setup.h"
#include "spec/mount_flags.h"
#include "sys/inroot.h"
#include "sys/mountfd.h"

/* One empty file system for all masked directories: masks are many (one per processor), superblocks are not free. */
static int make_empty(const struct setup *setup, struct err *err) {
  cleanup_close int fs = mountfd_open("tmpfs");
  int tree = -1;
  int r = fs < 0 ? 0 : labels_add_context(setup->plan, fs, "tmpfs", err);
  if (r < 0) {
    return r;
  }
  if (fs < 0 || mountfd_config(fs, MOUNTFD_STRING, "nr_inodes", "1") < 0 ||
      mountfd_config(fs, MOUNTFD_STRING, "mode", "555") < 0 || mountfd_config(fs, MOUNTFD_FLAG, "ro", NULL) < 0 ||
      mountfd_config(fs, MOUNTFD_CREATE, NULL, NULL) < 0 ||
      (tree = mountfd_mount(fs, MNT_ATTR_RDONLY | MNT_ATTR_NOSUID | MNT_ATTR_NODEV | MNT_ATTR_NOEXEC)) < 0) {
    return err_errno(err, "cannot make an empty file system");
  }
  return tree;
}

static int mask(struct setup *setup, const char *path, int *empty, struct err *err) {
  cleanup_close int target = -1;
  int r = inroot_open(setup->root, path, O_PATH, &target, err);
  if (r == -ENOENT) {
    return 0; /* Nothing there to hide; no other failure is taken lightly. */
  }
  struct stat at;
  if (r < 0 || fstat(target, &at) < 0) {
    return r < 0 ? r : err_errno(err, "cannot stat %s", path);
  }
  cleanup_close int cover = -1;
  if (S_ISDIR(at.st_mode)) {
    if (*empty < 0) {
      *empty = make_empty(setup, err);
      if (*empty < 0) {
        return *empty;
      }
      cover = dup(*empty);
    } else {
      cover = mountfd_clone(*empty, "", 0);
    }
  } else {
    cover = mountfd_clone(setup->null_file, "", 0);
    if (cover >= 0 &&
        mountfd_setattr(cover, 0, MNT_ATTR_RDONLY | MNT_ATTR_NOSUID | MNT_ATTR_NOEXEC, 0, MS_PRIVATE) < 0) {
      return err_errno(err, "cannot protect the mask of %s", path);
    }
  }
  if (cover < 0 || mountfd_attach(cover, target) < 0) {
    return err_errno(err, "cannot mask %s", path);
  }
  return 0;
}

int step_masked_paths(struct setup *setup, struct err *err) {
  cleanup_close int empty = -1;
  int r = 0;
  for (size_t i = 0; r == 0 && i < setup->plan->masked.count; i++) {
    r = mask(setup, setup->plan->masked.items[i], &empty, err);
  }
  return r;
}

int step_readonly_paths(struct setup *setup, struct err *err) {
  for (size_t i = 0; i < setup->plan->readonly.count; i++) {
    const char *path = setup->plan->readonly.items[i];
    cleanup_close int target = -1;
    int r = inroot_open(setup->root, path, O_PATH, &target, err);
    if (r == -ENOENT) {
      continue;
    }
    if (r < 0) {
      return r;
    }
    /* Only read-only is added: nosuid, nodev and noexec of the file system stay. */
    cleanup_close int tree = mountfd_clone(target, "", 1);
    if (tree < 0 || mountfd_setattr(tree, 1, MNT_ATTR_RDONLY, 0, MS_PRIVATE) < 0 || mountfd_attach(tree, target) < 0) {
      return err_errno(err, "cannot write-protect %s", path);
    }
  }
  return 0;
}
