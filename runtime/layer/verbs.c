#include "layer/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/json.h"
#include "layer/apply.h"
#include "layer/copy.h"
#include "layer/fixup.h"
#include "layer/tar_write.h"
#include "layer/walk.h"

static int need(const void *value, const char *option, struct err *err) {
  return value == NULL ? err_set(err, EINVAL, "option --%s is missing", option) : 0;
}

static int print(const struct str *line, struct err *err) {
  return fd_write_all(STDOUT_FILENO, line->data, line->size, err);
}

static int print_report(const struct apply_report *report, const char *digest, struct err *err) {
  cleanup_str struct str line = STR_INIT;
  if (str_addf(&line, "{\"diff_id\":\"%s\",\"bytes\":%llu,\"entries\":%llu,\"pending\":%llu}\n", digest,
               (unsigned long long)report->bytes, (unsigned long long)report->entries,
               (unsigned long long)report->pending) < 0) {
    return err_oom(err);
  }
  return print(&line, err);
}

/* The archive is opened before any other namespace is entered: nothing is loaded from inside a container. */
static int unpack(const struct tree *tree, struct source *source, const struct apply_options *options,
                  struct err *err) {
  struct apply_report report = {0};
  char digest[DIGEST_TEXT_SIZE];
  int r = source_read_ahead(source, err);
  if (r == 0) {
    r = apply_run(tree, source, options, &report, err);
  }
  if (r == 0) {
    r = source_finish(source, digest, err);
  }
  return r < 0 ? r : print_report(&report, digest, err);
}

/* A hundredth of the file system, 64 MiB at most. */
static uint64_t default_reserve(int root) {
  struct statvfs room;
  if (fstatvfs(root, &room) < 0) {
    return 0;
  }
  uint64_t part = (uint64_t)room.f_blocks * room.f_frsize / 100;
  return part < (uint64_t)64 << 20 ? part : (uint64_t)64 << 20;
}

int verb_apply(const struct options *options, struct err *err) {
  cleanup_tree struct tree tree = TREE_INIT;
  cleanup_source struct source *source = NULL;
  cleanup_close int pending = -1;
  int r = need(options->root, "root", err);
  if (r == 0) {
    r = tree_open_directory(options->root, &tree, err);
  }
  if (r == 0 && options->pending != NULL) {
    pending = open(options->pending, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    r = pending < 0 ? err_errno(err, "cannot create %s", options->pending) : 0;
  }
  if (r == 0) {
    r = source_open(STDIN_FILENO, true, &options->limits, &source, err);
  }
  struct apply_options apply = {
      .prefix = "",
      .overlay = options->overlay,
      .owner = options->has_owner ? &options->owner : NULL,
      .pending = pending,
      .reserve = options->reserve != 0 || r < 0 ? options->reserve : default_reserve(tree.root),
  };
  return r < 0 ? r : unpack(&tree, source, &apply, err);
}

int verb_fixup(const struct options *options, struct err *err) {
  cleanup_tree struct tree layer = TREE_INIT;
  cleanup_tree struct tree lower = TREE_INIT;
  cleanup_free char *records = NULL;
  size_t size = 0;
  int r = need(options->root, "root", err);
  if (r == 0) {
    r = need(options->pending, "pending", err);
  }
  if (r == 0) {
    r = file_read(AT_FDCWD, options->pending, &records, &size, err);
  }
  if (r == 0) {
    r = tree_open_directory(options->root, &layer, err);
  }
  if (r == 0) {
    r = overlay_open(&options->stack, &lower, err);
  }
  return r < 0 ? r : fixup_run(&layer, &lower, records, size, err);
}

int verb_sync(const struct options *options, struct err *err) {
  int r = need(options->root, "root", err);
  if (r < 0) {
    return r;
  }
  cleanup_close int fd = open(options->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 || syncfs(fd) < 0) {
    return err_errno(err, "cannot sync %s", options->root);
  }
  return 0;
}

static int write_tree(const struct tree *tree, const char *path, const char *name, bool follow,
                      const struct walk_options *walk, struct err *err) {
  cleanup_tar struct tar_out out = {.fd = -1};
  int r = tar_open(STDOUT_FILENO, &out, err);
  if (r == 0) {
    r = walk_write(tree, path, name, follow, walk, &out, err);
  }
  return r < 0 ? r : tar_end(&out, err);
}

int verb_diff(const struct options *options, struct err *err) {
  cleanup_tree struct tree tree = TREE_INIT;
  struct walk_options walk = {.overlay = true, .one_file_system = true, .sparse = true};
  int r = need(options->stack.upper, "upper", err);
  if (r == 0) {
    r = tree_open_directory(options->stack.upper, &tree, err);
  }
  return r < 0 ? r : write_tree(&tree, "", "", true, &walk, err);
}

int verb_pack(const struct options *options, struct err *err) {
  cleanup_tree struct tree tree = TREE_INIT;
  cleanup_tar struct tar_out out = {.fd = -1};
  struct walk_options walk = {.one_file_system = options->one_file_system, .sparse = true};
  int r = need(options->root, "root", err);
  if (r == 0) {
    r = tree_open_directory(options->root, &tree, err);
  }
  if (r == 0) {
    r = tar_open(STDOUT_FILENO, &out, err);
  }
  if (r == 0 && options->paths.count == 0) {
    r = walk_write(&tree, "", "", true, &walk, &out, err);
  }
  for (size_t i = 0; r == 0 && i < options->paths.count; i++) {
    cleanup_str struct str path = STR_INIT;
    r = confine_clean(options->paths.items[i], &path, err);
    if (r == 0) {
      r = walk_write(&tree, path.data, path.data, false, &walk, &out, err);
    }
  }
  return r < 0 ? r : tar_end(&out, err);
}

/* The stage's view; on scratch there is nothing below the upper directory. */
static int open_target(const struct options *options, struct tree *ret_tree, struct err *err) {
  if (options->stack.lower.count == 0) {
    return tree_open_directory(options->stack.upper, ret_tree, err);
  }
  return overlay_open(&options->stack, ret_tree, err);
}

int verb_copy(const struct options *options, struct err *err) {
  cleanup_tree struct tree source = TREE_INIT;
  cleanup_tree struct tree target = TREE_INIT;
  struct owner root = {0, 0};
  int r = need(options->stack.upper, "upper", err);
  if (r == 0) {
    r = need(options->destination, "destination", err);
  }
  if (r == 0 && options->paths.count == 0) {
    r = need(NULL, "path", err);
  }
  if (r == 0) {
    r = options->source != NULL ? tree_open_directory(options->source, &source, err)
                                : overlay_open(&options->from, &source, err);
  }
  if (r == 0) {
    r = open_target(options, &target, err);
  }
  struct copy_request request = {
      .paths = options->paths,
      .destination = options->destination,
      /* A context's owners mean nothing in an image; those of another stage do. Archives of ADD keep theirs. */
      .owner = options->has_owner        ? &options->owner
               : options->source != NULL ? &root
                                         : NULL,
      .archive_owner = options->has_owner ? &options->owner : NULL,
      .mode = options->has_mode ? &options->mode : NULL,
      .extract = options->extract,
      .parents = options->parents,
  };
  uint64_t entries = 0;
  uint64_t bytes = 0;
  if (r == 0) {
    r = copy_run(&source, &target, &request, &entries, &bytes, err);
  }
  cleanup_str struct str line = STR_INIT;
  if (r == 0 && str_addf(&line, "{\"entries\":%llu,\"bytes\":%llu}\n", (unsigned long long)entries,
                         (unsigned long long)bytes) < 0) {
    r = err_oom(err);
  }
  return r < 0 ? r : print(&line, err);
}

struct target_path {
  struct str path;   /* clean */
  bool as_directory; /* written with "/" or "/." at its end: links are followed, only a directory will do */
  const char *name;  /* last part, "." when it is the content of a directory that is meant */
};

static int parse_target(const struct options *options, struct target_path *ret_target, struct err *err) {
  if (options->paths.count != 1) {
    return err_set(err, EINVAL, "exactly one --path is needed");
  }
  const char *text = options->paths.items[0];
  int r = confine_clean(text, &ret_target->path, err);
  if (r < 0) {
    return r;
  }
  size_t length = strlen(text);
  bool dot = str_equal(text, ".") || (length > 1 && str_equal(text + length - 2, "/."));
  ret_target->as_directory = dot || ret_target->path.size == 0 || text[length - 1] == '/';
  const char *slash = strrchr(ret_target->path.data, '/');
  ret_target->name = ret_target->path.size == 0 ? "" : dot ? "." : slash == NULL ? ret_target->path.data : slash + 1;
  return 0;
}

int verb_extract(const struct options *options, struct err *err) {
  cleanup_tree struct tree tree = TREE_INIT;
  cleanup_source struct source *source = NULL;
  cleanup_close int directory = -1;
  struct target_path target = {.path = STR_INIT};
  int r = parse_target(options, &target, err);
  if (r == 0) {
    r = source_open(STDIN_FILENO, true, &options->limits, &source, err);
  }
  if (r == 0) {
    r = options_open_tree(options, &tree, err);
  }
  if (r == 0) {
    r = confine_open(tree.root, target.path.data, O_PATH | O_DIRECTORY, &directory, err);
  }
  struct apply_options apply = {
      .prefix = target.path.data,
      .plain_names = true,
      .owner = options->has_owner ? &options->owner : NULL,
      .no_overwrite_dir_non_dir = options->no_overwrite_dir_non_dir,
      .pending = -1,
  };
  if (r == 0) {
    r = unpack(&tree, source, &apply, err);
  }
  str_free(&target.path);
  return r;
}

int verb_archive(const struct options *options, struct err *err) {
  cleanup_tree struct tree tree = TREE_INIT;
  cleanup_close int checked = -1;
  struct walk_options walk = {.one_file_system = options->one_file_system};
  struct target_path target = {.path = STR_INIT};
  int r = parse_target(options, &target, err);
  if (r == 0) {
    r = options_open_tree(options, &tree, err);
  }
  if (r == 0 && target.as_directory) {
    r = confine_open(tree.root, target.path.data, O_PATH | O_DIRECTORY, &checked, err);
  }
  if (r == 0) {
    r = write_tree(&tree, target.path.data, target.name, target.as_directory, &walk, err);
  }
  str_free(&target.path);
  return r;
}

static int print_entry(int fd, const char *name, struct err *err) {
  struct stat at;
  if (fstat(fd, &at) < 0) {
    return err_errno(err, "cannot stat %s", name);
  }
  char link[4097] = "";
  if (S_ISLNK(at.st_mode)) {
    ssize_t size = readlinkat(fd, "", link, sizeof(link) - 1);
    if (size < 0) {
      return err_errno(err, "cannot read link %s", name);
    }
    link[size] = '\0';
  }
  char mtime[TIME_TEXT_SIZE];
  time_format(&at.st_mtim, mtime, sizeof(mtime));
  cleanup_str struct str line = STR_INIT;
  if (str_add(&line, "{\"name\":") < 0 || json_add_quoted(&line, name) < 0 ||
      str_addf(&line, ",\"size\":%lld,\"mode\":%u,\"mtime\":\"%s\",\"link_target\":", (long long)at.st_size, at.st_mode,
               mtime) < 0 ||
      json_add_quoted(&line, link) < 0 || str_add(&line, "}\n") < 0) {
    return err_oom(err);
  }
  return print(&line, err);
}

int verb_stat(const struct options *options, struct err *err) {
  cleanup_tree struct tree tree = TREE_INIT;
  cleanup_close int fd = -1;
  struct target_path target = {.path = STR_INIT};
  int r = parse_target(options, &target, err);
  if (r == 0) {
    r = options_open_tree(options, &tree, err);
  }
  if (r == 0) {
    int flags = target.as_directory ? O_PATH | O_DIRECTORY : O_PATH | O_NOFOLLOW;
    r = confine_open(tree.root, target.path.data, flags, &fd, err);
  }
  if (r == 0) {
    r = print_entry(fd, *target.name == '\0' ? "/" : target.name, err);
  }
  str_free(&target.path);
  return r;
}
