#include "layer/copy_node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "layer/meta.h"

struct copy_link {
  dev_t device;
  ino_t inode;
  char *path; /* in the target */
};

void copy_free(struct copy *copy) {
  for (size_t i = 0; i < copy->link_count; i++) {
    free(copy->links[i].path);
  }
  free(copy->links);
  copy->links = NULL;
  copy->link_count = 0;
}

static struct owner owner_of(const struct copy *copy, const struct stat *at) {
  return copy->options.owner != NULL ? *copy->options.owner : (struct owner){at->st_uid, at->st_gid};
}

static mode_t mode_of(const struct copy *copy, const struct stat *at) {
  return copy->options.mode != NULL ? *copy->options.mode : at->st_mode & 07777;
}

static int copy_range(int from, int to, off_t start, off_t end, const char *path, struct err *err) {
  while (start < end) {
    off_t in = start;
    off_t out = start;
    ssize_t size = copy_file_range(from, &in, to, &out, (size_t)(end - start), 0);
    if (size > 0) {
      start += size;
      continue;
    }
    if (size == 0) {
      break; /* shrank meanwhile */
    }
    char buffer[65536];
    size_t want = (size_t)(end - start) < sizeof(buffer) ? (size_t)(end - start) : sizeof(buffer);
    size = pread(from, buffer, want, start);
    if (size == 0) {
      break;
    }
    if (size < 0 || pwrite(to, buffer, (size_t)size, start) != size) {
      return err_errno(err, "cannot copy to /%s", path);
    }
    start += size;
  }
  return 0;
}

/* Whole content: shared blocks where possible, holes stay holes. */
static int copy_content(int from, int to, off_t size, const char *path, struct err *err) {
  if (size == 0 || ioctl(to, FICLONE, from) == 0) {
    return 0;
  }
  for (off_t at = 0; at < size;) {
    off_t data = lseek(from, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) {
      break;
    }
    off_t hole = data < 0 ? size : lseek(from, data, SEEK_HOLE);
    data = data < 0 ? at : data;
    hole = hole < 0 || hole > size ? size : hole;
    int r = copy_range(from, to, data, hole, path, err);
    if (r < 0) {
      return r;
    }
    at = hole;
  }
  if (ftruncate(to, size) < 0) {
    return err_errno(err, "cannot size /%s", path);
  }
  return 0;
}

struct xattr_target {
  int fd;
  const char *path;
};

static int put_xattr(void *context, const char *name, const void *value, size_t size, struct err *err) {
  const struct xattr_target *target = context;
  return meta_set_xattr(target->fd, name, value, size, target->path, err);
}

static int copy_meta(const struct copy *copy, int from, int to, const struct stat *at, const char *path,
                     struct err *err) {
  struct xattr_target target = {to, path};
  int r = meta_set_owner_mode(to, owner_of(copy, at), mode_of(copy, at), path, err);
  return r < 0 ? r : meta_each_xattr(from, path, put_xattr, &target, err);
}

static int remember_link(struct copy *copy, const struct stat *at, const char *path, struct err *err) {
  if (copy->link_count == copy->link_capacity) {
    size_t capacity = copy->link_capacity == 0 ? 32 : copy->link_capacity * 2;
    struct copy_link *grown = realloc(copy->links, capacity * sizeof(*grown));
    if (grown == NULL) {
      return err_oom(err);
    }
    copy->links = grown;
    copy->link_capacity = capacity;
  }
  char *own = strdup(path);
  if (own == NULL) {
    return err_oom(err);
  }
  copy->links[copy->link_count++] = (struct copy_link){at->st_dev, at->st_ino, own};
  return 0;
}

/* 1: linked to an earlier copy of the same file. */
static int link_to_earlier(struct copy *copy, const struct stat *at, int parent, const char *leaf, struct err *err) {
  for (size_t i = 0; i < copy->link_count; i++) {
    const struct copy_link *link = &copy->links[i];
    if (link->inode != at->st_ino || link->device != at->st_dev) {
      continue;
    }
    cleanup_close int first_parent = -1;
    const char *first_leaf = NULL;
    int r = confine_parent(copy->target->root, link->path, &first_parent, &first_leaf, err);
    if (r < 0) {
      return r;
    }
    return linkat(first_parent, first_leaf, parent, leaf, 0) < 0 ? err_errno(err, "cannot link /%s", link->path) : 1;
  }
  return 0;
}

static int copy_file(struct copy *copy, int source_fd, const struct stat *at, int parent, const char *leaf,
                     const char *path, struct err *err) {
  if (at->st_nlink > 1) {
    int r = link_to_earlier(copy, at, parent, leaf, err);
    if (r != 0) {
      return r < 0 ? r : 0;
    }
  }
  cleanup_close int from = -1;
  int r = confine_reopen(copy->source, source_fd, O_RDONLY | O_NONBLOCK | O_NOCTTY, &from, err);
  if (r < 0) {
    return r;
  }
  cleanup_close int to = openat(parent, leaf, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (to < 0) {
    return err_errno(err, "cannot create /%s", path);
  }
  r = copy_content(from, to, at->st_size, path, err);
  if (r == 0) {
    r = copy_meta(copy, from, to, at, path, err);
  }
  if (r == 0) {
    r = meta_set_mtime(to, &at->st_mtim, path, err);
  }
  if (r == 0 && at->st_nlink > 1) {
    r = remember_link(copy, at, path, err);
  }
  copy->bytes += (uint64_t)at->st_size;
  return r;
}

static int copy_symlink(struct copy *copy, int source_fd, const struct stat *at, int parent, const char *leaf,
                        const char *path, struct err *err) {
  char target[4097];
  ssize_t size = readlinkat(source_fd, "", target, sizeof(target) - 1);
  if (size < 0) {
    return err_errno(err, "cannot read the link for /%s", path);
  }
  target[size] = '\0';
  if (symlinkat(target, parent, leaf) < 0) {
    return err_errno(err, "cannot create link /%s", path);
  }
  return meta_set_at(parent, leaf, owner_of(copy, at), &at->st_mtim, path, err);
}

static int copy_special(struct copy *copy, const struct stat *at, int parent, const char *leaf, const char *path,
                        struct err *err) {
  if (mknodat(parent, leaf, (at->st_mode & S_IFMT) | mode_of(copy, at), at->st_rdev) < 0) {
    return err_errno(err, "cannot create special file /%s", path);
  }
  int r = meta_set_at(parent, leaf, owner_of(copy, at), &at->st_mtim, path, err);
  return r < 0 ? r : meta_restore_special_mode(copy->target, parent, leaf, mode_of(copy, at), path, err);
}

static int copy_children(struct copy *copy, int from, const char *path, struct err *err) {
  int listed = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  cleanup_dir DIR *dir = listed < 0 ? NULL : fdopendir(listed);
  if (dir == NULL) {
    cleanup_close_at(&listed);
    return err_errno(err, "cannot list the source of /%s", path);
  }
  const struct dirent *entry;
  while ((errno = 0, entry = readdir(dir)) != NULL) {
    if (str_equal(entry->d_name, ".") || str_equal(entry->d_name, "..")) {
      continue;
    }
    cleanup_close int child = openat(from, entry->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (child < 0) {
      return err_errno(err, "cannot open the source of /%s/%s", path, entry->d_name);
    }
    cleanup_free char *child_path = str_format("%s%s%s", path, *path == '\0' ? "" : "/", entry->d_name);
    int r = child_path == NULL ? err_oom(err) : copy_node(copy, child, child_path, false, err);
    if (r < 0) {
      return r;
    }
  }
  return errno != 0 ? err_errno(err, "cannot list the source of /%s", path) : 0;
}

/* Opens the target directory, making it when it is not there; *ret_made says so. Follows links inside the target. */
static int open_target(struct copy *copy, const char *path, int *ret_fd, bool *ret_made, struct err *err) {
  int r = confine_open(copy->target->root, path, O_RDONLY | O_DIRECTORY, ret_fd, err);
  *ret_made = r == -ENOENT;
  if (r == -ENOTDIR) {
    return err_set(err, EEXIST, "cannot replace file /%s by a directory", path);
  }
  if (r != -ENOENT) {
    return r;
  }
  cleanup_close int parent = -1;
  const char *leaf = NULL;
  r = confine_parent(copy->target->root, path, &parent, &leaf, err);
  if (r < 0) {
    return r;
  }
  if (mkdirat(parent, leaf, 0700) < 0) {
    return err_errno(err, "cannot create directory /%s", path);
  }
  return confine_open(copy->target->root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, ret_fd, err);
}

static int copy_directory(struct copy *copy, int source_fd, const struct stat *at, const char *path, bool keep_existing,
                          struct err *err) {
  if (++copy->depth > CONFINE_DEPTH) {
    return err_set(err, ENAMETOOLONG, "/%.200s... lies too deep", path);
  }
  cleanup_close int from = -1;
  cleanup_close int to = -1;
  bool made = false;
  int r = confine_reopen(copy->source, source_fd, O_RDONLY | O_DIRECTORY, &from, err);
  if (r == 0) {
    r = open_target(copy, path, &to, &made, err);
  }
  if (r == 0 && (made || !keep_existing)) {
    r = copy_meta(copy, from, to, at, path, err);
  }
  if (r == 0) {
    r = copy_children(copy, from, path, err);
  }
  if (r == 0 && (made || !keep_existing)) {
    r = meta_set_mtime(to, &at->st_mtim, path, err);
  }
  copy->depth--;
  return r;
}

static int clear_place(int parent, const char *leaf, const char *path, struct err *err) {
  struct stat old;
  if (fstatat(parent, leaf, &old, AT_SYMLINK_NOFOLLOW) < 0) {
    return errno == ENOENT ? 0 : err_errno(err, "cannot stat /%s", path);
  }
  if (S_ISDIR(old.st_mode)) {
    return err_set(err, EEXIST, "cannot replace directory /%s by a file", path);
  }
  return unlinkat(parent, leaf, 0) < 0 ? err_errno(err, "cannot replace /%s", path) : 0;
}

int copy_node(struct copy *copy, int source_fd, const char *path, bool keep_existing, struct err *err) {
  struct stat at;
  if (fstat(source_fd, &at) < 0) {
    return err_errno(err, "cannot stat the source of /%s", path);
  }
  if (S_ISSOCK(at.st_mode)) {
    return 0;
  }
  copy->entries++;
  if (S_ISDIR(at.st_mode)) {
    return copy_directory(copy, source_fd, &at, path, keep_existing, err);
  }
  cleanup_close int parent = -1;
  const char *leaf = NULL;
  int r = confine_parent(copy->target->root, path, &parent, &leaf, err);
  if (r == 0) {
    r = clear_place(parent, leaf, path, err);
  }
  if (r < 0) {
    return r;
  }
  if (S_ISREG(at.st_mode)) {
    return copy_file(copy, source_fd, &at, parent, leaf, path, err);
  }
  return S_ISLNK(at.st_mode) ? copy_symlink(copy, source_fd, &at, parent, leaf, path, err)
                             : copy_special(copy, &at, parent, leaf, path, err);
}
