#include "layer/meta.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

#define XATTR_LIST_LIMIT 65536

bool meta_xattr_allowed(const char *name) {
  if (str_starts(name, "trusted.overlay.") || str_starts(name, "user.overlay.")) {
    return false;
  }
  if (str_starts(name, "security.")) {
    return str_equal(name, "security.capability");
  }
  return str_starts(name, "user.") || str_starts(name, "trusted.") || str_starts(name, "system.posix_acl_");
}

int meta_set_xattr(int fd, const char *name, const void *value, size_t size, const char *path, struct err *err) {
  if (fsetxattr(fd, name, value, size, 0) == 0 || errno == EOPNOTSUPP) {
    return 0;
  }
  return err_errno(err, "cannot set attribute %s of /%s", name, path);
}

ssize_t meta_get_xattr(int fd, const char *name, void *buffer, size_t capacity) {
  ssize_t size = fgetxattr(fd, name, buffer, capacity);
  return size < 0 ? 0 : size;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static int call_with_value(int fd, const char *name, const char *path, xattr_fn each, void *context, struct err *err) {
  cleanup_free char *value = malloc(XATTR_SIZE_MAX);
  if (value == NULL) {
    return err_oom(err);
  }
  ssize_t size = fgetxattr(fd, name, value, XATTR_SIZE_MAX);
  if (size < 0) {
    /* Gone since it was listed, or refused by a security module. */
    return errno == ENODATA || errno == EOPNOTSUPP ? 0 : err_errno(err, "cannot read attribute %s of /%s", name, path);
  }
  return each(context, name, value, (size_t)size, err);
}

int meta_each_xattr(int fd, const char *path, xattr_fn each, void *context, struct err *err) {
  char probe[1];
  ssize_t size = flistxattr(fd, probe, 0);
  if (size == 0 || (size < 0 && errno == EOPNOTSUPP)) {
    return 0;
  }
  cleanup_free char *list = malloc(XATTR_LIST_LIMIT);
  cleanup_free char **names = malloc(sizeof(char *) * (XATTR_LIST_LIMIT / 2));
  if (list == NULL || names == NULL) {
    return err_oom(err);
  }
  size = flistxattr(fd, list, XATTR_LIST_LIMIT);
  if (size < 0) {
    return err_errno(err, "cannot list attributes of /%s", path);
  }
  size_t count = 0;
  for (char *at = list; at < list + size; at += strlen(at) + 1) {
    if (meta_xattr_allowed(at)) {
      names[count++] = at;
    }
  }
  qsort(names, count, sizeof(*names), compare_names);
  for (size_t i = 0; i < count; i++) {
    int r = call_with_value(fd, names[i], path, each, context, err);
    if (r < 0) {
      return r;
    }
  }
  return 0;
}

int meta_set_owner_mode(int fd, struct owner owner, mode_t mode, const char *path, struct err *err) {
  if (fchown(fd, owner.uid, owner.gid) < 0) {
    return err_errno(err, "cannot set the owner of /%s", path);
  }
  if (fchmod(fd, mode & 07777) < 0) {
    return err_errno(err, "cannot set the mode of /%s", path);
  }
  return 0;
}

int meta_set_mtime(int fd, const struct timespec *mtime, const char *path, struct err *err) {
  struct timespec times[2] = {*mtime, *mtime};
  if (futimens(fd, times) < 0) {
    return err_errno(err, "cannot set the time of /%s", path);
  }
  return 0;
}

int meta_set_at(int parent, const char *leaf, struct owner owner, const struct timespec *mtime, const char *path,
                struct err *err) {
  if (fchownat(parent, leaf, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) < 0) {
    return err_errno(err, "cannot set the owner of /%s", path);
  }
  struct timespec times[2] = {*mtime, *mtime};
  if (utimensat(parent, leaf, times, AT_SYMLINK_NOFOLLOW) < 0) {
    return err_errno(err, "cannot set the time of /%s", path);
  }
  return 0;
}

int meta_restore_special_mode(const struct tree *tree, int parent, const char *leaf, mode_t mode, const char *path,
                              struct err *err) {
  if ((mode & 07000) == 0) {
    return 0;
  }
  cleanup_close int fd = openat(parent, leaf, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  struct stat at;
  if (fd < 0 || fstat(fd, &at) < 0) {
    return err_errno(err, "cannot open /%s", path);
  }
  if (!S_ISFIFO(at.st_mode) && !S_ISCHR(at.st_mode) && !S_ISBLK(at.st_mode)) {
    return err_set(err, EBUSY, "/%s was replaced while it was made", path);
  }
  char name[16];
  (void)snprintf(name, sizeof(name), "%d", fd);
  return fchmodat(tree->self, name, mode & 07777, 0) < 0 ? err_errno(err, "cannot set the mode of /%s", path) : 0;
}
