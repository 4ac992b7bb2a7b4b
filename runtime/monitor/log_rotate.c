#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "base/child.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "monitor/log_file.h"
#include "sys/syscalls.h"

#define COMPRESS_BLOCK ((size_t)65536)
/* ioprio_set(2): the idle class. */
#define IOPRIO_IDLE (3 << 13)

/* path.N or path.N.gz. False: too long for a path. */
static bool name_of(const struct log_file *file, int number, bool compressed, char ret_name[PATH_MAX]) {
  int length = snprintf(ret_name, PATH_MAX, "%s.%d%s", file->path, number, compressed ? ".gz" : "");
  return length > 0 && length < PATH_MAX;
}

static bool temporary_of(const struct log_file *file, char ret_name[PATH_MAX]) {
  int length = snprintf(ret_name, PATH_MAX, "%s.gz-new", file->path);
  return length > 0 && length < PATH_MAX;
}

/* One file moves on by a number, in either form. */
static int shift(const struct log_file *file, int number) {
  for (int compressed = 0; compressed < 2; compressed++) {
    char from[PATH_MAX], to[PATH_MAX];
    if (!name_of(file, number, compressed == 1, from) || !name_of(file, number + 1, compressed == 1, to) ||
        (rename(from, to) < 0 && errno != ENOENT)) {
      return -1;
    }
  }
  return 0;
}

int log_rotate(struct log_file *file) {
  char name[PATH_MAX];
  int last = file->max_file - 1;
  for (int compressed = 0; compressed < 2; compressed++) {
    if (!name_of(file, last, compressed == 1, name) || (unlink(name) < 0 && errno != ENOENT)) {
      return -1;
    }
  }
  for (int number = last - 1; number > 0; number--) {
    if (shift(file, number) < 0) {
      return -1;
    }
  }
  if (!name_of(file, 1, /* compressed= */ false, name) || (rename(file->path, name) < 0 && errno != ENOENT)) {
    return -1;
  }
  file->compressing++;
  return 0;
}

/*
 * The header names the file that was compressed (its inode), in a field of our own: a reader that has that one open
 * finds the place where it goes on. RFC 1952: two letters, length, data.
 */
static void describe(const struct stat *info, unsigned char field[12], gz_header *ret_header) {
  uint64_t inode = (uint64_t)info->st_ino;
  memcpy(field, "TS\x08\0", 4);
  for (int i = 0; i < 8; i++) {
    field[4 + i] = (unsigned char)(inode >> (8 * i));
  }
  memset(ret_header, 0, sizeof(*ret_header));
  ret_header->time = (uLong)info->st_mtime;
  ret_header->os = 3;
  ret_header->extra = field;
  ret_header->extra_len = 12;
}

static int squeeze(z_stream *stream, int from, int to) {
  static unsigned char in[COMPRESS_BLOCK], out[COMPRESS_BLOCK]; /* the child's own copy of our zeroed data */
  int state = Z_OK;
  while (state != Z_STREAM_END) {
    ssize_t n = read(from, in, sizeof(in));
    if (n < 0) {
      return -1;
    }
    stream->next_in = in;
    stream->avail_in = (uInt)n;
    do {
      stream->next_out = out;
      stream->avail_out = sizeof(out);
      state = deflate(stream, n == 0 ? Z_FINISH : Z_NO_FLUSH);
      if (state == Z_STREAM_ERROR || fd_write_all(to, out, sizeof(out) - stream->avail_out, /* err= */ NULL) < 0) {
        return -1;
      }
    } while (stream->avail_out == 0);
  }
  return 0;
}

/* In the child: stdin is the old file, stdout the new one. It must not hinder the container. */
static int compress_main(int argc, char **argv) {
  (void)argc, (void)argv;
  struct stat info;
  unsigned char field[12];
  gz_header header;
  z_stream stream = {.zalloc = Z_NULL};
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  (void)!nice(19);
  (void)sys_ioprio_set(0, IOPRIO_IDLE);
  if (fstat(STDIN_FILENO, &info) < 0 ||
      deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    return 1;
  }
  describe(&info, field, &header);
  bool failed = deflateSetHeader(&stream, &header) != Z_OK || squeeze(&stream, STDIN_FILENO, STDOUT_FILENO) < 0;
  (void)deflateEnd(&stream);
  /* The original is removed next: a power cut must find one of the two whole. */
  return failed || fdatasync(STDOUT_FILENO) < 0 ? 1 : 0;
}

/* The oldest plain file that is to be compressed; 0: none. */
static int find_plain(const struct log_file *file) {
  for (int number = file->max_file - 1; number > 0; number--) {
    char plain[PATH_MAX], compressed[PATH_MAX];
    if (!name_of(file, number, false, plain) || !name_of(file, number, true, compressed) || access(plain, F_OK) < 0) {
      continue;
    }
    if (access(compressed, F_OK) < 0) {
      return number;
    }
    (void)unlink(plain); /* a monitor was killed between publishing the one and removing the other */
  }
  return 0;
}

void log_compress(struct log_file *file) {
  char plain[PATH_MAX], temporary[PATH_MAX];
  if (!file->compress || file->compressor != 0) {
    return;
  }
  int number = find_plain(file);
  if (number == 0 || !name_of(file, number, false, plain) || !temporary_of(file, temporary)) {
    return;
  }
  (void)unlink(temporary);
  cleanup_close int from = open(plain, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  cleanup_close int to = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
  struct stat info;
  if (from < 0 || to < 0 || fstat(from, &info) < 0) {
    return; /* stays as it is; tried again at the next rotation */
  }
  char *const args[] = {"tsc-compress", NULL};
  struct child_plan plan = CHILD_PLAN_INIT;
  plan.verb = compress_main;
  plan.argv = args;
  plan.fds[0] = from;
  plan.fds[1] = to;
  if (child_start(&plan, &file->compressor, /* err= */ NULL) < 0) {
    (void)unlink(temporary);
    file->compressor = 0;
    return;
  }
  file->compressing = number;
  file->compressing_inode = info.st_ino;
}

bool log_compressed(struct log_file *file, pid_t pid, int status) {
  char plain[PATH_MAX], compressed[PATH_MAX], temporary[PATH_MAX];
  if (file->compressor == 0 || pid != file->compressor) {
    return false;
  }
  file->compressor = 0;
  int number = file->compressing;
  if (!temporary_of(file, temporary) || !name_of(file, number, false, plain) ||
      !name_of(file, number, true, compressed)) {
    return true;
  }
  struct stat info;
  /* Rotation may have failed half-way: only what was compressed is replaced. Whoever looks meanwhile finds one of the
     two, or both with the same content. */
  if (status != 0 || number >= file->max_file || lstat(plain, &info) < 0 || info.st_ino != file->compressing_inode ||
      rename(temporary, compressed) < 0) {
    (void)unlink(temporary);
  } else {
    (void)unlink(plain);
  }
  if (status == 0) {
    log_compress(file);
  }
  return true;
}

void log_compress_abandon(struct log_file *file) {
  char temporary[PATH_MAX];
  if (file->compressor == 0) {
    return;
  }
  (void)kill(file->compressor, SIGKILL);
  while (waitpid(file->compressor, NULL, 0) < 0 && errno == EINTR) {
  }
  file->compressor = 0;
  if (temporary_of(file, temporary)) {
    (void)unlink(temporary);
  }
}
