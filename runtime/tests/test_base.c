#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "tests/check.h"

static void test_errors(void) {
  struct err err = ERR_INIT;
  errno = ENOENT;
  check(err_errno(&err, "cannot open %s", "/x") == -ENOENT);
  check(err_prefix(&err, "step") == -ENOENT);
  check_text(err.text, "step: cannot open /x: No such file or directory");
  char longer[2000];
  memset(longer, 'a', sizeof(longer) - 1);
  longer[sizeof(longer) - 1] = '\0';
  check(err_set(&err, -EINVAL, "%s", longer) == -EINVAL);
  check(err_prefix(&err, "%s", longer) == -EINVAL);
  check(strlen(err.text) < sizeof(err.text));
  check(err_set(NULL, EIO, "x") == -EIO);
  check(err_code(&err, EIO, "cannot use %s", longer) == -EIO);
  check(strlen(err.text) == sizeof(err.text) - 1);
  check_contains(err.text, "aaa…: Input/output error");
  check(err_prefix(&err, "one step") == -EIO && err_prefix(&err, "another") == -EIO);
  check_contains(err.text, "another: one step: cannot use aaa");
  check_contains(err.text, "aaa…: Input/output error");
}

static void test_json_quoting(void) {
  cleanup_str struct str out = STR_INIT;
  check(json_add_quoted_n(&out, "a\"\\\n\x01\xc3\xa9\xff\xed\xa0\x80\xf4\x90\x80\x80z", 16) == 0);
  check_text(out.data, "\"a\\\"\\\\\\n\\u0001\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                       "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"");
}

static void test_json_reading(void) {
  static const char *const bad[] = {"", "{", "{} {}", "{\"a\":1,}", "[1", "\xff", "// x\n{}", "nul"};
  for (size_t i = 0; i < array_length(bad); i++) {
    struct json document = {.value = NULL};
    struct err err = ERR_INIT;
    if (json_parse(bad[i], strlen(bad[i]), &document, &err) == 0) {
      fprintf(stderr, "accepted: %s\n", bad[i]);
      check_failures++;
      json_free(&document);
    }
  }
  const char *text = "{\"a\":{\"n\":18446744073709551615,\"m\":-1,\"f\":1.5,\"s\":\"x\\u0000y\",\"t\":true}} \n";
  cleanup_json struct json document = {.value = NULL};
  struct err err = ERR_INIT;
  check(json_parse(text, strlen(text), &document, &err) == 0);
  struct json a;
  check(json_object_at(&document, "a", &a, &err) == 1);
  uint64_t big = 0;
  long long number = 7;
  const char *string = NULL;
  bool flag = false;
  check(json_u64_at(&a, "n", &big, &err) == 1 && big == UINT64_MAX);
  check(json_long_at(&a, "n", 0, INT64_MAX, &number, &err) == -ERANGE && number == 7);
  check(json_u64_at(&a, "m", &big, &err) == -ERANGE);
  check(json_long_at(&a, "f", 0, 9, &number, &err) == -EINVAL);
  check_text(err.text, "a.f: expected an integer, got double");
  check(json_string_at(&a, "s", &string, &err) == -EINVAL);
  check_contains(err.text, "NUL");
  check(json_bool_at(&a, "t", &flag, &err) == 1 && flag);
  check(json_bool_at(&a, "missing", &flag, &err) == 0);
  check(json_need_string(&a, "missing", &string, &err) == -EINVAL);
  check_text(err.text, "a.missing: missing");
}

static void test_descriptors(void) {
  int ends[2], pair[2], got[2] = {-1, -1};
  char data[8];
  size_t size = 0, count = 0;
  struct err err = ERR_INIT;
  check(pipe2(ends, O_CLOEXEC) == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  check(fd_send(pair[0], "hi", 2, ends, 2, &err) == 0);
  check(fd_receive(pair[1], data, sizeof(data), &size, got, 1, &count, &err) == 0);
  check(size == 2 && count == 1 && (fcntl(got[0], F_GETFD) & FD_CLOEXEC) != 0);
  check(fd_write_all(ends[1], "0123456789", 10, &err) == 0);
  close(ends[1]);
  cleanup_free char *text = NULL;
  check(fd_read_all(ends[0], 9, &text, &size, &err) == -EFBIG);
  close(ends[0]);
  close(got[0]);
  close(pair[0]);
  check(fd_receive(pair[1], data, sizeof(data), &size, got, 1, &count, &err) == 0 && size == 0);
  close(pair[1]);
}

static void test_files(void) {
  char directory[] = "/tmp/tsc-base-XXXXXX";
  struct err err = ERR_INIT;
  check(mkdtemp(directory) != NULL);
  cleanup_close int at = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  check(file_mkdir_p(at, "a/b/c", 0755, &err) == 0 && file_mkdir_p(at, "a/b/c", 0755, &err) == 0);
  check(file_write_atomic(at, "a/file", "text\n", 5, 0600, 1, &err) == 0);
  char line[16], tight[5];
  check(file_read_line(at, "a/file", line, sizeof(line), &err) == 0);
  check_text(line, "text");
  check(file_read_line(at, "a/file", tight, sizeof(tight), &err) == -EFBIG);
  check(symlinkat("/etc", at, "a/link") == 0);
  check(file_remove_tree(at, "a", &err) == 0 && faccessat(at, "a", F_OK, 0) < 0);
  check(access("/etc/passwd", F_OK) == 0);
  check(file_remove_tree(at, "a", &err) == 0);
  check(file_mkdir_p(AT_FDCWD, directory, 0755, &err) == 0);
  rmdir(directory);
}

static void test_texts(void) {
  long long value = 0;
  char hex[65];
  struct sha256 hash;
  check(str_to_long("12", 0, 20, &value) == 0 && value == 12);
  static const char *const bad[] = {"", " 1", "+1", "1 ", "0x1", "99999999999999999999", "21", "-1"};
  for (size_t i = 0; i < array_length(bad); i++) {
    check(str_to_long(bad[i], 0, 20, &value) < 0);
  }
  sha256_start(&hash);
  sha256_add(&hash, "abc", 3);
  sha256_hex(&hash, hex);
  check_text(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  struct timespec at = {.tv_sec = 1, .tv_nsec = 42};
  char time[TIME_TEXT_SIZE];
  time_format(&at, time, sizeof(time));
  check_text(time, "1970-01-01T00:00:01.000000042Z");
}

static void test_closing(void) {
  int keep[] = {-1, 47, 41, 44};
  struct err err = ERR_INIT;
  for (int fd = 40; fd < 50; fd++) {
    check(dup2(0, fd) == fd);
  }
  check(fd_close_but(40, keep, array_length(keep), &err) == 0);
  for (int fd = 40; fd < 50; fd++) {
    check((fcntl(fd, F_GETFD) >= 0) == (fd == 41 || fd == 44 || fd == 47));
  }
  check(fd_close_from(40, &err) == 0 && fcntl(41, F_GETFD) < 0 && fcntl(0, F_GETFD) >= 0);
}

int main(void) {
  test_closing();
  test_errors();
  test_json_quoting();
  test_json_reading();
  test_descriptors();
  test_files();
  test_texts();
  check_done();
}
