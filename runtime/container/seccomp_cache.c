/*
 * Compiling a large profile costs more than the rest of a start, so the program is kept: <root>/.seccomp/<key>, the key
 * a hash of all that goes in. The directory must be ours alone, and a file's content must match the hash it carries.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/sha256.h"
#include "container/container.h"

/* Counts up whenever the compiler makes another program of the same profile. */
#define FORMAT "tscompose seccomp 2"

struct header {
  char format[24];
  char digest[65]; /* of flags and filters */
  unsigned flags;
  unsigned count;
};

static void digest_of(const struct seccomp_program *program, char digest[65]) {
  struct sha256 hash;
  sha256_start(&hash);
  sha256_add(&hash, &program->flags, sizeof(program->flags));
  sha256_add(&hash, program->filters, program->count * sizeof(struct sock_filter));
  sha256_hex(&hash, digest);
}

int seccomp_store(int dirfd, const char *name, const struct seccomp_program *program, struct err *err) {
  cleanup_str struct str data = STR_INIT;
  struct header header;
  memset(&header, 0, sizeof(header));
  strcpy(header.format, FORMAT);
  digest_of(program, header.digest);
  header.flags = program->flags;
  header.count = (unsigned)program->count;
  if (str_append(&data, &header, sizeof(header)) < 0 ||
      str_append(&data, program->filters, program->count * sizeof(struct sock_filter)) < 0) {
    return err_oom(err);
  }
  return file_write_atomic(dirfd, name, data.data, data.size, 0600, 0, err);
}

int seccomp_load_stored(int dirfd, const char *name, struct seccomp_program *ret_program, struct err *err) {
  cleanup_close int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  struct stat at;
  if (fd < 0 || fstat(fd, &at) < 0) {
    return err_errno(err, "cannot open seccomp program %s", name);
  }
  if (!S_ISREG(at.st_mode) || at.st_uid != geteuid() || (at.st_mode & 077) != 0) {
    return err_set(err, EPERM, "seccomp program %s belongs to somebody else", name);
  }
  cleanup_free char *data = NULL;
  size_t size = 0;
  int r = fd_read_all(fd, 1 << 20, &data, &size, err);
  if (r < 0) {
    return r;
  }
  struct header header;
  if (size < sizeof(header)) {
    return err_set(err, EBADMSG, "seccomp program %s is damaged", name);
  }
  memcpy(&header, data, sizeof(header));
  size_t bytes = size - sizeof(header);
  struct seccomp_program program = {malloc(bytes + 1), header.count, header.flags};
  if (program.filters == NULL) {
    return err_oom(err);
  }
  memcpy(program.filters, data + sizeof(header), bytes);
  char digest[65];
  bool fits = header.count > 0 && bytes == header.count * sizeof(struct sock_filter);
  if (fits) {
    digest_of(&program, digest);
  }
  if (!fits || memcmp(header.format, FORMAT, sizeof(FORMAT)) != 0 ||
      memcmp(digest, header.digest, sizeof(digest)) != 0) {
    free(program.filters);
    return err_set(err, EBADMSG, "seccomp program %s is damaged", name);
  }
  *ret_program = program;
  return 0;
}

static void key_of(const struct json *profile, char key[65]) {
  struct sha256 hash;
  struct utsname host;
  char version[32];
  const char *text = json_text(profile), *table = seccomp_table_version();
  memset(&host, 0, sizeof(host));
  (void)uname(&host);
  seccomp_library_version(version, sizeof(version));
  sha256_start(&hash);
  sha256_add(&hash, FORMAT, sizeof(FORMAT));
  sha256_add(&hash, version, strlen(version) + 1);
  sha256_add(&hash, table, strlen(table) + 1);
  sha256_add(&hash, host.release, strlen(host.release) + 1);
  sha256_add(&hash, host.machine, strlen(host.machine) + 1);
  sha256_add(&hash, text, strlen(text));
  sha256_hex(&hash, key);
}

/* -1 when it is not ours alone: nothing is taken from it then, and nothing cached. */
static int open_cache(const char *root) {
  char path[PATH_MAX];
  snprintf(path, sizeof(path), "%s/.seccomp", root);
  if (mkdir(path, 0700) < 0 && errno != EEXIST) {
    return -1;
  }
  cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  struct stat at;
  if (fd < 0 || fstat(fd, &at) < 0 || at.st_uid != geteuid() || (at.st_mode & 077) != 0) {
    log_warn("%s is not a directory of ours alone: seccomp programs are not cached", path);
    return -1;
  }
  return take_fd(&fd);
}

bool seccomp_link(const char *root, const char *key, int dirfd, const char *name) {
  char path[PATH_MAX];
  int n = snprintf(path, sizeof(path), "%s/.seccomp/%s", root, key);
  return key[0] != '\0' && n > 0 && (size_t)n < sizeof(path) && linkat(AT_FDCWD, path, dirfd, name, 0) == 0;
}

int seccomp_cached(const char *root, const struct json *profile, struct seccomp_program *ret_program, char ret_key[65],
                   struct err *err) {
  char key[65];
  ret_key[0] = '\0';
  key_of(profile, key);
  cleanup_close int cache = open_cache(root);
  if (cache >= 0 && seccomp_load_stored(cache, key, ret_program, NULL) == 0) {
    strcpy(ret_key, key);
    return 0;
  }
  struct seccomp_program program = {NULL, 0, 0};
  cleanup_str struct str skipped = STR_INIT;
  int r = seccomp_compile(profile, &program, &skipped, err);
  if (r < 0) {
    return r;
  }
  if (skipped.size > 0) {
    log_debug("seccomp: no rule for calls that nobody here knows:%s", skipped.data);
  }
  if (cache >= 0) {
    if (seccomp_store(cache, key, &program, NULL) == 0) {
      strcpy(ret_key, key);
    }
  }
  *ret_program = program;
  return 0;
}
