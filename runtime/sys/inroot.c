#include "sys/inroot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/syscalls.h"

/* A rename somewhere on the way makes the kernel give up with EAGAIN: an attacker can force some, not this many. */
#define TRIES 256

static int open_resolving(int root, const char *path, int flags, uint64_t resolve) {
  const char *relative = path[0] == '\0' ? "/" : path;
  for (int i = 0; i < TRIES; i++) {
    int fd = sys_openat2(root, relative, (uint64_t)(unsigned)(flags | O_CLOEXEC), 0, resolve);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) {
      return fd;
    }
  }
  return -1;
}

static int open_or_report(int root, const char *path, int flags, uint64_t more, int *ret_fd, struct err *err) {
  int fd = open_resolving(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | more);
  if (fd < 0) {
    return err_errno(err, "cannot open %s in the container's root file system", path);
  }
  *ret_fd = fd;
  return 0;
}

int inroot_open(int root, const char *path, int flags, int *ret_fd, struct err *err) {
  return open_or_report(root, path, flags, 0, ret_fd, err);
}

int inroot_open_plain(int root, const char *path, int flags, int *ret_fd, struct err *err) {
  int r = open_or_report(root, path, flags, RESOLVE_NO_SYMLINKS, ret_fd, err);
  if (r == -ELOOP) {
    return err_set(err, ELOOP, "refused: %s of the container's root file system leads through a symbolic link", path);
  }
  return r;
}

/* Makes what is missing, level by level; each level is resolved anew below the root. */
static int make_directory(int root, const char *path, mode_t mode, uint64_t more, int *ret_fd, struct err *err) {
  const uint64_t resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | more;
  const int flags = O_PATH | O_DIRECTORY;
  int whole = open_resolving(root, path, flags, resolve);
  if (whole >= 0) {
    *ret_fd = whole;
    return 0;
  }
  if (errno != ENOENT) {
    return err_errno(err, "cannot use %s as a directory in the container's root file system", path);
  }
  char part[PATH_MAX];
  size_t length = strlen(path);
  if (length >= sizeof(part)) {
    return err_code(err, ENAMETOOLONG, "cannot create %s in the container", path);
  }
  cleanup_close int parent = open_resolving(root, "/", flags, resolve);
  if (parent < 0) {
    return err_errno(err, "cannot open the container's root directory");
  }
  size_t start = 0;
  while (start < length) {
    while (path[start] == '/') {
      start++;
    }
    size_t end = start;
    while (end < length && path[end] != '/') {
      end++;
    }
    if (end == start) {
      break;
    }
    memcpy(part, path + start, end - start);
    part[end - start] = '\0';
    if (mkdirat(parent, part, mode) < 0 && errno != EEXIST) {
      return err_errno(err, "cannot create directory %.*s in the container's root file system", (int)end, path);
    }
    memcpy(part, path, end);
    part[end] = '\0';
    int next = open_resolving(root, part, flags, resolve);
    if (next < 0) {
      return err_errno(err, "cannot use %s as a directory in the container's root file system", part);
    }
    close(parent);
    parent = next;
    start = end;
  }
  *ret_fd = take_fd(&parent);
  return 0;
}

int inroot_make_directory(int root, const char *path, mode_t mode, int *ret_fd, struct err *err) {
  return make_directory(root, path, mode, 0, ret_fd, err);
}

int inroot_make_plain_directory(int root, const char *path, mode_t mode, int *ret_fd, struct err *err) {
  int r = make_directory(root, path, mode, RESOLVE_NO_SYMLINKS, ret_fd, err);
  if (r == -ELOOP || r == -ENOTDIR) {
    return err_set(err, -r, "refused: %s of the container's root file system is not a plain directory", path);
  }
  return r;
}

int inroot_make_file(int root, const char *path, int *ret_fd, struct err *err) {
  int found = open_resolving(root, path, O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  if (found >= 0) {
    *ret_fd = found;
    return 0;
  }
  if (errno != ENOENT) {
    return err_errno(err, "cannot open %s in the container's root file system", path);
  }
  const char *slash = strrchr(path, '/');
  const char *name = slash == NULL ? path : slash + 1;
  if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
    return err_code(err, EISDIR, "cannot create file %s in the container", path);
  }
  char directory[PATH_MAX];
  snprintf(directory, sizeof(directory), "%.*s", slash == NULL ? 0 : (int)(slash - path), path);
  cleanup_close int parent = -1;
  int r = inroot_make_directory(root, directory[0] == '\0' ? "/" : directory, 0755, &parent, err);
  if (r < 0) {
    return r;
  }
  cleanup_close int made = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (made < 0 && errno != EEXIST) {
    return err_errno(err, "cannot create file %s in the container's root file system", path);
  }
  int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    return err_errno(err, "cannot open %s in the container's root file system", path);
  }
  *ret_fd = fd;
  return 0;
}
