#include "layer/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "layer/apply.h"
#include "layer/content.h"
#include "layer/meta.h"

#define WHITEOUT ".wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"
#ifndef MQUEUE_MAGIC
#define MQUEUE_MAGIC 0x19800202
#endif

/* A file with several names, by inode: later names become hard links to the first. */
struct known_file {
  dev_t device;
  ino_t inode;
  char *name;
};

struct walk {
  const struct tree *tree;
  const struct walk_options *options;
  struct tar_out *out;
  dev_t device;
  struct known_file *files; /* open hash table */
  size_t file_count;
  size_t file_capacity;
  char *copy;
  size_t depth;
};

static int write_directory(struct walk *walk, int directory, const char *name, struct err *err);

static void walk_free(struct walk *walk) {
  for (size_t i = 0; i < walk->file_capacity; i++) {
    free(walk->files[i].name);
  }
  free(walk->files);
  free(walk->copy);
}

static struct known_file *find_slot(struct known_file *files, size_t capacity, const struct stat *at) {
  size_t slot = (size_t)(at->st_ino * 0x9E3779B97F4A7C15ULL ^ at->st_dev) & (capacity - 1);
  while (files[slot].name != NULL && (files[slot].inode != at->st_ino || files[slot].device != at->st_dev)) {
    slot = (slot + 1) & (capacity - 1);
  }
  return &files[slot];
}

static int grow_files(struct walk *walk, struct err *err) {
  size_t capacity = walk->file_capacity == 0 ? 256 : walk->file_capacity * 2;
  struct known_file *files = calloc(capacity, sizeof(*files));
  if (files == NULL) {
    return err_oom(err);
  }
  for (size_t i = 0; i < walk->file_capacity; i++) {
    if (walk->files[i].name != NULL) {
      struct stat at = {.st_dev = walk->files[i].device, .st_ino = walk->files[i].inode};
      *find_slot(files, capacity, &at) = walk->files[i];
    }
  }
  free(walk->files);
  walk->files = files;
  walk->file_capacity = capacity;
  return 0;
}

/* *ret_first: the name under which the file was written before, NULL the first time. */
static int find_first_name(struct walk *walk, const struct stat *at, const char *name, const char **ret_first,
                           struct err *err) {
  if (walk->file_count * 2 >= walk->file_capacity) {
    int r = grow_files(walk, err);
    if (r < 0) {
      return r;
    }
  }
  struct known_file *slot = find_slot(walk->files, walk->file_capacity, at);
  *ret_first = slot->name;
  if (slot->name == NULL) {
    char *copy = strdup(name);
    if (copy == NULL) {
      return err_oom(err);
    }
    *slot = (struct known_file){at->st_dev, at->st_ino, copy};
    walk->file_count++;
  }
  return 0;
}

static int add_xattr(void *context, const char *name, const void *value, size_t size, struct err *err) {
  cleanup_free char *key = str_format("SCHILY.xattr.%s", name);
  return key == NULL || tar_add_record(context, key, value, size) < 0 ? err_oom(err) : 0;
}

static struct tar_entry describe(const struct stat *at, const char *name, char type) {
  return (struct tar_entry){
      .name = name,
      .type = type,
      .mode = at->st_mode & 07777,
      .uid = at->st_uid,
      .gid = at->st_gid,
      .mtime = at->st_mtim,
      .device = at->st_rdev,
  };
}

static int write_file(struct walk *walk, int path_fd, const struct stat *at, const char *name, struct err *err) {
  if (at->st_nlink > 1) {
    const char *first = NULL;
    int r = find_first_name(walk, at, name, &first, err);
    if (r < 0) {
      return r;
    }
    if (first != NULL) {
      struct tar_entry link = describe(at, name, '1');
      link.link = first;
      return tar_header(walk->out, &link, err);
    }
  }
  cleanup_close int fd = -1;
  int r = confine_reopen(walk->tree, path_fd, O_RDONLY | O_NONBLOCK | O_NOCTTY, &fd, err);
  if (r < 0) {
    return err_prefix(err, "cannot read /%s", name);
  }
  cleanup_str struct str records = STR_INIT;
  r = meta_each_xattr(fd, name, add_xattr, &records, err);
  if (r < 0) {
    return r;
  }
  char note[2];
  if (walk->options->overlay && meta_get_xattr(fd, "trusted.overlay.metacopy", note, 0) > 0) {
    return err_set(err, EINVAL, "/%s holds only attributes (overlay metacopy), its content is elsewhere", name);
  }
  struct tar_entry entry = describe(at, name, '0');
  entry.size = (uint64_t)at->st_size;
  return content_write(walk->out, fd, &entry, &records, walk->options->sparse, walk->copy, err);
}

static int write_symlink(struct walk *walk, int path_fd, const struct stat *at, const char *name, struct err *err) {
  char target[4097];
  ssize_t size = readlinkat(path_fd, "", target, sizeof(target) - 1);
  if (size < 0) {
    return err_errno(err, "cannot read link /%s", name);
  }
  target[size] = '\0';
  struct tar_entry entry = describe(at, name, '2');
  entry.mode = 0777;
  entry.link = target;
  return tar_header(walk->out, &entry, err);
}

/* An empty file whose name says what is gone: the image form of a whiteout or an opaque mark. */
static int write_mark(struct walk *walk, const char *directory, const char *prefix, const char *leaf, struct err *err) {
  cleanup_free char *name = str_format("%s%s%s", directory, prefix, leaf);
  if (name == NULL) {
    return err_oom(err);
  }
  struct tar_entry entry = {.name = name, .type = '0', .mode = 0};
  return tar_header(walk->out, &entry, err);
}

/* `name` has no trailing slash; "" is the top without an entry of its own. */
static int write_directory_entry(struct walk *walk, int path_fd, const struct stat *at, const char *name,
                                 struct err *err) {
  cleanup_close int fd = -1;
  int r = confine_reopen(walk->tree, path_fd, O_RDONLY | O_DIRECTORY, &fd, err);
  if (r < 0) {
    return err_prefix(err, "cannot read /%s", name);
  }
  cleanup_free char *slashed = *name == '\0' ? strdup("") : str_format("%s/", name);
  cleanup_str struct str records = STR_INIT;
  if (slashed == NULL) {
    return err_oom(err);
  }
  char note[2] = "";
  if (walk->options->overlay && meta_get_xattr(fd, "trusted.overlay.redirect", note, 0) > 0) {
    return err_set(err, EINVAL, "/%s was renamed by overlay redirection; mount with redirect_dir=off", name);
  }
  if (*name != '\0') {
    r = meta_each_xattr(fd, name, add_xattr, &records, err);
    struct tar_entry entry = describe(at, slashed, '5');
    entry.extra = &records;
    if (r == 0) {
      r = tar_header(walk->out, &entry, err);
    }
  }
  if (r == 0 && walk->options->overlay && meta_get_xattr(fd, XATTR_OPAQUE, note, sizeof(note)) == 1 && note[0] == 'y') {
    r = write_mark(walk, slashed, WHITEOUT_OPAQUE, "", err);
  }
  return r < 0 ? r : write_directory(walk, fd, slashed, err);
}

/* Whether a mount below the start is left out. */
static bool is_foreign(const struct walk *walk, int path_fd, const struct stat *at) {
  if (at->st_dev == walk->device) {
    return false;
  }
  static const unsigned long unreal[] = {PROC_SUPER_MAGIC,   SYSFS_MAGIC,  CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
                                         DEVPTS_SUPER_MAGIC, MQUEUE_MAGIC, TMPFS_MAGIC,        TRACEFS_MAGIC,
                                         DEBUGFS_MAGIC,      BPF_FS_MAGIC};
  struct statfs fs;
  if (walk->options->one_file_system || fstatfs(path_fd, &fs) < 0) {
    return true;
  }
  for (size_t i = 0; i < array_length(unreal); i++) {
    if ((unsigned long)fs.f_type == unreal[i]) {
      return true;
    }
  }
  return false;
}

static int write_other(struct walk *walk, const struct stat *at, const char *name, struct err *err) {
  char type = S_ISCHR(at->st_mode) ? '3' : S_ISBLK(at->st_mode) ? '4' : '6';
  struct tar_entry entry = describe(at, name, type);
  return tar_header(walk->out, &entry, err);
}

static int write_node(struct walk *walk, int path_fd, const struct stat *at, const char *name, struct err *err) {
  if (S_ISDIR(at->st_mode)) {
    if (++walk->depth > CONFINE_DEPTH) {
      return err_set(err, ENAMETOOLONG, "/%.200s... lies too deep", name);
    }
    int r = is_foreign(walk, path_fd, at) ? 0 : write_directory_entry(walk, path_fd, at, name, err);
    walk->depth--;
    return r;
  }
  if (S_ISREG(at->st_mode)) {
    return write_file(walk, path_fd, at, name, err);
  }
  if (S_ISLNK(at->st_mode)) {
    return write_symlink(walk, path_fd, at, name, err);
  }
  /* Sockets live with their process; tar has no word for them. */
  return S_ISSOCK(at->st_mode) ? 0 : write_other(walk, at, name, err);
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list_sorted(int directory, const char *name, struct str_list *ret_names, struct err *err) {
  int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  cleanup_dir DIR *dir = copy < 0 ? NULL : fdopendir(copy);
  if (dir == NULL) {
    cleanup_close_at(&copy);
    return err_errno(err, "cannot list /%s", name);
  }
  const struct dirent *entry;
  while ((errno = 0, entry = readdir(dir)) != NULL) {
    if (!str_equal(entry->d_name, ".") && !str_equal(entry->d_name, "..") &&
        str_list_add(ret_names, entry->d_name) < 0) {
      return err_oom(err);
    }
  }
  if (errno != 0) {
    return err_errno(err, "cannot list /%s", name);
  }
  if (ret_names->count > 1) {
    qsort(ret_names->items, ret_names->count, sizeof(char *), compare_names);
  }
  return 0;
}

static int write_child(struct walk *walk, int directory, const char *prefix, const char *leaf, struct err *err) {
  cleanup_close int child = openat(directory, leaf, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  struct stat at;
  if (child < 0 || fstat(child, &at) < 0) {
    /* A running container may remove what was listed. */
    return errno == ENOENT ? 0 : err_errno(err, "cannot open /%s%s", prefix, leaf);
  }
  if (walk->options->overlay && S_ISCHR(at.st_mode) && at.st_rdev == 0) {
    return write_mark(walk, prefix, WHITEOUT, leaf, err);
  }
  if (walk->options->overlay && str_starts(leaf, WHITEOUT)) {
    return err_set(err, EINVAL, "/%s%s: names beginning with .wh. cannot be stored in an image layer", prefix, leaf);
  }
  cleanup_free char *name = str_format("%s%s", prefix, leaf);
  return name == NULL ? err_oom(err) : write_node(walk, child, &at, name, err);
}

static int write_directory(struct walk *walk, int directory, const char *prefix, struct err *err) {
  cleanup_str_list struct str_list names = {0};
  int r = list_sorted(directory, prefix, &names, err);
  for (size_t i = 0; r == 0 && i < names.count; i++) {
    r = write_child(walk, directory, prefix, names.items[i], err);
  }
  return r;
}

int walk_write(const struct tree *tree, const char *path, const char *name, bool follow,
               const struct walk_options *options, struct tar_out *out, struct err *err) {
  cleanup_close int top = -1;
  int r = confine_open(tree->root, path, O_PATH | (follow ? 0 : O_NOFOLLOW), &top, err);
  if (r < 0) {
    return r;
  }
  struct stat at;
  if (fstat(top, &at) < 0) {
    return err_errno(err, "cannot stat /%s", path);
  }
  struct walk walk = {
      .tree = tree, .options = options, .out = out, .device = at.st_dev, .copy = malloc(CONTENT_BUFFER)};
  r = walk.copy == NULL ? err_oom(err) : write_node(&walk, top, &at, name, err);
  walk_free(&walk);
  return r;
}
