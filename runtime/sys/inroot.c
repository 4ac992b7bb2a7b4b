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

/* As the kernel has it. */
#define LINKS_MAX 40

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

/* The path with the dangling link `name`, in directory `parent` at path[0..start), replaced by where it points; `rest`
   is what comes after it. */
static int follow_dangling(int parent, const char *name, const char *path, size_t start, const char *rest,
                           char *ret_path, struct err *err) {
  char target[PATH_MAX];
  ssize_t size = readlinkat(parent, name, target, sizeof(target) - 1);
  if (size < 0) {
    return err_errno(err, "cannot read the link %s in the container's root file system", path);
  }
  target[size] = '\0';
  int n = snprintf(ret_path, PATH_MAX, "%.*s/%s/%s", target[0] == '/' ? 0 : (int)start, path, target, rest);
  return n < 0 || n >= PATH_MAX ? err_code(err, ENAMETOOLONG, "cannot follow the link %s in the container", path) : 0;
}

/* Makes what is missing, level by level; each level is resolved anew below the root. Returns 1 with another path to try
   when a link on the way points to nothing. */
static int make_levels(int root, const char *path, mode_t mode, uint64_t resolve, int *ret_fd, char *ret_path,
                       struct err *err) {
  const int flags = O_PATH | O_DIRECTORY;
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
    char name[NAME_MAX + 1];
    if (end - start > NAME_MAX) {
      return err_code(err, ENAMETOOLONG, "cannot create %s in the container", path);
    }
    memcpy(name, path + start, end - start);
    name[end - start] = '\0';
    if (mkdirat(parent, name, mode) < 0 && errno != EEXIST) {
      return err_errno(err, "cannot create directory %.*s in the container's root file system", (int)end, path);
    }
    memcpy(part, path, end);
    part[end] = '\0';
    int next = open_resolving(root, part, flags, resolve);
    if (next < 0 && errno == ENOENT) {
      int r = follow_dangling(parent, name, path, start, path + end, ret_path, err);
      return r < 0 ? r : 1;
    }
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

static int make_directory(int root, const char *path, mode_t mode, uint64_t more, int *ret_fd, struct err *err) {
  const uint64_t resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | more;
  char paths[2][PATH_MAX];
  for (int i = 0; i < LINKS_MAX; i++) {
    int whole = open_resolving(root, path, O_PATH | O_DIRECTORY, resolve);
    if (whole >= 0) {
      *ret_fd = whole;
      return 0;
    }
    if (errno != ENOENT) {
      return err_errno(err, "cannot use %s as a directory in the container's root file system", path);
    }
    int r = make_levels(root, path, mode, resolve, ret_fd, paths[i % 2], err);
    if (r <= 0) {
      return r;
    }
    path = paths[i % 2];
  }
  return err_code(err, ELOOP, "cannot use %s as a directory in the container's root file system", path);
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

/* The last level of a file's path; 1 as above. */
static int make_last(int root, const char *path, int *ret_fd, char *ret_path, struct err *err) {
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
  cleanup_close int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  struct stat at;
  if (fd < 0 || fstat(fd, &at) < 0) {
    return err_errno(err, "cannot open %s in the container's root file system", path);
  }
  if (S_ISLNK(at.st_mode)) {
    r = follow_dangling(parent, name, path, (size_t)(name - path), "", ret_path, err);
    size_t end = r < 0 ? 0 : strlen(ret_path);
    while (end > 1 && ret_path[end - 1] == '/') {
      ret_path[--end] = '\0';
    }
    return r < 0 ? r : 1;
  }
  *ret_fd = take_fd(&fd);
  return 0;
}

int inroot_make_file(int root, const char *path, int *ret_fd, struct err *err) {
  char paths[2][PATH_MAX];
  for (int i = 0; i < LINKS_MAX; i++) {
    int found = open_resolving(root, path, O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
    if (found >= 0) {
      *ret_fd = found;
      return 0;
    }
    if (errno != ENOENT) {
      return err_errno(err, "cannot open %s in the container's root file system", path);
    }
    int r = make_last(root, path, ret_fd, paths[i % 2], err);
    if (r <= 0) {
      return r;
    }
    path = paths[i % 2];
  }
  return err_code(err, ELOOP, "cannot open %s in the container's root file system", path);
}
