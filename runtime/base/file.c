#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

int file_read(int dirfd, const char *path, char **ret_data, size_t *ret_size, struct err *err) {
  cleanup_close int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) {
    return err_errno(err, "cannot open %s", path);
  }
  int r = fd_read_all(fd, FILE_LIMIT, ret_data, ret_size, err);
  return r < 0 ? err_prefix(err, "cannot read %s", path) : 0;
}

int file_read_line(int dirfd, const char *path, char *buffer, size_t capacity, struct err *err) {
  cleanup_close int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) {
    return err_errno(err, "cannot open %s", path);
  }
  size_t size = 0;
  while (size < capacity) {
    ssize_t n = read(fd, buffer + size, capacity - size);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return err_errno(err, "cannot read %s", path);
    }
    if (n == 0) {
      break;
    }
    size += (size_t)n;
  }
  if (size == capacity) {
    return err_code(err, EFBIG, "cannot read %s", path);
  }
  while (size > 0 && buffer[size - 1] == '\n') {
    size--;
  }
  buffer[size] = '\0';
  return 0;
}

int file_write_existing(int dirfd, const char *path, const char *text, struct err *err) {
  cleanup_close int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) {
    return err_errno(err, "cannot open %s", path);
  }
  ssize_t n;
  do {
    n = write(fd, text, strlen(text));
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    return err_errno(err, "cannot write '%s' to %s", text, path);
  }
  return 0;
}

int file_write_atomic(int dirfd, const char *path, const void *data, size_t size, mode_t mode, int sync,
                      struct err *err) {
  char temporary[PATH_MAX];
  int length = snprintf(temporary, sizeof(temporary), "%s.tmp-%d", path, (int)getpid());
  if (length < 0 || (size_t)length >= sizeof(temporary)) {
    return err_code(err, ENAMETOOLONG, "cannot write %s", path);
  }
  cleanup_close int fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
  if (fd < 0) {
    return err_errno(err, "cannot create %s", temporary);
  }
  int r = fd_write_all(fd, data, size, err);
  if (r == 0 && sync && fsync(fd) < 0) {
    r = err_errno(err, "cannot flush %s", temporary);
  }
  if (r == 0 && renameat(dirfd, temporary, dirfd, path) < 0) {
    r = err_errno(err, "cannot rename %s to %s", temporary, path);
  }
  if (r < 0) {
    unlinkat(dirfd, temporary, 0);
    return err_prefix(err, "cannot write %s", path);
  }
  return 0;
}

int file_mkdir_p(int dirfd, const char *path, mode_t mode, struct err *err) {
  if (mkdirat(dirfd, path, mode) == 0 || errno == EEXIST) {
    return 0;
  }
  if (errno != ENOENT) {
    return err_errno(err, "cannot create directory %s", path);
  }
  char part[PATH_MAX];
  size_t length = strlen(path);
  if (length >= sizeof(part)) {
    return err_code(err, ENAMETOOLONG, "cannot create directory %s", path);
  }
  memcpy(part, path, length + 1);
  for (size_t i = 1; i <= length; i++) {
    if (part[i] != '/' && part[i] != '\0') {
      continue;
    }
    char kept = part[i];
    part[i] = '\0';
    if (mkdirat(dirfd, part, mode) < 0 && errno != EEXIST) {
      return err_errno(err, "cannot create directory %s", part);
    }
    part[i] = kept;
  }
  return 0;
}

static int remove_entries(int dirfd, const char *path, dev_t device, struct err *err);

static int remove_one(int dirfd, const char *name, dev_t device, struct err *err) {
  if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT) {
    return 0;
  }
  if (errno != EISDIR && errno != EPERM) {
    return err_errno(err, "cannot remove %s", name);
  }
  if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
    return 0;
  }
  if (errno != ENOTEMPTY && errno != EEXIST) {
    return err_errno(err, "cannot remove directory %s", name);
  }
  int r = remove_entries(dirfd, name, device, err);
  if (r < 0) {
    return r;
  }
  return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 ? err_errno(err, "cannot remove directory %s", name) : 0;
}

static int remove_entries(int dirfd, const char *path, dev_t device, struct err *err) {
  int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    return errno == ENOENT ? 0 : err_errno(err, "cannot open directory %s", path);
  }
  cleanup_dir DIR *dir = fdopendir(fd);
  if (dir == NULL) {
    close(fd);
    return err_errno(err, "cannot list directory %s", path);
  }
  struct stat at;
  if (fstat(fd, &at) < 0) {
    return err_errno(err, "cannot stat directory %s", path);
  }
  if (at.st_dev != device) {
    return err_set(err, EXDEV, "not removing %s: another file system is mounted there", path);
  }
  const struct dirent *entry;
  while ((entry = readdir(dir)) != NULL) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
      continue;
    }
    int r = remove_one(fd, entry->d_name, device, err);
    if (r < 0) {
      return err_prefix(err, "in %s", path);
    }
  }
  return 0;
}

int file_remove_tree(int dirfd, const char *path, struct err *err) {
  struct stat at;
  if (fstatat(dirfd, path, &at, AT_SYMLINK_NOFOLLOW) < 0) {
    return errno == ENOENT ? 0 : err_errno(err, "cannot stat %s", path);
  }
  return remove_one(dirfd, path, at.st_dev, err);
}
