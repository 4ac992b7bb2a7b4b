#include "layer/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* The whiteout of a file with the longest name is longer than any file's name. */
#define PART_MAX (NAME_MAX + sizeof(".wh.") - 1)
#define TEXT_MAX ((size_t)128 << 10)

void tree_close(struct tree *tree) {
  cleanup_close_at(&tree->root);
  cleanup_close_at(&tree->self);
  tree->root = -1;
  tree->self = -1;
}

int tree_open_self(int *ret_self, struct err *err) {
  int self = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (self < 0) {
    return err_errno(err, "cannot open /proc/self/fd");
  }
  *ret_self = self;
  return 0;
}

int tree_open_directory(const char *path, struct tree *ret_tree, struct err *err) {
  cleanup_tree struct tree tree = TREE_INIT;
  int r = tree_open_self(&tree.self, err);
  if (r < 0) {
    return r;
  }
  tree.root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (tree.root < 0) {
    return err_errno(err, "cannot open directory %s", path);
  }
  ret_tree->root = take_fd(&tree.root);
  ret_tree->self = take_fd(&tree.self);
  return 0;
}

int confine_clean(const char *path, struct str *ret_path, struct err *err) {
  cleanup_str struct str clean = STR_INIT;
  size_t depth = 0;
  if (str_add(&clean, "") < 0) {
    return err_oom(err);
  }
  for (const char *at = path; *at != '\0';) {
    size_t length = strcspn(at, "/");
    if (length == 2 && at[0] == '.' && at[1] == '.') {
      while (clean.size > 0 && clean.data[--clean.size] != '/') {
      }
      clean.data[clean.size] = '\0';
      depth -= depth > 0;
    } else if (length > 0 && !(length == 1 && at[0] == '.')) {
      if (length > PART_MAX || ++depth > CONFINE_DEPTH || clean.size + length + 2 > TEXT_MAX) {
        return err_set(err, ENAMETOOLONG, "path %.200s... is too long or too deep", path);
      }
      if ((clean.size > 0 && str_append(&clean, "/", 1) < 0) || str_append(&clean, at, length) < 0) {
        return err_oom(err);
      }
    }
    at += length;
    at += strspn(at, "/");
  }
  str_free(ret_path);
  *ret_path = clean;
  clean = (struct str)STR_INIT;
  return 0;
}

static int open_resolved(int directory, const char *path, int flags, uint64_t resolve) {
  struct open_how how = {
      .flags = (unsigned)(flags | O_CLOEXEC),
      .resolve = resolve | RESOLVE_NO_MAGICLINKS,
  };
  /* EAGAIN: something was renamed while ".." was walked; the kernel asks to try again. */
  for (int attempt = 0; attempt < 1000; attempt++) {
    long fd = syscall(SYS_openat2, directory, *path == '\0' ? "." : path, &how, sizeof(how));
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) {
      return (int)fd;
    }
  }
  return -1;
}

/* A path longer than the kernel takes at once is walked in parts. Only the first may lead through symbolic links:
 * behind it the root is no longer known. */
static int open_in_root(int root, const char *path, int flags) {
  uint64_t resolve = RESOLVE_IN_ROOT;
  cleanup_close int below = -1;
  while (strlen(path) >= PATH_MAX) {
    char part[PATH_MAX];
    (void)memcpy(part, path, PATH_MAX - 1);
    part[PATH_MAX - 1] = '\0';
    char *slash = strrchr(part, '/'); /* there is one: parts of a clean path are short */
    if (slash == NULL) {
      errno = ENAMETOOLONG;
      return -1;
    }
    *slash = '\0';
    int next = open_resolved(below < 0 ? root : below, part, O_PATH | O_DIRECTORY, resolve);
    cleanup_close_at(&below);
    below = next;
    if (below < 0) {
      return -1;
    }
    resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    path += slash - part + 1;
  }
  return open_resolved(below < 0 ? root : below, path, flags, resolve);
}

int confine_open(int root, const char *path, int flags, int *ret_fd, struct err *err) {
  int fd = open_in_root(root, path, flags);
  if (fd < 0) {
    return err_errno(err, "cannot open /%s", path);
  }
  *ret_fd = fd;
  return 0;
}

/* Target of the link at `path`, or -EINVAL for what is no link. */
static int read_link(int root, const char *path, char *target, size_t capacity, struct err *err) {
  cleanup_close int fd = -1;
  int r = confine_open(root, path, O_PATH | O_NOFOLLOW, &fd, err);
  if (r < 0) {
    return r;
  }
  ssize_t size = readlinkat(fd, "", target, capacity - 1);
  if (size < 0) {
    return -(errno == ENOENT ? EINVAL : errno); /* ENOENT: "" of something that is no link */
  }
  target[size] = '\0';
  return 0;
}

int confine_resolve(int root, const char *path, bool follow_last, struct str *ret_path, struct err *err) {
  cleanup_free char *rest = strdup(path);
  cleanup_str struct str done = STR_INIT;
  if (rest == NULL || str_add(&done, "") < 0) {
    return err_oom(err);
  }
  int links = 0;
  for (char *at = rest; *at != '\0';) {
    size_t length = strcspn(at, "/");
    cleanup_free char *joined = str_format("%s/%.*s", done.data, (int)length, at);
    cleanup_str struct str next = STR_INIT;
    int r = joined == NULL ? err_oom(err) : confine_clean(joined, &next, err);
    if (r < 0) {
      return r;
    }
    at += length + strspn(at + length, "/");
    char target[PATH_MAX];
    r = *at == '\0' && !follow_last ? -EINVAL : read_link(root, next.data, target, sizeof(target), err);
    if (r == -EINVAL) {
      str_free(&done);
      done = next;
      next = (struct str)STR_INIT;
      continue;
    }
    if (r < 0 || ++links > 40) {
      return r < 0 ? r : err_set(err, ELOOP, "too many symbolic links in /%s", path);
    }
    char *spliced = str_format("%s/%s", target, at);
    if (spliced == NULL) {
      return err_oom(err);
    }
    if (*target == '/') {
      done.size = 0;
      done.data[0] = '\0';
    }
    free(rest);
    rest = spliced;
    at = rest + strspn(rest, "/");
  }
  str_free(ret_path);
  *ret_path = done;
  done = (struct str)STR_INIT;
  return 0;
}

int confine_parent(int root, const char *path, int *ret_parent, const char **ret_leaf, struct err *err) {
  if (*path == '\0') {
    return err_set(err, EINVAL, "the root has no parent");
  }
  const char *slash = strrchr(path, '/');
  cleanup_free char *parent = slash == NULL ? strdup("") : strndup(path, (size_t)(slash - path));
  if (parent == NULL) {
    return err_oom(err);
  }
  int r = confine_open(root, parent, O_PATH | O_DIRECTORY, ret_parent, err);
  if (r < 0) {
    return r;
  }
  *ret_leaf = slash == NULL ? path : slash + 1;
  return 0;
}

/* Makes the last part of `path` in the directory that resolves to its parent. */
static int make_directory(int root, const char *path, struct owner owner, struct err *err) {
  cleanup_close int parent = -1;
  const char *leaf = NULL;
  int r = confine_parent(root, path, &parent, &leaf, err);
  if (r < 0) {
    return r;
  }
  if (mkdirat(parent, leaf, 0755) < 0) {
    return err_errno(err, "cannot create directory /%s", path);
  }
  if ((owner.uid != 0 || owner.gid != 0) && fchownat(parent, leaf, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) < 0) {
    return err_errno(err, "cannot set the owner of /%s", path);
  }
  return 0;
}

int confine_make_directories(int root, const char *path, struct owner owner, made_fn made, void *context, int *ret_fd,
                             struct err *err) {
  int fd = open_in_root(root, path, O_PATH | O_DIRECTORY);
  if (fd < 0 && errno != ENOENT) {
    return err_errno(err, "cannot open directory /%s", path);
  }
  cleanup_free char *prefix = fd < 0 ? strdup(path) : NULL;
  if (fd < 0 && prefix == NULL) {
    return err_oom(err);
  }
  for (char *end = prefix; fd < 0;) {
    end = strchr(end, '/');
    if (end != NULL) {
      *end = '\0';
    }
    cleanup_close int step = open_in_root(root, prefix, O_PATH | O_DIRECTORY);
    if (step < 0 && errno != ENOENT) {
      return err_errno(err, "cannot open directory /%s", prefix);
    }
    if (step < 0) {
      int r = make_directory(root, prefix, owner, err);
      if (r == 0 && made != NULL) {
        r = made(context, prefix, err);
      }
      if (r < 0) {
        return r;
      }
    }
    if (end == NULL) {
      fd = open_in_root(root, path, O_PATH | O_DIRECTORY);
      if (fd < 0) {
        return err_errno(err, "cannot open directory /%s", path);
      }
      break;
    }
    *end++ = '/';
  }
  *ret_fd = fd;
  return 0;
}

int confine_reopen(const struct tree *tree, int fd, int flags, int *ret_fd, struct err *err) {
  char name[16];
  (void)snprintf(name, sizeof(name), "%d", fd);
  int opened = openat(tree->self, name, flags | O_CLOEXEC);
  if (opened < 0) {
    return err_errno(err, "cannot reopen descriptor %d", fd);
  }
  *ret_fd = opened;
  return 0;
}
