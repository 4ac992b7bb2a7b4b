#include "layer/fixup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "layer/apply.h"
#include "layer/copy_node.h"
#include "layer/meta.h"

struct fixup {
  const struct tree *layer;
  const struct tree *lower;
};

static int put_xattr(void *context, const char *name, const void *value, size_t size, struct err *err) {
  return meta_set_xattr(*(int *)context, name, value, size, name, err);
}

/* The directory at `path` in the layer gets what the directory there has in the layers below; missing below: nothing.
 */
static int inherit_meta(const struct fixup *fixup, const char *path, struct err *err) {
  cleanup_close int from = -1;
  cleanup_close int to = -1;
  struct stat at;
  if (confine_open(fixup->lower->root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, &from, NULL) < 0 ||
      fstat(from, &at) < 0) {
    return 0;
  }
  int r = confine_open(fixup->layer->root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, &to, err);
  struct owner owner = {at.st_uid, at.st_gid};
  if (r == 0) {
    r = meta_set_owner_mode(to, owner, at.st_mode, path, err);
  }
  if (r == 0) {
    r = meta_each_xattr(from, path, put_xattr, &to, err);
  }
  return r < 0 ? r : meta_set_mtime(to, &at.st_mtim, path, err);
}

static int inherit_made(void *context, const char *path, struct err *err) {
  return inherit_meta(context, path, err);
}

static int move_children(int from, int to, const char *path, int depth, struct err *err);

static int move_one(int from, int to, const char *leaf, const char *path, int depth, struct err *err) {
  if (renameat(from, leaf, to, leaf) == 0) {
    return 0;
  }
  if (errno != ENOTEMPTY && errno != EEXIST) {
    return err_errno(err, "cannot move %s out of /%s", leaf, path);
  }
  cleanup_close int from_child = openat(from, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  cleanup_close int to_child = openat(to, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (from_child < 0 || to_child < 0) {
    return err_errno(err, "cannot merge %s of /%s", leaf, path);
  }
  int r = move_children(from_child, to_child, path, depth + 1, err);
  if (r == 0 && unlinkat(from, leaf, AT_REMOVEDIR) < 0) {
    r = err_errno(err, "cannot remove %s of /%s", leaf, path);
  }
  return r;
}

static int move_children(int from, int to, const char *path, int depth, struct err *err) {
  if (depth > CONFINE_DEPTH) {
    return err_set(err, ENAMETOOLONG, "/%s is too deep", path);
  }
  int listed = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  cleanup_dir DIR *dir = listed < 0 ? NULL : fdopendir(listed);
  if (dir == NULL) {
    cleanup_close_at(&listed);
    return err_errno(err, "cannot list /%s", path);
  }
  /* Read first, move afterwards: a directory that changes while it is read may skip names. */
  cleanup_str_list struct str_list names = {0};
  const struct dirent *entry;
  while ((entry = readdir(dir)) != NULL) {
    if (!str_equal(entry->d_name, ".") && !str_equal(entry->d_name, "..") && str_list_add(&names, entry->d_name) < 0) {
      return err_oom(err);
    }
  }
  for (size_t i = 0; i < names.count; i++) {
    int r = move_one(from, to, names.items[i], path, depth, err);
    if (r < 0) {
      return r;
    }
  }
  return 0;
}

/* Below, `path` leads through a symbolic link to `real`: the layer's files belong there. */
static int relocate(const struct fixup *fixup, const char *path, const char *real, struct err *err) {
  cleanup_close int from = -1;
  int r = confine_open(fixup->layer->root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, &from, NULL);
  if (r < 0) {
    return 0; /* moved with its parent */
  }
  size_t length = strlen(path);
  if (strncmp(real, path, length) == 0 && (real[length] == '\0' || real[length] == '/')) {
    return err_set(err, EINVAL, "/%s leads into itself", path);
  }
  cleanup_close int made = -1;
  cleanup_close int to = -1;
  struct owner root = {0, 0};
  r = confine_make_directories(fixup->layer->root, real, root, inherit_made, (void *)fixup, &made, err);
  if (r == 0) {
    r = confine_open(fixup->layer->root, real, O_RDONLY | O_DIRECTORY, &to, err);
  }
  if (r == 0) {
    r = move_children(from, to, path, 0, err);
  }
  cleanup_close int parent = -1;
  const char *leaf = NULL;
  if (r == 0) {
    r = confine_parent(fixup->layer->root, path, &parent, &leaf, err);
  }
  if (r == 0 && unlinkat(parent, leaf, AT_REMOVEDIR) < 0) {
    r = err_errno(err, "cannot remove /%s", path);
  }
  return r;
}

static int settle_directory(const struct fixup *fixup, const char *path, struct err *err) {
  cleanup_str struct str real = STR_INIT;
  struct err ignored = ERR_INIT;
  if (confine_resolve(fixup->lower->root, path, true, &real, &ignored) < 0) {
    return 0; /* not there below: a new directory */
  }
  cleanup_close int below = -1;
  if (confine_open(fixup->lower->root, real.data, O_PATH | O_DIRECTORY, &below, NULL) < 0) {
    return 0;
  }
  if (!str_equal(real.data, path)) {
    int r = relocate(fixup, path, real.data, err);
    if (r < 0) {
      return r;
    }
  }
  return inherit_meta(fixup, real.data, err);
}

static int settle_link(const struct fixup *fixup, const char *path, const char *target, struct err *err) {
  cleanup_close int below = -1;
  int r = confine_open(fixup->lower->root, target, O_PATH | O_NOFOLLOW, &below, err);
  if (r < 0) {
    return err_prefix(err, "hard link /%s: its target is in no layer", path);
  }
  cleanup_str struct str real = STR_INIT;
  r = confine_resolve(fixup->lower->root, target, false, &real, err);
  cleanup_close int directory = -1;
  cleanup_close int target_parent = -1;
  cleanup_close int parent = -1;
  const char *target_leaf = NULL;
  const char *leaf = NULL;
  struct owner root = {0, 0};
  const char *slash = r < 0 ? NULL : strrchr(real.data, '/');
  cleanup_free char *above = slash == NULL ? strdup("") : strndup(real.data, (size_t)(slash - real.data));
  if (r == 0) {
    r = above == NULL
            ? err_oom(err)
            : confine_make_directories(fixup->layer->root, above, root, inherit_made, (void *)fixup, &directory, err);
  }
  if (r == 0) {
    r = confine_parent(fixup->layer->root, real.data, &target_parent, &target_leaf, err);
  }
  struct stat there;
  if (r == 0 && fstatat(target_parent, target_leaf, &there, AT_SYMLINK_NOFOLLOW) < 0) {
    cleanup_copy struct copy copy = {.source = fixup->lower, .target = fixup->layer};
    struct stat at;
    r = fstat(below, &at) < 0 || S_ISDIR(at.st_mode) ? err_set(err, EINVAL, "hard link /%s to a directory", path)
                                                     : copy_node(&copy, below, real.data, true, err);
  }
  if (r == 0) {
    r = confine_parent(fixup->layer->root, path, &parent, &leaf, err);
  }
  if (r == 0 && linkat(target_parent, target_leaf, parent, leaf, 0) < 0) {
    r = err_errno(err, "cannot link /%s to /%s", path, target);
  }
  return r;
}

static int hide_one(const struct fixup *fixup, const char *name, struct err *err) {
  struct stat at;
  if (fstatat(fixup->layer->root, name, &at, AT_SYMLINK_NOFOLLOW) < 0) {
    return mknodat(fixup->layer->root, name, S_IFCHR, 0) < 0 ? err_errno(err, "cannot hide /%s", name) : 0;
  }
  if (!S_ISDIR(at.st_mode)) {
    return 0;
  }
  cleanup_close int fd = openat(fixup->layer->root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return fd < 0 || fsetxattr(fd, XATTR_OPAQUE, "y", 1, 0) < 0 ? err_errno(err, "cannot hide /%s", name) : 0;
}

static int settle_opaque_root(const struct fixup *fixup, struct err *err) {
  cleanup_close int fd = -1;
  int r = confine_open(fixup->lower->root, "", O_RDONLY | O_DIRECTORY, &fd, err);
  cleanup_dir DIR *dir = r < 0 ? NULL : fdopendir(fd);
  if (r == 0 && dir == NULL) {
    return err_errno(err, "cannot list the layers below");
  }
  (void)take_fd(&fd);
  const struct dirent *entry;
  while (r == 0 && (entry = readdir(dir)) != NULL) {
    if (!str_equal(entry->d_name, ".") && !str_equal(entry->d_name, "..")) {
      r = hide_one(fixup, entry->d_name, err);
    }
  }
  return r;
}

static const char *next_text(const char **at, const char *end) {
  const char *text = *at;
  const char *stop = memchr(text, '\0', (size_t)(end - text));
  if (stop == NULL) {
    return NULL;
  }
  *at = stop + 1;
  return text;
}

int fixup_run(const struct tree *layer, const struct tree *lower, const char *records, size_t size, struct err *err) {
  struct fixup fixup = {layer, lower};
  const char *end = records + size;
  for (const char *at = records; at < end;) {
    char mark = *at++;
    const char *path = at < end ? next_text(&at, end) : NULL;
    const char *target = mark == PENDING_LINK && path != NULL && at < end ? next_text(&at, end) : "";
    if (path == NULL || target == NULL) {
      return err_set(err, EINVAL, "the list of pending work is damaged");
    }
    int r;
    switch (mark) {
    case PENDING_DIRECTORY:
      r = settle_directory(&fixup, path, err);
      break;
    case PENDING_LINK:
      r = settle_link(&fixup, path, target, err);
      break;
    case PENDING_OPAQUE:
      r = settle_opaque_root(&fixup, err);
      break;
    default:
      r = err_set(err, EINVAL, "the list of pending work is damaged");
    }
    if (r < 0) {
      return r;
    }
  }
  return 0;
}
