/* Log lines: pieces, escaping, rotation, broken tails. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "monitor/log_file.h"
#include "tests/check.h"

static char directory[] = "/tmp/tsc-test-log-XXXXXX";
static char path[200];

static void fresh(const char *name) {
  snprintf(path, sizeof(path), "%s/%s.log", directory, name);
}

/* The `log` value of line `index` of a file, checked to be whole JSON; NULL past the end. The caller frees it. */
static char *line_of(const char *file, size_t index, const char *stream) {
  cleanup_free char *text = NULL;
  size_t size = 0;
  require(file_read(AT_FDCWD, file, &text, &size, NULL) == 0);
  char *at = text;
  for (size_t i = 0; *at != '\0'; i++) {
    char *end = strchr(at, '\n');
    require(end != NULL);
    if (i == index) {
      cleanup_json struct json line = {0};
      const char *log = NULL, *name = NULL, *time = NULL;
      require(json_parse(at, (size_t)(end - at), &line, NULL) == 0);
      require(json_need_string(&line, "log", &log, NULL) > 0);
      require(json_need_string(&line, "stream", &name, NULL) > 0 && strcmp(name, stream) == 0);
      require(json_need_string(&line, "time", &time, NULL) > 0 && strlen(time) == 30);
      return strdup(log);
    }
    at = end + 1;
  }
  return NULL;
}

static void expect_line(const char *file, size_t index, const char *stream, const char *wanted) {
  cleanup_free char *got = line_of(file, index, stream);
  if (wanted == NULL) {
    require(got == NULL);
    return;
  }
  require(got != NULL);
  if (strcmp(got, wanted) != 0) {
    fprintf(stderr, "line %zu: got <%.80s> wanted <%.80s>\n", index, got, wanted);
    exit(1);
  }
}

static int open_log(struct log_file *file, const char *name, uint64_t max_size, int max_file) {
  const struct log_options options = {.max_size = max_size, .max_file = max_file};
  return log_file_open(file, name, &options, NULL);
}

static void test_lines(void) {
  fresh("lines");
  struct log_file file = LOG_FILE_NONE;
  struct log_stream out = {.name = "stdout"}, error = {.name = "stderr"};
  require(open_log(&file, path, 0, 1) == 0);
  log_file_feed(&file, &out, "one\ntw", 6);
  log_file_feed(&file, &error, "oops\n", 5);
  log_file_feed(&file, &out, "o\n\n\"q\"\\\t\x01\n", 10);
  log_file_feed(&file, &out, "a\xff\xc3z\n", 5);
  log_file_feed(&file, &out, "gr\xc3\xbc\xc3\x9f\n", 7);
  log_file_feed(&file, &out, "no newline", 10);
  log_file_end(&file, &out);
  log_file_close(&file);
  expect_line(path, 0, "stdout", "one\n");
  expect_line(path, 1, "stderr", "oops\n");
  expect_line(path, 2, "stdout", "two\n");
  expect_line(path, 3, "stdout", "\n");
  expect_line(path, 4, "stdout", "\"q\"\\\t\x01\n");
  expect_line(path, 5, "stdout", "a\xef\xbf\xbd\xef\xbf\xbdz\n");
  expect_line(path, 6, "stdout", "gr\xc3\xbc\xc3\x9f\n");
  expect_line(path, 7, "stdout", "no newline");
  expect_line(path, 8, "stdout", NULL);
  log_stream_free(&out);
  log_stream_free(&error);
}

/* Fed whole, in odd steps and byte by byte, a long line is cut in the same places. */
static void test_pieces(void) {
  cleanup_free char *data = malloc(40002);
  cleanup_free char *piece = malloc(LOG_PIECE + 2);
  require(data != NULL && piece != NULL);
  memset(data, 'x', 40000);
  memcpy(data + 40000, "\n", 2);
  memset(piece, 'x', LOG_PIECE + 1);
  const size_t steps[] = {40001, 4097, 1, 16384};
  for (size_t s = 0; s < array_length(steps); s++) {
    char name[40];
    snprintf(name, sizeof(name), "pieces%zu", s);
    fresh(name);
    struct log_file file = LOG_FILE_NONE;
    struct log_stream out = {.name = "stdout"};
    require(open_log(&file, path, 0, 1) == 0);
    for (size_t at = 0; at < 40001; at += steps[s]) {
      log_file_feed(&file, &out, data + at, at + steps[s] > 40001 ? 40001 - at : steps[s]);
    }
    log_file_close(&file);
    piece[LOG_PIECE] = '\0';
    expect_line(path, 0, "stdout", piece);
    expect_line(path, 1, "stdout", piece);
    expect_line(path, 2, "stdout", data + 2 * LOG_PIECE);
    expect_line(path, 3, "stdout", NULL);
    log_stream_free(&out);
  }
}

/* A character that lies across the cut stays whole. */
static void test_character_at_cut(void) {
  fresh("cut");
  cleanup_free char *data = malloc(LOG_PIECE + 10);
  require(data != NULL);
  memset(data, 'x', LOG_PIECE - 2);
  strcpy(data + LOG_PIECE - 2, "\xe2\x82\xac end\n");
  struct log_file file = LOG_FILE_NONE;
  struct log_stream out = {.name = "stdout"};
  require(open_log(&file, path, 0, 1) == 0);
  log_file_feed(&file, &out, data, strlen(data));
  log_file_close(&file);
  expect_line(path, 1, "stdout", "\xe2\x82\xac end\n");
  log_stream_free(&out);
}

static off_t size_of(const char *file) {
  struct stat info;
  return stat(file, &info) < 0 ? -1 : info.st_size;
}

static void test_rotation(void) {
  fresh("rotate");
  struct log_file file = LOG_FILE_NONE;
  struct log_stream out = {.name = "stdout"};
  /* Every line is {"log":"NNN\n","stream":"stdout","time":"<30>"} + newline = 74 bytes; the fourth starts a new file.
   */
  require(open_log(&file, path, 222, 3) == 0);
  for (int i = 0; i < 11; i++) {
    char line[16];
    snprintf(line, sizeof(line), "%03d\n", i);
    log_file_feed(&file, &out, line, 4);
  }
  log_file_close(&file);
  char old[2][220];
  snprintf(old[0], sizeof(old[0]), "%s.1", path);
  snprintf(old[1], sizeof(old[1]), "%s.2", path);
  require(size_of(path) == 148 && size_of(old[0]) == 222 && size_of(old[1]) == 222);
  expect_line(path, 0, "stdout", "009\n");
  expect_line(old[0], 0, "stdout", "006\n");
  expect_line(old[0], 2, "stdout", "008\n");
  expect_line(old[1], 0, "stdout", "003\n");
  snprintf(old[1], sizeof(old[1]), "%s.3", path);
  require(size_of(old[1]) == -1);
  /* Opened again it goes on counting from what is there. */
  require(open_log(&file, path, 222, 3) == 0);
  log_file_feed(&file, &out, "011\n012\n", 8);
  log_file_close(&file);
  expect_line(path, 0, "stdout", "012\n");
  expect_line(old[0], 2, "stdout", "011\n");
}

static void test_single_file(void) {
  fresh("single");
  struct log_file file = LOG_FILE_NONE;
  struct log_stream out = {.name = "stdout"};
  require(open_log(&file, path, 148, 1) == 0);
  log_file_feed(&file, &out, "001\n002\n003\n", 12);
  log_file_close(&file);
  expect_line(path, 0, "stdout", "003\n");
  expect_line(path, 1, "stdout", NULL);
}

static void test_broken_tail(void) {
  fresh("broken");
  require(file_write_atomic(AT_FDCWD, path, "{\"a\":1}\n{\"log\":\"ha", 18, 0600, 0, NULL) == 0);
  struct log_file file = LOG_FILE_NONE;
  struct log_stream out = {.name = "stdout"};
  require(open_log(&file, path, 0, 1) == 0);
  log_file_feed(&file, &out, "new\n", 4);
  log_file_close(&file);
  expect_line(path, 1, "stdout", "new\n");
  require(open_log(&file, "/dev/null", 0, 1) < 0);
}

static void test_full_disk(void) {
  fresh("full");
  struct log_file file = LOG_FILE_NONE;
  struct log_stream out = {.name = "stdout"};
  require(open_log(&file, path, 0, 1) == 0);
  int good = file.fd;
  file.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
  log_file_feed(&file, &out, "gone\n", 5);
  log_file_flush(&file);
  require(file.lost > 0 && file.size == 0);
  close(file.fd);
  file.fd = good;
  log_file_feed(&file, &out, "kept\n", 5);
  log_file_close(&file);
  expect_line(path, 0, "stdout", "kept\n");
}

/* Each line later than the one before, also across a second, whose text is only made anew when it changes. */
static void test_times(void) {
  fresh("times");
  struct log_file file = LOG_FILE_NONE;
  struct log_stream out = {.name = "stdout"};
  cleanup_free char *text = NULL;
  size_t size = 0;
  char before[TIME_TEXT_SIZE] = "";
  require(open_log(&file, path, 0, 1) == 0);
  /* As if the clock went back: the file's own time goes on, from just before the end of a second. */
  file.last = (struct timespec){.tv_sec = 4102444799, .tv_nsec = 999999500};
  for (int i = 0; i < 1000; i++) {
    log_file_feed(&file, &out, "x\n", 2);
  }
  log_file_close(&file);
  require(file_read(AT_FDCWD, path, &text, &size, NULL) == 0);
  for (char *at = text; (at = strstr(at, "\"time\":\"")) != NULL;) {
    at += strlen("\"time\":\"");
    require(strncmp(before, at, 30) < 0);
    memcpy(before, at, 30);
  }
  require(strcmp(before, "2100-01-01T00:00:00.000000500Z") == 0);
}

static void settle(struct log_file *file) {
  while (file->compressor != 0) {
    int status = 0;
    pid_t pid = waitpid(-1, &status, 0);
    require(pid > 0 && log_compressed(file, pid, status));
  }
}

/* Lines of path.N, whatever its form, begin with these numbers. */
static void expect_old(int number, bool compressed, int first, int count) {
  char name[220], line[100], wanted[32];
  snprintf(name, sizeof(name), "%s.%d%s", path, number, compressed ? ".gz" : "");
  gzFile old = gzopen(name, "rb"); /* reads plain files too */
  require(old != NULL);
  for (int i = first; i < first + count; i++) {
    require(gzgets(old, line, sizeof(line)) != NULL);
    snprintf(wanted, sizeof(wanted), "{\"log\":\"%03d\\n\"", i);
    require(strncmp(line, wanted, strlen(wanted)) == 0);
  }
  require(gzgets(old, line, sizeof(line)) == NULL);
  gzclose(old);
}

static void feed_numbers(struct log_file *file, struct log_stream *out, int first, int count) {
  for (int i = first; i < first + count; i++) {
    char line[16];
    snprintf(line, sizeof(line), "%03d\n", i);
    log_file_feed(file, out, line, 4);
  }
}

static bool exists(const char *suffix) {
  char name[220];
  snprintf(name, sizeof(name), "%s%s", path, suffix);
  return access(name, F_OK) == 0;
}

static void test_compression(void) {
  fresh("compress");
  struct log_file file = LOG_FILE_NONE;
  struct log_stream out = {.name = "stdout"};
  const struct log_options options = {.max_size = 222, .max_file = 5, .compress = true};
  require(log_file_open(&file, path, &options, NULL) == 0);
  /* Three rotations while the first compression runs: it is published under the number its file has by then. */
  feed_numbers(&file, &out, 0, 10);
  require(file.compressor != 0 && file.compressing == 3);
  settle(&file);
  expect_old(3, true, 0, 3);
  expect_old(2, true, 3, 3);
  expect_old(1, true, 6, 3);
  require(!exists(".1") && !exists(".2") && !exists(".3") && !exists(".gz-new"));
  /* More rotations than files: what the compressor works on is dropped meanwhile. */
  feed_numbers(&file, &out, 10, 30);
  settle(&file);
  for (int number = 1; number < 5; number++) {
    expect_old(number, true, 39 - 3 * number, 3);
  }
  require(!exists(".5") && !exists(".5.gz") && !exists(".gz-new"));
  /* The end does not wait; what stayed plain is for the next opening. */
  feed_numbers(&file, &out, 40, 3);
  log_file_close(&file);
  expect_old(1, false, 39, 3);
  require(log_file_open(&file, path, &options, NULL) == 0);
  log_compress(&file);
  settle(&file);
  expect_old(1, true, 39, 3);
  expect_old(2, true, 36, 3);
  log_file_close(&file);
}

/* Killed between publishing the compressed file and removing the plain one; a compressor that failed. */
static void test_compression_faults(void) {
  fresh("faults");
  struct log_file file = LOG_FILE_NONE;
  struct log_stream out = {.name = "stdout"};
  const struct log_options options = {.max_size = 222, .max_file = 4, .compress = true};
  char plain[220];
  snprintf(plain, sizeof(plain), "%s.1", path);
  require(log_file_open(&file, path, &options, NULL) == 0);
  feed_numbers(&file, &out, 0, 4);
  settle(&file);
  require(file_write_atomic(AT_FDCWD, plain, "again\n", 6, 0600, 0, NULL) == 0);
  feed_numbers(&file, &out, 4, 2);
  log_compress(&file);
  require(file.compressor == 0 && !exists(".1"));
  feed_numbers(&file, &out, 6, 1);
  require(kill(file.compressor, SIGKILL) == 0);
  settle(&file);
  require(!exists(".1.gz") && !exists(".gz-new"));
  expect_old(1, false, 3, 3);
  expect_old(2, true, 0, 3);
  feed_numbers(&file, &out, 7, 3);
  settle(&file);
  expect_old(1, true, 6, 3);
  expect_old(2, true, 3, 3);
  log_file_close(&file);
}

int main(void) {
  require(mkdtemp(directory) != NULL);
  test_lines();
  test_pieces();
  test_character_at_cut();
  test_rotation();
  test_single_file();
  test_broken_tail();
  test_full_disk();
  test_times();
  test_compression();
  test_compression_faults();
  require(file_remove_tree(AT_FDCWD, directory, NULL) == 0);
  check_done();
}
