/* tmpcopyup: what a tmpfs covers is its first content. By descriptors, nothing is followed, no mount is entered. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "setup/setup.h"

#define DEPTH_MAX 128

static int copy_attributes(int from, int to, const struct stat *at, const char *name, struct err *err) {
  char names[4096], value[4096];
  ssize_t size = flistxattr(from, names, sizeof(names));
  if (fchown(to, at->st_uid, at->st_gid) < 0 || fchmod(to, at->st_mode & 07777) < 0) {
    return err_errno(err, "cannot copy owner and mode of %s", name);
  }
  /* After the owner: its change drops file capabilities. A tmpfs takes some attributes only. */
  for (const char *key = names; size > 0 && key < names + size; key += strlen(key) + 1) {
    ssize_t length = fgetxattr(from, key, value, sizeof(value));
    if (length >= 0 && fsetxattr(to, key, value, (size_t)length, 0) < 0 && errno != EOPNOTSUPP && errno != EPERM) {
      return err_errno(err, "cannot copy attribute %s of %s", key, name);
    }
  }
  const struct timespec times[2] = {at->st_atim, at->st_mtim};
  return futimens(to, times) < 0 ? err_errno(err, "cannot copy the times of %s", name) : 0;
}

static int copy_file(int from, int to, const char *name, struct err *err) {
  cleanup_close int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  cleanup_close int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  struct stat at;
  if (in < 0 || out < 0 || fstat(in, &at) < 0) {
    return err_errno(err, "cannot copy %s", name);
  }
  ssize_t n;
  while ((n = sendfile(out, in, NULL, (size_t)1 << 24)) > 0) {
  }
  return n < 0 ? err_errno(err, "cannot copy %s", name) : copy_attributes(in, out, &at, name, err);
}

static int copy_link(int from, int to, const char *name, const struct stat *at, struct err *err) {
  char target[4096];
  ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);
  if (n < 0) {
    return err_errno(err, "cannot read the link %s", name);
  }
  target[n] = '\0';
  return symlinkat(target, to, name) < 0 || fchownat(to, name, at->st_uid, at->st_gid, AT_SYMLINK_NOFOLLOW) < 0
             ? err_errno(err, "cannot copy the link %s", name)
             : 0;
}

static int copy_special(int to, const char *name, const struct stat *at, struct err *err) {
  if (S_ISSOCK(at->st_mode)) {
    return 0; /* Nobody listens on a copy. */
  }
  return mknodat(to, name, at->st_mode, at->st_rdev) < 0 ||
                 fchownat(to, name, at->st_uid, at->st_gid, AT_SYMLINK_NOFOLLOW) < 0
             ? err_errno(err, "cannot copy %s", name)
             : 0;
}

static int copy_content(int from, int to, dev_t device, int depth, struct err *err);

static int copy_directory(int from, int to, const char *name, dev_t device, int depth, struct err *err) {
  cleanup_close int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  struct stat at;
  if (in < 0 || fstat(in, &at) < 0 || mkdirat(to, name, 0700) < 0) {
    return err_errno(err, "cannot copy %s", name);
  }
  cleanup_close int out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (out < 0) {
    return err_errno(err, "cannot open the copy of %s", name);
  }
  int r = at.st_dev == device ? copy_content(in, out, device, depth + 1, err) : 0;
  return r < 0 ? r : copy_attributes(in, out, &at, name, err);
}

static int copy_entry(int from, int to, const char *name, dev_t device, int depth, struct err *err) {
  struct stat at;
  if (fstatat(from, name, &at, AT_SYMLINK_NOFOLLOW) < 0) {
    return err_errno(err, "cannot stat %s", name);
  }
  switch (at.st_mode & S_IFMT) {
  case S_IFDIR:
    return copy_directory(from, to, name, device, depth, err);
  case S_IFREG:
    return copy_file(from, to, name, err);
  case S_IFLNK:
    return copy_link(from, to, name, &at, err);
  default:
    return copy_special(to, name, &at, err);
  }
}

static int copy_content(int from, int to, dev_t device, int depth, struct err *err) {
  if (depth > DEPTH_MAX) {
    return err_set(err, ELOOP, "more than %d directories deep", DEPTH_MAX);
  }
  int again = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  cleanup_dir DIR *dir = again < 0 ? NULL : fdopendir(again);
  if (dir == NULL) {
    return err_errno(err, "cannot list a directory");
  }
  const struct dirent *entry;
  int r = 0;
  while (r == 0 && (entry = readdir(dir)) != NULL) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
      r = copy_entry(from, to, entry->d_name, device, depth, err);
    }
  }
  return r;
}

int setup_copy_up(int from, int to, struct err *err) {
  struct stat at;
  int r =
      fstat(from, &at) < 0 ? err_errno(err, "cannot stat the directory") : copy_content(from, to, at.st_dev, 0, err);
  return r < 0 ? err_prefix(err, "tmpcopyup") : 0;
}
