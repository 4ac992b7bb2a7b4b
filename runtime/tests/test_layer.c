#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/file.h"
#include "layer/apply.h"
#include "layer/copy.h"
#include "layer/meta.h"
#include "layer/options.h"
#include "layer/tar_write.h"
#include "layer/walk.h"
#include "tests/check.h"

struct place {
  char path[64];
  struct tree tree;
};

static void place_open(struct place *place) {
  (void)strcpy(place->path, "/tmp/tsc-layer-XXXXXX");
  check(mkdtemp(place->path) != NULL);
  check(tree_open_directory(place->path, &place->tree, NULL) == 0);
}

static void place_remove(struct place *place) {
  tree_close(&place->tree);
  check(file_remove_tree(AT_FDCWD, place->path, NULL) == 0);
}

static void test_clean(void) {
  static const struct {
    const char *in;
    const char *out;
  } cases[] = {
      {"", ""},        {"/", ""},          {".", ""},       {"..", ""},           {"a", "a"},         {"/a/b/", "a/b"},
      {"a//b", "a/b"}, {"./a/./b", "a/b"}, {"a/../b", "b"}, {"../../a", "a"},     {"a/../../b", "b"}, {"a/b/..", "a"},
      {"...", "..."},  {"a/..b", "a/..b"}, {"ab/..", ""},   {"a/b/../../..", ""},
  };
  for (size_t i = 0; i < array_length(cases); i++) {
    cleanup_str struct str out = STR_INIT;
    check(confine_clean(cases[i].in, &out, NULL) == 0);
    check_text(out.data, cases[i].out);
  }
  cleanup_str struct str out = STR_INIT;
  char deep[2 * 2000 + 1] = "";
  for (size_t i = 0; i < 2000; i++) {
    (void)memcpy(deep + 2 * i, "a/", 3);
  }
  check(confine_clean(deep, &out, NULL) == -ENAMETOOLONG);
  char name[400];
  (void)memset(name, 'n', sizeof(name) - 1);
  name[sizeof(name) - 1] = '\0';
  check(confine_clean(name, &out, NULL) == -ENAMETOOLONG);
}

static void test_resolve(void) {
  struct place place = {.tree = TREE_INIT};
  place_open(&place);
  int root = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  check(mkdirat(root, "a", 0755) == 0 && mkdirat(root, "a/b", 0755) == 0);
  check(symlinkat("/a", root, "abs") == 0 && symlinkat("../../../a/b", root, "a/up") == 0);
  check(symlinkat("loop", root, "loop") == 0 && symlinkat("abs/up", root, "chain") == 0);
  static const struct {
    const char *in;
    const char *out; /* NULL: an error */
  } cases[] = {{"a/b", "a/b"}, {"abs/b", "a/b"}, {"abs/up", "a/b"}, {"chain", "a/b"},
               {"loop", NULL}, {"none", NULL},   {"", ""},          {"a/none/x", NULL}};
  for (size_t i = 0; i < array_length(cases); i++) {
    cleanup_str struct str out = STR_INIT;
    struct err err = ERR_INIT;
    int r = confine_resolve(root, cases[i].in, true, &out, &err);
    check((r == 0) == (cases[i].out != NULL));
    if (r == 0) {
      check_text(out.data, cases[i].out);
    }
  }
  cleanup_str struct str out = STR_INIT;
  check(confine_resolve(root, "a/up", false, &out, NULL) == 0);
  check_text(out.data, "a/up");
  close(root);
  place_remove(&place);
}

static void test_make_directories(void) {
  struct place place = {.tree = TREE_INIT};
  place_open(&place);
  int root = place.tree.root;
  struct owner owner = {12, 34};
  cleanup_close int fd = -1;
  struct stat at;
  check(symlinkat("/etc", root, "link") == 0);
  check(confine_make_directories(root, "x/y/z", owner, NULL, NULL, &fd, NULL) == 0);
  check(fstat(fd, &at) == 0 && at.st_uid == 12 && at.st_gid == 34);
  cleanup_close int other = -1;
  /* The link means the root's own etc, which is not there: nothing is made on the host. */
  check(confine_make_directories(root, "link/tsc-test", owner, NULL, NULL, &other, NULL) < 0);
  check(access("/etc/tsc-test", F_OK) < 0);
  place_remove(&place);
}

static void test_xattr_filter(void) {
  check(meta_xattr_allowed("user.x"));
  check(meta_xattr_allowed("trusted.x"));
  check(meta_xattr_allowed("security.capability"));
  check(!meta_xattr_allowed("security.selinux"));
  check(!meta_xattr_allowed("security.ima"));
  check(!meta_xattr_allowed("trusted.overlay.opaque"));
  check(!meta_xattr_allowed("trusted.overlay.overlay.opaque"));
  check(!meta_xattr_allowed("user.overlay.redirect"));
  check(!meta_xattr_allowed("system.unknown"));
  check(!meta_xattr_allowed(""));
}

static void test_pax_records(void) {
  cleanup_str struct str records = STR_INIT;
  check(tar_add_record(&records, "path", "x", 1) == 0);
  check_text(records.data, "9 path=x\n");
  /* The length counts its own digits: 8 + 91 bytes need three of them. */
  for (size_t size = 80; size < 100; size++) {
    cleanup_str struct str one = STR_INIT;
    char value[128];
    (void)memset(value, 'v', sizeof(value));
    check(tar_add_record(&one, "path", value, size) == 0);
    check((size_t)atoi(one.data) == one.size);
  }
}

static void unpack(const struct place *place, int archive, const struct apply_options *options, int expected) {
  struct limits limits = LIMITS_DEFAULT;
  cleanup_source struct source *source = NULL;
  struct apply_report report = {0};
  struct err err = ERR_INIT;
  check(lseek(archive, 0, SEEK_SET) == 0);
  check(source_open(archive, true, &limits, &source, &err) == 0);
  check(apply_run(&place->tree, source, options, &report, &err) == expected);
  char digest[DIGEST_TEXT_SIZE];
  if (expected == 0) {
    check(source_finish(source, digest, &err) == 0 && str_starts(digest, "sha256:") && strlen(digest) == 71);
  }
}

/* Writes a tree, unpacks it elsewhere, writes it again: the same bytes. */
static void test_round_trip(void) {
  struct place from = {.tree = TREE_INIT};
  struct place to = {.tree = TREE_INIT};
  place_open(&from);
  place_open(&to);
  int root = from.tree.root;
  check(mkdirat(root, "d", 0751) == 0 && symlinkat("nowhere", root, "d/l") == 0);
  check(file_write_atomic(root, "d/f", "content", 7, 0640, 0, NULL) == 0);
  check(linkat(root, "d/f", root, "d/h", 0) == 0);
  check(mknodat(root, "d/null", S_IFCHR | 0666, makedev(1, 3)) == 0 && mkfifoat(root, "p", 0600) == 0);
  struct timespec early[2] = {{1, 500000000}, {1, 500000000}};
  struct timespec before[2] = {{-2, 0}, {-2, 0}};
  check(utimensat(root, "d/f", early, 0) == 0 && utimensat(root, "p", before, 0) == 0);
  struct walk_options walk = {.one_file_system = true};
  char *bytes[2];
  size_t sizes[2];
  for (size_t i = 0; i < 2; i++) {
    cleanup_close int archive = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    cleanup_tar struct tar_out out = {.fd = -1};
    check(archive >= 0 && tar_open(archive, &out, NULL) == 0);
    check(walk_write(i == 0 ? &from.tree : &to.tree, "", "", true, &walk, &out, NULL) == 0 && tar_end(&out, NULL) == 0);
    check(lseek(archive, 0, SEEK_SET) == 0 && fd_read_all(archive, 1 << 20, &bytes[i], &sizes[i], NULL) == 0);
    if (i == 0) {
      struct apply_options options = {.prefix = "", .pending = -1};
      unpack(&to, archive, &options, 0);
    }
  }
  check(sizes[0] == sizes[1] && memcmp(bytes[0], bytes[1], sizes[0]) == 0);
  free(bytes[0]);
  free(bytes[1]);
  place_remove(&from);
  place_remove(&to);
}

/* Every byte of a small archive changed once: unpacking ends, one way or the other, and stays inside. */
static void test_damaged_archives(void) {
  cleanup_close int archive = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  cleanup_tar struct tar_out out = {.fd = -1};
  check(archive >= 0 && tar_open(archive, &out, NULL) == 0);
  cleanup_str struct str extra = STR_INIT;
  check(tar_add_record(&extra, "SCHILY.xattr.user.k", "v", 1) == 0);
  struct tar_entry file = {.name = "d/f", .type = '0', .mode = 0644, .size = 4, .extra = &extra};
  struct tar_entry link = {.name = "d/h", .type = '1', .link = "d/f"};
  check(tar_header(&out, &file, NULL) == 0 && tar_data(&out, "data", 4, NULL) == 0 && tar_pad(&out, 4, NULL) == 0);
  check(tar_header(&out, &link, NULL) == 0 && tar_end(&out, NULL) == 0);
  struct limits limits = LIMITS_DEFAULT;
  struct apply_options options = {.prefix = "", .overlay = true, .pending = -1};
  for (off_t at = 0; at < 2048; at += 3) {
    char original;
    char changed;
    check(pread(archive, &original, 1, at) == 1);
    changed = (char)(original ^ (1 << (at % 8)));
    check(pwrite(archive, &changed, 1, at) == 1 && lseek(archive, 0, SEEK_SET) == 0);
    struct place place = {.tree = TREE_INIT};
    place_open(&place);
    cleanup_source struct source *source = NULL;
    struct apply_report report = {0};
    struct err err = ERR_INIT;
    if (source_open(archive, false, &limits, &source, &err) == 0) {
      (void)apply_run(&place.tree, source, &options, &report, &err);
    }
    place_remove(&place);
    check(pwrite(archive, &original, 1, at) == 1);
  }
}

static void test_options(void) {
  static const struct {
    const char *args[4];
    int expected;
  } cases[] = {
      {{"x", "--owner", "1:2"}, 0},         {{"x", "--owner", "1"}, -EINVAL},
      {{"x", "--owner", "-1:2"}, -EINVAL},  {{"x", "--owner", "4294967295:0"}, -EINVAL},
      {{"x", "--mode", "0755"}, 0},         {{"x", "--mode", "8"}, -EINVAL},
      {{"x", "--mode", "77777"}, -EINVAL},  {{"x", "--mount", "ro:/a:/b"}, 0},
      {{"x", "--mount", "/a:/b"}, -EINVAL}, {{"x", "--mount", "ro:/b"}, -EINVAL},
      {{"x", "--pid", "0"}, -EINVAL},       {{"x", "--max-bytes", "0"}, -EINVAL},
      {{"x", "--nope"}, -EINVAL},           {{"x", "stray"}, -EINVAL},
      {{"x", "--root"}, -EINVAL},
  };
  for (size_t i = 0; i < array_length(cases); i++) {
    cleanup_options struct options options = {.root = NULL};
    char *argv[5] = {NULL};
    int argc = 0;
    while (argc < 4 && cases[i].args[argc] != NULL) {
      argv[argc] = (char *)cases[i].args[argc];
      argc++;
    }
    optind = 0; /* start over */
    struct err err = ERR_INIT;
    check(options_parse(argc, argv, &options, &err) == cases[i].expected);
  }
}

int main(void) {
  test_clean();
  test_resolve();
  test_make_directories();
  test_xattr_filter();
  test_pax_records();
  test_round_trip();
  test_damaged_archives();
  test_options();
  check_done();
}
