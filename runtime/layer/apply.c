#include "layer/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/file.h"
#include "layer/meta.h"

#define WHITEOUT ".wh."
#define WHITEOUT_META ".wh..wh."
#define ROOM_BYTES ((uint64_t)16 << 20)
#define ROOM_ENTRIES 4096
#define WHITEOUT_OPAQUE ".wh..wh..opq"

struct directory_time {
  char *path;
  ino_t inode;
  struct timespec mtime;
};

struct apply {
  const struct tree *tree;
  struct source *source;
  const struct apply_options *options;
  struct apply_report report;
  /* Parent of the last entry: archives list a directory's entries in a row. Forgotten whenever something is removed,
   * because then the path may lead elsewhere. */
  char *parent_path;
  int parent;
  void *implied; /* tsearch tree of paths: directories that no entry described yet */
  struct directory_time *times;
  size_t time_count;
  size_t time_capacity;
  uint64_t room_bytes; /* the report's numbers when the free space was last looked at */
  uint64_t room_entries;
};

/* One entry on its way into the tree. */
struct item {
  const struct tar_item *entry;
  const char *path; /* clean, below the root */
  const char *leaf;
  int parent;
  struct stat old;
  bool exists;
  struct owner owner;
  mode_t mode;
  struct timespec mtime;
};

static void apply_free(struct apply *apply) {
  free(apply->parent_path);
  cleanup_close_at(&apply->parent);
  for (size_t i = 0; i < apply->time_count; i++) {
    free(apply->times[i].path);
  }
  free(apply->times);
  tdestroy(apply->implied, free);
}

static int add_pending(void *context, char mark, const char *path, const char *target, struct err *err) {
  struct apply *apply = context;
  if (apply->options->pending < 0) {
    return 0;
  }
  cleanup_str struct str record = STR_INIT;
  if (str_append(&record, &mark, 1) < 0 || str_append(&record, path, strlen(path) + 1) < 0 ||
      (target != NULL && str_append(&record, target, strlen(target) + 1) < 0)) {
    return err_oom(err);
  }
  apply->report.pending++;
  int r = fd_write_all(apply->options->pending, record.data, record.size, err);
  return r < 0 ? err_prefix(err, "cannot note pending work") : 0;
}

static int compare_paths(const void *a, const void *b) {
  return strcmp(a, b);
}

static int note_made(void *context, const char *path, struct err *err) {
  struct apply *apply = context;
  if (apply->options->pending < 0) {
    return 0;
  }
  char *copy = strdup(path);
  char *const *found = copy == NULL ? NULL : tsearch(copy, &apply->implied, compare_paths);
  if (found == NULL || *found != copy) {
    free(copy);
  }
  return found == NULL ? err_oom(err) : 0;
}

/* An entry of its own describes the directory after all. */
static void forget_implied(struct apply *apply, const char *path) {
  char *const *found = apply->implied == NULL ? NULL : tfind(path, &apply->implied, compare_paths);
  if (found != NULL) {
    char *copy = *found;
    (void)tdelete(path, &apply->implied, compare_paths);
    free(copy);
  }
}

struct implied_walk {
  struct apply *apply;
  struct err *err;
  int result;
};

static void write_implied(const void *node, VISIT visit, void *context) {
  struct implied_walk *walk = context;
  if ((visit == postorder || visit == leaf) && walk->result == 0) {
    walk->result = add_pending(walk->apply, PENDING_DIRECTORY, *(char *const *)node, NULL, walk->err);
  }
}

/* In order of the paths, so that a parent comes before what lies in it. */
static int add_implied(struct apply *apply, struct err *err) {
  struct implied_walk walk = {apply, err, 0};
  twalk_r(apply->implied, write_implied, &walk);
  return walk.result;
}

static void forget_parent(struct apply *apply) {
  free(apply->parent_path);
  apply->parent_path = NULL;
  cleanup_close_at(&apply->parent);
  apply->parent = -1;
}

/* Opens the directory that `path` lies in, making it when needed. The descriptor stays ours. */
static int enter_parent(struct apply *apply, const char *path, int *ret_parent, const char **ret_leaf,
                        struct err *err) {
  const char *slash = strrchr(path, '/');
  size_t length = slash == NULL ? 0 : (size_t)(slash - path);
  *ret_leaf = slash == NULL ? path : slash + 1;
  if (apply->parent_path != NULL && strlen(apply->parent_path) == length &&
      strncmp(apply->parent_path, path, length) == 0) {
    *ret_parent = apply->parent;
    return 0;
  }
  forget_parent(apply);
  cleanup_free char *parent_path = strndup(path, length);
  if (parent_path == NULL) {
    return err_oom(err);
  }
  struct owner root = {0, 0};
  int r = confine_make_directories(apply->tree->root, parent_path, root, note_made, apply, &apply->parent, err);
  if (r < 0) {
    return r;
  }
  apply->parent_path = take_ptr(parent_path);
  *ret_parent = apply->parent;
  return 0;
}

static bool is_overlay_whiteout(const struct stat *at) {
  return S_ISCHR(at->st_mode) && at->st_rdev == 0;
}

static int set_opaque(int fd, const char *path, struct err *err) {
  if (fsetxattr(fd, XATTR_OPAQUE, "y", 1, 0) < 0) {
    return err_errno(err, "cannot mark /%s opaque", path);
  }
  return 0;
}

static int remember_time(struct apply *apply, const struct item *item, ino_t inode, struct err *err) {
  if (apply->time_count == apply->time_capacity) {
    size_t capacity = apply->time_capacity == 0 ? 64 : apply->time_capacity * 2;
    struct directory_time *grown = realloc(apply->times, capacity * sizeof(*grown));
    if (grown == NULL) {
      return err_oom(err);
    }
    apply->times = grown;
    apply->time_capacity = capacity;
  }
  char *path = strdup(item->path);
  if (path == NULL) {
    return err_oom(err);
  }
  apply->times[apply->time_count++] = (struct directory_time){path, inode, item->mtime};
  return 0;
}

/* Directory times last: every entry made inside changes them. One that was replaced meanwhile is left alone. */
static int set_directory_times(struct apply *apply, struct err *err) {
  for (size_t i = apply->time_count; i-- > 0;) {
    const struct directory_time *time = &apply->times[i];
    cleanup_close int fd = -1;
    struct stat at;
    if (confine_open(apply->tree->root, time->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, &fd, NULL) < 0 ||
        fstat(fd, &at) < 0 || at.st_ino != time->inode) {
      continue;
    }
    int r = meta_set_mtime(fd, &time->mtime, time->path, err);
    if (r < 0) {
      return r;
    }
  }
  return 0;
}

static int set_xattrs(const struct item *item, int fd, struct err *err) {
  for (size_t i = 0; i < item->entry->xattr_count; i++) {
    const struct pax_xattr *xattr = &item->entry->xattrs[i];
    if (!meta_xattr_allowed(xattr->name)) {
      continue;
    }
    int r = meta_set_xattr(fd, xattr->name, xattr->value, xattr->size, item->path, err);
    if (r < 0) {
      return r;
    }
  }
  return 0;
}

static int set_meta(const struct item *item, int fd, struct err *err) {
  int r = meta_set_owner_mode(fd, item->owner, item->mode, item->path, err);
  return r < 0 ? r : set_xattrs(item, fd, err);
}

/* An archive that fills the disk takes everybody else down with it. Looked at now and then: it is a call to the kernel.
 */
static int check_room(struct apply *apply, uint64_t more, bool always, struct err *err) {
  uint64_t bytes = apply->report.bytes + more;
  bool grown = bytes - apply->room_bytes >= ROOM_BYTES || apply->report.entries - apply->room_entries >= ROOM_ENTRIES;
  if (apply->options->reserve == 0 || (!always && !grown)) {
    return 0;
  }
  apply->room_bytes = bytes;
  apply->room_entries = apply->report.entries;
  struct statvfs room;
  if (fstatvfs(apply->tree->root, &room) < 0) {
    return err_errno(err, "cannot ask for the free space");
  }
  if ((uint64_t)room.f_bavail * room.f_frsize < apply->options->reserve) {
    return err_set(err, ENOSPC, "the file system is full: %llu MiB are kept free",
                   (unsigned long long)(apply->options->reserve >> 20));
  }
  return 0;
}

static int write_content(struct apply *apply, const struct item *item, int fd, struct err *err) {
  const void *data = NULL;
  size_t size = 0;
  int64_t offset = 0;
  int64_t end = item->entry->size;
  int r;
  uint64_t done = 0;
  while ((r = source_data(apply->source, &data, &size, &offset, err)) > 0) {
    const char *at = data;
    done += size;
    r = check_room(apply, done, false, err);
    if (r < 0) {
      return r;
    }
    while (size > 0) {
      ssize_t written = pwrite(fd, at, size, offset);
      if (written < 0 && errno == EINTR) {
        continue;
      }
      if (written < 0) {
        return err_errno(err, "cannot write /%s", item->path);
      }
      at += written;
      offset += written;
      size -= (size_t)written;
    }
  }
  if (r < 0) {
    return r;
  }
  /* It may end in a hole. */
  if (item->entry->sparse && ftruncate(fd, end) < 0) {
    return err_errno(err, "cannot size /%s", item->path);
  }
  apply->report.bytes += (uint64_t)end;
  return 0;
}

/* Makes room: only a directory that stays a directory is kept. */
static int remove_old(struct apply *apply, struct item *item, bool directory, struct err *err) {
  item->exists = fstatat(item->parent, item->leaf, &item->old, AT_SYMLINK_NOFOLLOW) == 0;
  if (!item->exists || (directory && S_ISDIR(item->old.st_mode))) {
    return 0;
  }
  if (apply->options->no_overwrite_dir_non_dir && directory != S_ISDIR(item->old.st_mode)) {
    return err_set(err, EEXIST, "cannot replace %s /%s by %s", directory ? "file" : "directory", item->path,
                   directory ? "a directory" : "a file");
  }
  int r = file_remove_tree(item->parent, item->leaf, err);
  if (r < 0) {
    return err_prefix(err, "cannot replace /%s", item->path);
  }
  /* item->parent itself stays valid; only the next entry must look the path up again. */
  free(apply->parent_path);
  apply->parent_path = NULL;
  return 0;
}

/* Most names are new: what is there is only looked at when it is in the way. */
static int open_new(struct apply *apply, struct item *item, int *ret_fd, struct err *err) {
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  int fd = openat(item->parent, item->leaf, flags, 0600);
  if (fd < 0 && errno == EEXIST) {
    int r = remove_old(apply, item, false, err);
    if (r < 0) {
      return r;
    }
    fd = openat(item->parent, item->leaf, flags, 0600);
  }
  if (fd < 0) {
    return err_errno(err, "cannot create /%s", item->path);
  }
  *ret_fd = fd;
  return 0;
}

static int make_file(struct apply *apply, struct item *item, struct err *err) {
  cleanup_close int fd = -1;
  int r = open_new(apply, item, &fd, err);
  if (r == 0) {
    r = write_content(apply, item, fd, err);
  }
  if (r == 0) {
    r = set_meta(item, fd, err);
  }
  return r < 0 ? r : meta_set_mtime(fd, &item->mtime, item->path, err);
}

static int make_directory(struct apply *apply, const struct item *item, struct err *err) {
  bool hides = item->exists && is_overlay_whiteout(&item->old) && apply->options->overlay;
  bool kept = item->exists && S_ISDIR(item->old.st_mode);
  if (!kept && mkdirat(item->parent, item->leaf, 0700) < 0) {
    return err_errno(err, "cannot create directory /%s", item->path);
  }
  cleanup_close int fd = openat(item->parent, item->leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  struct stat at;
  if (fd < 0 || fstat(fd, &at) < 0) {
    return err_errno(err, "cannot open directory /%s", item->path);
  }
  if (kept) {
    forget_implied(apply, item->path);
  }
  int r = set_meta(item, fd, err);
  /* The same layer first removed something of that name: what lower layers have there stays hidden. */
  if (r == 0 && hides) {
    r = set_opaque(fd, item->path, err);
  }
  return r < 0 ? r : remember_time(apply, item, at.st_ino, err);
}

static int make_symlink(const struct item *item, struct err *err) {
  if (symlinkat(item->entry->link, item->parent, item->leaf) < 0) {
    return err_errno(err, "cannot create symbolic link /%s", item->path);
  }
  return meta_set_at(item->parent, item->leaf, item->owner, &item->mtime, item->path, err);
}

static int make_special(const struct apply *apply, const struct item *item, mode_t type, struct err *err) {
  dev_t device = 0;
  if (type != S_IFIFO) {
    int64_t major_number = item->entry->major;
    int64_t minor_number = item->entry->minor;
    if (major_number < 0 || major_number >= 1 << 12 || minor_number < 0 || minor_number >= 1 << 20) {
      return err_set(err, EINVAL, "device /%s has an impossible number", item->path);
    }
    device = makedev((unsigned)major_number, (unsigned)minor_number);
    if (device == 0 && type == S_IFCHR && apply->options->overlay) {
      return err_set(err, EINVAL, "device /%s has the number 0, by which overlayfs marks what is removed", item->path);
    }
  }
  if (mknodat(item->parent, item->leaf, type | (item->mode & 07777), device) < 0) {
    return err_errno(err, "cannot create special file /%s", item->path);
  }
  int r = meta_set_at(item->parent, item->leaf, item->owner, &item->mtime, item->path, err);
  return r < 0 ? r : meta_restore_special_mode(apply->tree, item->parent, item->leaf, item->mode, item->path, err);
}

/* The target is a name in the archive: below the same prefix, never through a symbolic link at its end. */
static int make_hard_link(struct apply *apply, const struct item *item, const char *name, struct err *err) {
  cleanup_free char *joined = str_format("%s/%s", apply->options->prefix, name);
  cleanup_str struct str target = STR_INIT;
  if (joined == NULL) {
    return err_oom(err);
  }
  int r = confine_clean(*apply->options->prefix == '\0' ? name : joined, &target, err);
  if (r < 0) {
    return r;
  }
  cleanup_close int parent = -1;
  const char *leaf = NULL;
  struct stat at;
  r = target.size == 0 ? err_set(err, EINVAL, "hard link /%s to the root", item->path)
                       : confine_parent(apply->tree->root, target.data, &parent, &leaf, err);
  bool missing = r == -ENOENT || (r == 0 && fstatat(parent, leaf, &at, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT) ||
                 (r == 0 && apply->options->overlay && is_overlay_whiteout(&at));
  if (missing && apply->options->overlay && apply->options->pending >= 0) {
    return add_pending(apply, PENDING_LINK, item->path, target.data, err);
  }
  if (missing) {
    return err_set(err, ENOENT, "hard link /%s: its target /%s does not exist", item->path, target.data);
  }
  if (r < 0) {
    return r;
  }
  if (linkat(parent, leaf, item->parent, item->leaf, 0) < 0) {
    return err_errno(err, "cannot link /%s to /%s", item->path, target.data);
  }
  return 0;
}

static int make_whiteout(struct item *item, struct err *err) {
  const char *name = item->leaf + strlen(WHITEOUT);
  if (*name == '\0' || str_equal(name, ".") || str_equal(name, "..")) {
    return err_set(err, EINVAL, "malformed whiteout /%s", item->path);
  }
  struct stat at;
  if (fstatat(item->parent, name, &at, AT_SYMLINK_NOFOLLOW) == 0) {
    /* Made by this very layer: a whiteout speaks of the layers below, so only a directory has to hide them. */
    if (!S_ISDIR(at.st_mode)) {
      return 0;
    }
    cleanup_close int fd = openat(item->parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? err_errno(err, "cannot open /%s", item->path) : set_opaque(fd, item->path, err);
  }
  if (mknodat(item->parent, name, S_IFCHR, 0) < 0) {
    return err_errno(err, "cannot create whiteout /%s", item->path);
  }
  return 0;
}

/* 1: the entry was a mark and is done. */
static int handle_whiteout(struct apply *apply, struct item *item, struct err *err) {
  if (apply->options->plain_names || !str_starts(item->leaf, WHITEOUT)) {
    return 0;
  }
  if (!apply->options->overlay) {
    return err_set(err, EINVAL, "/%s is a whiteout, which only an image layer may have", item->path);
  }
  int r = 0;
  if (str_equal(item->leaf, WHITEOUT_OPAQUE)) {
    cleanup_close int fd = openat(item->parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = fd < 0 ? err_errno(err, "cannot open the parent of /%s", item->path) : set_opaque(fd, item->path, err);
    /* overlayfs does not honour the mark on the root of a layer. */
    if (r == 0 && strchr(item->path, '/') == NULL) {
      r = add_pending(apply, PENDING_OPAQUE, "", NULL, err);
    }
  } else if (!str_starts(item->leaf, WHITEOUT_META)) {
    r = make_whiteout(item, err);
  } else if (str_equal(item->leaf, WHITEOUT_META) || str_starts(item->leaf, WHITEOUT_META ".")) {
    r = err_set(err, EINVAL, "malformed whiteout /%s", item->path);
  }
  /* Other names beginning with .wh..wh. are notes of aufs and are passed over. */
  return r < 0 ? r : 1;
}

static int make_item(struct apply *apply, struct item *item, struct err *err) {
  char type = item->entry->type;
  if (type == '0') {
    return make_file(apply, item, err);
  }
  int r = remove_old(apply, item, type == '5', err);
  if (r < 0) {
    return r;
  }
  switch (type) {
  case '1':
    return make_hard_link(apply, item, item->entry->link, err);
  case '2':
    return make_symlink(item, err);
  case '3':
    return make_special(apply, item, S_IFCHR, err);
  case '4':
    return make_special(apply, item, S_IFBLK, err);
  case '5':
    return make_directory(apply, item, err);
  default:
    return make_special(apply, item, S_IFIFO, err);
  }
}

/* The entry "./": attributes of the root of the unpacked tree, which exists. */
static int apply_root(struct apply *apply, struct item *item, struct err *err) {
  if (*item->path != '\0' || item->entry->type != '5') {
    return *item->path != '\0' ? 0 : err_set(err, EINVAL, "an archive entry replaces the root");
  }
  cleanup_close int fd = -1;
  int r = confine_open(apply->tree->root, item->path, O_RDONLY | O_DIRECTORY, &fd, err);
  struct stat at;
  if (r == 0 && fstat(fd, &at) < 0) {
    r = err_errno(err, "cannot stat the root");
  }
  if (r == 0) {
    r = set_meta(item, fd, err);
  }
  return r < 0 ? r : remember_time(apply, item, at.st_ino, err);
}

static int fill_item(const struct apply *apply, const struct tar_item *entry, struct item *item, struct err *err) {
  if (entry->uid < 0 || entry->uid >= UINT32_MAX || entry->gid < 0 || entry->gid >= UINT32_MAX) {
    return err_set(err, EINVAL, "/%s has an impossible owner", item->path);
  }
  item->entry = entry;
  item->owner =
      apply->options->owner != NULL ? *apply->options->owner : (struct owner){(uid_t)entry->uid, (gid_t)entry->gid};
  item->mode = apply->options->mode != NULL ? *apply->options->mode : entry->mode;
  item->mtime = entry->mtime;
  return 0;
}

static int apply_entry(struct apply *apply, const struct tar_item *entry, struct err *err) {
  cleanup_str struct str path = STR_INIT;
  int r = confine_clean(entry->name, &path, err);
  if (r < 0) {
    return r;
  }
  bool at_top = path.size == 0;
  if (*apply->options->prefix != '\0') {
    cleanup_free char *joined = str_format("%s/%s", apply->options->prefix, path.data);
    if (joined == NULL) {
      return err_oom(err);
    }
    r = confine_clean(joined, &path, err);
  }
  struct item item = {.path = path.data, .parent = -1};
  if (r == 0) {
    r = fill_item(apply, entry, &item, err);
  }
  if (r < 0) {
    return r;
  }
  if (at_top) {
    return apply_root(apply, &item, err);
  }
  r = enter_parent(apply, item.path, &item.parent, &item.leaf, err);
  if (r == 0) {
    r = handle_whiteout(apply, &item, err);
  }
  return r != 0 ? (r < 0 ? r : 0) : make_item(apply, &item, err);
}

int apply_run(const struct tree *tree, struct source *source, const struct apply_options *options,
              struct apply_report *ret_report, struct err *err) {
  struct apply apply = {.tree = tree, .source = source, .options = options, .parent = -1};
  const struct tar_item *entry = NULL;
  int r;
  while ((r = source_next(source, &entry, err)) == 0 && entry != NULL) {
    r = check_room(&apply, 0, apply.report.entries == 0, err);
    if (r == 0) {
      r = apply_entry(&apply, entry, err);
    }
    if (r < 0) {
      break;
    }
    apply.report.entries++;
  }
  if (r == 0) {
    r = check_room(&apply, 0, true, err);
  }
  if (r == 0) {
    r = set_directory_times(&apply, err);
  }
  if (r == 0) {
    r = add_implied(&apply, err);
  }
  if (r == 0) {
    *ret_report = apply.report;
  }
  apply_free(&apply);
  return r;
}
