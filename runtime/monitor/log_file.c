#include "monitor/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/json.h"

/* A batch is written when it is this large. */
#define BATCH ((size_t)65536)
/* A whole encoded piece fits in this: every byte as \u00xx, and the frame around it. */
#define TAIL (LOG_PIECE * 6 + 256)
#define LOG_MODE 0640

/* A monitor that was killed while writing leaves a line without end; readers must never see two lines glued. */
static int cut_broken_tail(int fd, uint64_t *size, struct err *err) {
  size_t length = *size < TAIL ? (size_t)*size : TAIL;
  cleanup_free char *tail = malloc(length + 1);
  if (tail == NULL) {
    return err_oom(err);
  }
  if (pread(fd, tail, length, (off_t)(*size - length)) != (ssize_t)length) {
    return err_errno(err, "cannot read the end of the log");
  }
  size_t keep = length;
  while (keep > 0 && tail[keep - 1] != '\n') {
    keep--;
  }
  if (keep == length) {
    return 0;
  }
  *size -= length - keep;
  return ftruncate(fd, (off_t)*size) < 0 ? err_errno(err, "cannot cut a broken line") : 0;
}

static int open_live(struct log_file *file, struct err *err) {
  cleanup_close int fd = open(file->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, LOG_MODE);
  if (fd < 0) {
    return err_errno(err, "cannot open log %s", file->path);
  }
  struct stat info;
  if (fstat(fd, &info) < 0) {
    return err_errno(err, "cannot stat log %s", file->path);
  }
  if (!S_ISREG(info.st_mode)) {
    return err_set(err, EINVAL, "log %s is not a regular file", file->path);
  }
  uint64_t size = (uint64_t)info.st_size;
  int r = cut_broken_tail(fd, &size, err);
  if (r < 0) {
    return err_prefix(err, "log %s", file->path);
  }
  file->size = size;
  file->fd = take_fd(&fd);
  return 0;
}

int log_file_open(struct log_file *ret_file, const char *path, const struct log_options *options, struct err *err) {
  struct log_file file = LOG_FILE_NONE;
  file.path = strdup(path);
  file.max_size = options->max_size;
  file.max_file = options->max_file < 1 ? 1 : options->max_file;
  file.compress = options->compress;
  if (file.path == NULL) {
    return err_oom(err);
  }
  int r = open_live(&file, err);
  if (r < 0) {
    free(file.path);
    return r;
  }
  *ret_file = file;
  return 0;
}

/* Bytes of the batch that are in the file, whole lines only: a full disk may have taken a part. */
static size_t write_lines(struct log_file *file) {
  const struct str *batch = &file->batch;
  size_t done = 0;
  while (done < batch->size) {
    ssize_t n = write(file->fd, batch->data + done, batch->size - done);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      break;
    }
    done += (size_t)n;
  }
  if (done < batch->size) {
    const char *newline = done == 0 ? NULL : memrchr(batch->data, '\n', done);
    done = newline == NULL ? 0 : (size_t)(newline - batch->data) + 1;
    int r = ftruncate(file->fd, (off_t)(file->size + done));
    (void)r;
  }
  return done;
}

static void write_batch(struct log_file *file) {
  if (file->batch.size == 0) {
    return;
  }
  size_t done = file->fd < 0 && open_live(file, /* err= */ NULL) < 0 ? 0 : write_lines(file);
  file->size += done;
  file->lost += file->batch.size - done;
  file->batch.size = 0;
}

/* With one file kept the live one starts again. */
static void rotate(struct log_file *file) {
  write_batch(file);
  if (file->max_file == 1) {
    /* A reader that follows sees the file shrink. */
    if (file->fd >= 0 && ftruncate(file->fd, 0) == 0) {
      file->size = 0;
    }
    return;
  }
  if (log_rotate(file) < 0) {
    return; /* stays in the live file, tried again with the next line */
  }
  if (file->fd >= 0) {
    close(file->fd);
    file->fd = -1;
  }
  file->size = 0;
  (void)open_live(file, /* err= */ NULL);
  log_compress(file);
}

/* Bytes before the fraction in 2026-01-02T03:04:05.678901234Z. */
#define SECONDS_TEXT 20

/* The next line's time. Seconds are formatted once a second: with many short lines this is most of the work. */
static const char *stamp(struct log_file *file) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (now.tv_sec < file->last.tv_sec || (now.tv_sec == file->last.tv_sec && now.tv_nsec <= file->last.tv_nsec)) {
    /* Same tick, or the clock went back: one nanosecond on keeps lines distinct and in order for `since`. */
    now = file->last;
    if (++now.tv_nsec == 1000000000) {
      now.tv_nsec = 0;
      now.tv_sec++;
    }
  }
  if (now.tv_sec != file->last.tv_sec || file->last_text[0] == '\0') {
    time_format(&now, file->last_text, sizeof(file->last_text));
  } else {
    long rest = now.tv_nsec;
    for (int digit = SECONDS_TEXT + 8; digit >= SECONDS_TEXT; digit--) {
      file->last_text[digit] = (char)('0' + rest % 10);
      rest /= 10;
    }
  }
  file->last = now;
  return file->last_text;
}

static void put_line(struct log_file *file, const struct log_stream *stream, const char *text, size_t size) {
  if (file->max_size > 0 && file->size + file->batch.size >= file->max_size) {
    rotate(file);
  }
  size_t before = file->batch.size;
  if (str_add(&file->batch, "{\"log\":") < 0 || json_add_quoted_n(&file->batch, text, size) < 0 ||
      str_add(&file->batch, ",\"stream\":\"") < 0 || str_add(&file->batch, stream->name) < 0 ||
      str_add(&file->batch, "\",\"time\":\"") < 0 || str_add(&file->batch, stamp(file)) < 0 ||
      str_add(&file->batch, "\"}\n") < 0) {
    file->batch.size = before;
    file->lost += size;
    return;
  }
  if (file->batch.size >= BATCH) {
    write_batch(file);
  }
}

/* Bytes at the end of a full piece that begin a character whose rest is still to come: they go with the next piece. */
static size_t open_character(const char *text, size_t size) {
  for (size_t back = 1; back <= 3 && back < size; back++) {
    unsigned char c = (unsigned char)text[size - back];
    if ((c & 0xc0) == 0x80) {
      continue;
    }
    size_t whole = (c & 0xe0) == 0xc0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : (c & 0xf8) == 0xf0 ? 4 : 1;
    return whole > back ? back : 0;
  }
  return 0;
}

static void put_piece(struct log_file *file, struct log_stream *stream) {
  size_t kept = open_character(stream->piece, stream->used);
  put_line(file, stream, stream->piece, stream->used - kept);
  memmove(stream->piece, stream->piece + stream->used - kept, kept);
  stream->used = kept;
}

/* Adds to the line under way, which has no newline yet; cuts full pieces off. */
static void gather(struct log_file *file, struct log_stream *stream, const char *data, size_t size) {
  if (stream->piece == NULL && (stream->piece = malloc(LOG_PIECE + 1)) == NULL) {
    file->lost += size;
    return;
  }
  while (size > 0) {
    size_t room = LOG_PIECE - stream->used;
    size_t part = size < room ? size : room;
    memcpy(stream->piece + stream->used, data, part);
    stream->used += part;
    data += part;
    size -= part;
    if (stream->used == LOG_PIECE) {
      put_piece(file, stream);
    }
  }
}

void log_file_feed(struct log_file *file, struct log_stream *stream, const char *data, size_t size) {
  while (size > 0) {
    const char *newline = memchr(data, '\n', size);
    size_t part = newline == NULL ? size : (size_t)(newline - data) + 1;
    if (newline == NULL) {
      gather(file, stream, data, part);
    } else if (stream->used == 0 && part <= LOG_PIECE) {
      put_line(file, stream, data, part); /* the common case copies nothing */
    } else {
      gather(file, stream, data, part - 1);
      if (stream->piece != NULL) {
        stream->piece[stream->used] = '\n';
        put_line(file, stream, stream->piece, stream->used + 1);
      }
      stream->used = 0;
    }
    data += part;
    size -= part;
  }
}

void log_file_end(struct log_file *file, struct log_stream *stream) {
  if (stream->used > 0) {
    put_line(file, stream, stream->piece, stream->used);
    stream->used = 0;
  }
}

void log_file_flush(struct log_file *file) {
  write_batch(file);
}

void log_file_close(struct log_file *file) {
  if (file->path == NULL) {
    return;
  }
  write_batch(file);
  log_compress_abandon(file);
  if (file->fd >= 0) {
    close(file->fd);
  }
  str_free(&file->batch);
  free(file->path);
  *file = (struct log_file){.fd = -1, .lost = file->lost}; /* the exit record tells of it */
}

void log_stream_free(struct log_stream *stream) {
  free(stream->piece);
  stream->piece = NULL;
  stream->used = 0;
}
