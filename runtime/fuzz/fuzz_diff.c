/* A tree made from the input, as a layer: written twice the same, and the same again from the tree it unpacks to. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "fuzz/fuzz.h"
#include "fuzz/scratch.h"
#include "layer/apply.h"
#include "layer/walk.h"

#define DEPTH 6
#define FILES 16

struct maker {
  const uint8_t *at;
  const uint8_t *end;
  int directories[DEPTH + 1];
  size_t depth;
  int files[FILES]; /* O_PATH, for hard links */
  size_t file_count;
};

static uint8_t next(struct maker *maker) {
  return maker->at < maker->end ? *maker->at++ : 0;
}

static const char *next_name(struct maker *maker) {
  static const char *const names[] = {"a", "b", "c\xff\xfe", "d", "with\nline", " ", "e\xcc\x81", ".wh"};
  static char longest[256];
  uint8_t pick = next(maker);
  (void)memset(longest, 'n', 255);
  longest[254] = (char)('0' + pick % 8);
  return pick % 16 < 8 ? names[pick % 8] : longest;
}

static void set_attributes(struct maker *maker, int parent, const char *name) {
  uint8_t bits = next(maker);
  struct timespec times[2] = {{(time_t)bits * 1000 - 5000, bits * 1000}, {(time_t)bits * 1000 - 5000, bits * 1000}};
  (void)fchownat(parent, name, bits & 1 ? 3000000U : 0U, bits & 2 ? 7U : 0U, AT_SYMLINK_NOFOLLOW);
  struct stat at;
  if (fstatat(parent, name, &at, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(at.st_mode)) {
    cleanup_close int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (bits & 8) {
      (void)fsetxattr(fd, "trusted.note", &bits, 1, 0);
    }
    if (bits & 16) {
      (void)fsetxattr(fd, "trusted.overlay.origin", &bits, 1, 0); /* must not come out */
    }
  }
  if (fstatat(parent, name, &at, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISLNK(at.st_mode)) {
    (void)fchmodat(parent, name, bits & 4 ? 06711 : 0640, 0);
  }
  (void)utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW);
}

static void make_file(struct maker *maker, int parent, const char *name) {
  int fd = openat(parent, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (fd < 0) {
    return;
  }
  char data[600];
  uint8_t shape = next(maker);
  (void)memset(data, shape, sizeof(data));
  off_t offset = shape & 0x80 ? (off_t)(shape & 0x7f) << 15 : 0; /* up to 4 MiB of hole in front */
  must(pwrite(fd, data, (size_t)shape * 2, offset) == (ssize_t)shape * 2);
  must((shape & 1) == 0 || ftruncate(fd, offset + 3 * shape) == 0);
  close(fd);
  if (maker->file_count < FILES) {
    maker->files[maker->file_count++] = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  }
}

static void enter(struct maker *maker, int parent, const char *name) {
  if (maker->depth == DEPTH) {
    return;
  }
  (void)mkdirat(parent, name, 0750);
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd >= 0) {
    maker->directories[++maker->depth] = fd;
  }
}

static void make_one(struct maker *maker) {
  uint8_t kind = next(maker) % 9;
  int parent = maker->directories[maker->depth];
  if (kind == 0) {
    if (maker->depth > 0) {
      close(maker->directories[maker->depth--]);
    }
    return;
  }
  if (kind == 1) {
    if (maker->depth > 0) {
      (void)fsetxattr(parent, "trusted.overlay.opaque", "y", 1, 0);
    }
    return;
  }
  const char *name = next_name(maker);
  if (kind == 2) {
    enter(maker, parent, name);
    return;
  }
  if (kind == 3 || kind == 4) {
    make_file(maker, parent, name);
  } else if (kind == 5) {
    (void)symlinkat(next(maker) & 1 ? "/a/../b" : name, parent, name);
  } else if (kind == 6) {
    (void)mknodat(parent, name, S_IFCHR, 0);
    return;
  } else if (kind == 7) {
    (void)mknodat(parent, name, next(maker) & 1 ? S_IFIFO | 0600 : S_IFCHR | 0666, makedev(1, 300));
  } else if (maker->file_count > 0) {
    (void)linkat(maker->files[next(maker) % maker->file_count], "", parent, name, AT_EMPTY_PATH);
    return;
  }
  set_attributes(maker, parent, name);
}

static void make_tree(int root, const uint8_t *data, size_t size) {
  struct maker maker = {
      .at = data, .end = data + size, .directories = {openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)}};
  for (int i = 0; i < 200 && maker.at < maker.end; i++) {
    make_one(&maker);
  }
  while (maker.file_count > 0) {
    cleanup_close_at(&maker.files[--maker.file_count]);
  }
  for (size_t i = 0; i <= maker.depth; i++) {
    close(maker.directories[i]);
  }
}

static void write_layer(const struct tree *tree, int fd) {
  cleanup_tar struct tar_out out = {.fd = -1};
  struct walk_options walk = {.overlay = true, .one_file_system = true, .sparse = true};
  struct err err = ERR_INIT;
  must(fd >= 0 && tar_open(fd, &out, &err) == 0);
  int r = walk_write(tree, "", "", true, &walk, &out, &err);
  r = r < 0 ? r : tar_end(&out, &err);
  if (r < 0) {
    fprintf(stderr, "%s\n", err.text);
  }
  must(r == 0 && lseek(fd, 0, SEEK_SET) == 0);
}

static void unpack(const struct tree *tree, int fd) {
  struct limits limits = LIMITS_DEFAULT;
  cleanup_source struct source *source = NULL;
  struct apply_options options = {.prefix = "", .overlay = true, .pending = -1};
  struct apply_report report = {0};
  struct err err = ERR_INIT;
  char digest[DIGEST_TEXT_SIZE];
  int r = source_open(fd, false, &limits, &source, &err);
  r = r < 0 ? r : apply_run(tree, source, &options, &report, &err);
  r = r < 0 ? r : source_finish(source, digest, &err);
  if (r < 0) {
    fprintf(stderr, "%s\n", err.text);
  }
  must(r == 0 && lseek(fd, 0, SEEK_SET) == 0);
}

static bool same(int a, int b) {
  char left[65536];
  char right[65536];
  for (;;) {
    ssize_t got = read(a, left, sizeof(left));
    if (got != read(b, right, sizeof(right)) || (got > 0 && memcmp(left, right, (size_t)got) != 0)) {
      return false;
    }
    if (got <= 0) {
      break;
    }
  }
  return lseek(a, 0, SEEK_SET) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct scratch first;
  static struct scratch second;
  if (first.path[0] == '\0') {
    scratch_open(&first, "first");
    scratch_open(&second, "second");
  }
  make_tree(first.root.root, data, size);
  cleanup_close int once = memfd_create("once", MFD_CLOEXEC);
  cleanup_close int twice = memfd_create("twice", MFD_CLOEXEC);
  cleanup_close int again = memfd_create("again", MFD_CLOEXEC);
  write_layer(&first.root, once);
  write_layer(&first.root, twice);
  must(same(once, twice));
  unpack(&second.root, once);
  write_layer(&second.root, again);
  must(same(once, again));
  scratch_reset(&first);
  scratch_reset(&second);
  return 0;
}
