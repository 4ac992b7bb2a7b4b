#include "layer/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "layer/apply.h"
#include "layer/copy_node.h"

/*
 * The rules, as Dockerfiles rely on them:
 * - a directory is copied by its content; an existing destination keeps its attributes, a new one takes the source's;
 * - a file goes into the destination when that is a directory, ends with a slash, or there are several sources; else it
 *   gets the destination's name, through a symbolic link there;
 * - directories on the way are made with 0755 and the requested owner;
 * - a source path that is a symbolic link is followed inside the source; links below it are copied as links.
 */
struct job {
  struct copy copy;
  const struct copy_request *request;
  const char *destination; /* clean, symbolic links of the target resolved as far as it exists */
  bool into_directory;
};

static struct owner directory_owner(const struct job *job) {
  return job->request->owner != NULL ? *job->request->owner : (struct owner){0, 0};
}

static int make_directory(const struct job *job, const char *path, struct err *err) {
  cleanup_close int fd = -1;
  return confine_make_directories(job->copy.target->root, path, directory_owner(job), NULL, NULL, &fd, err);
}

static int make_parent(const struct job *job, const char *path, struct err *err) {
  const char *slash = strrchr(path, '/');
  if (slash == NULL) {
    return 0;
  }
  cleanup_free char *parent = strndup(path, (size_t)(slash - path));
  return parent == NULL ? err_oom(err) : make_directory(job, parent, err);
}

static bool is_directory(int root, const char *path) {
  cleanup_close int fd = -1;
  return confine_open(root, path, O_PATH | O_DIRECTORY, &fd, NULL) == 0;
}

/* 1: the file was an archive and is unpacked at the destination. */
static int extract_archive(struct job *job, int source_fd, const char *destination, struct err *err) {
  cleanup_close int fd = -1;
  int r = confine_reopen(job->copy.source, source_fd, O_RDONLY | O_NONBLOCK, &fd, err);
  if (r < 0) {
    return r;
  }
  struct limits limits = LIMITS_DEFAULT;
  cleanup_source struct source *probe = NULL;
  const struct tar_item *item = NULL;
  struct err ignored = ERR_INIT;
  if (source_open(fd, true, &limits, &probe, &ignored) < 0 ||
      (source_next(probe, &item, &ignored) < 0 && !source_is_tar(probe)) || (item == NULL && ignored.code == 0)) {
    return 0; /* an ordinary file */
  }
  cleanup_source struct source *archive = NULL;
  if (lseek(fd, 0, SEEK_SET) < 0) {
    return err_errno(err, "cannot read the archive again");
  }
  r = make_directory(job, destination, err);
  if (r == 0) {
    r = source_open(fd, true, &limits, &archive, err);
  }
  struct apply_options options = {
      .prefix = destination,
      .plain_names = true,
      .owner = job->request->archive_owner,
      .mode = job->request->mode,
      .pending = -1,
  };
  struct apply_report report = {0};
  if (r == 0) {
    r = source_read_ahead(archive, err);
  }
  if (r == 0) {
    r = apply_run(job->copy.target, archive, &options, &report, err);
  }
  job->copy.entries += report.entries;
  job->copy.bytes += report.bytes;
  return r < 0 ? r : 1;
}

static int copy_file(struct job *job, int source_fd, const char *path, const char *destination, struct err *err) {
  if (job->request->extract) {
    int r = extract_archive(job, source_fd, destination, err);
    if (r != 0) {
      return r < 0 ? r : 0;
    }
  }
  const char *slash = strrchr(path, '/');
  bool into = job->into_directory || is_directory(job->copy.target->root, destination);
  cleanup_free char *inside =
      str_format("%s%s%s", destination, *destination == '\0' ? "" : "/", slash == NULL ? path : slash + 1);
  if (inside == NULL) {
    return err_oom(err);
  }
  const char *target = into && !job->request->parents ? inside : destination;
  int r = make_parent(job, target, err);
  return r < 0 ? r : copy_node(&job->copy, source_fd, target, true, err);
}

static int copy_source(struct job *job, const char *text, struct err *err) {
  cleanup_str struct str path = STR_INIT;
  cleanup_close int source_fd = -1;
  struct stat at;
  int r = confine_clean(text, &path, err);
  if (r == 0) {
    r = confine_open(job->copy.source->root, path.data, O_PATH, &source_fd, err);
  }
  if (r == -ENOENT) {
    return err_set(err, ENOENT, "source %s does not exist", text);
  }
  if (r == 0 && fstat(source_fd, &at) < 0) {
    r = err_errno(err, "cannot stat source %s", text);
  }
  if (r < 0) {
    return r;
  }
  cleanup_free char *below = str_format("%s%s%s", job->destination, *job->destination == '\0' ? "" : "/", path.data);
  cleanup_str struct str destination = STR_INIT;
  if (below == NULL) {
    return err_oom(err);
  }
  r = confine_clean(job->request->parents ? below : job->destination, &destination, err);
  if (r < 0) {
    return r;
  }
  if (!S_ISDIR(at.st_mode)) {
    return copy_file(job, source_fd, path.data, destination.data, err);
  }
  r = make_parent(job, destination.data, err);
  return r < 0 ? r : copy_node(&job->copy, source_fd, destination.data, true, err);
}

int copy_run(const struct tree *source, const struct tree *target, const struct copy_request *request,
             uint64_t *ret_entries, uint64_t *ret_bytes, struct err *err) {
  cleanup_str struct str clean = STR_INIT;
  cleanup_str struct str resolved = STR_INIT;
  int r = confine_clean(request->destination, &clean, err);
  if (r < 0) {
    return r;
  }
  struct err ignored = ERR_INIT;
  bool exists = confine_resolve(target->root, clean.data, true, &resolved, &ignored) == 0;
  size_t length = strlen(request->destination);
  struct job job = {
      .copy = {.source = source, .target = target, .options = {request->owner, request->mode}},
      .request = request,
      .destination = exists ? resolved.data : clean.data,
      .into_directory = request->paths.count > 1 || (length > 0 && request->destination[length - 1] == '/') ||
                        (length > 1 && str_equal(request->destination + length - 2, "/.")),
  };
  for (size_t i = 0; r == 0 && i < request->paths.count; i++) {
    r = copy_source(&job, request->paths.items[i], err);
  }
  if (r == 0) {
    *ret_entries = job.copy.entries;
    *ret_bytes = job.copy.bytes;
  }
  copy_free(&job.copy);
  return r;
}
