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
/* Of "stdout" and "stderr". */
#define STREAM_NAME_MAX 8

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
/* All of it. */
#define TIME_TEXT (SECONDS_TEXT + 10)

/* One nanosecond on. Carrying in the text is a tenth of formatting it, and with many short lines that is much of the
 * work. */
static void step(struct log_file *file) {
  if (++file->last.tv_nsec == 1000000000) {
    file->last.tv_nsec = 0;
    file->last.tv_sec++;
    time_format(&file->last, file->last_text, sizeof(file->last_text));
    return;
  }
  size_t digit = SECONDS_TEXT + 8;
  while (file->last_text[digit] == '9') {
    file->last_text[digit--] = '0';
  }
  file->last_text[digit]++;
}

/* The next line's time: when its bytes were read. Lines that came together, or after the clock went back, are a
 * nanosecond apart: distinct and in order for `since`. */
static const char *stamp(struct log_file *file) {
  const struct timespec *now = &file->now, *last = &file->last;
  if (now->tv_sec > last->tv_sec || (now->tv_sec == last->tv_sec && now->tv_nsec > last->tv_nsec)) {
    file->last = *now;
    time_format(now, file->last_text, sizeof(file->last_text));
    return file->last_text;
  }
  if (file->last_text[0] == '\0') {
    time_format(last, file->last_text, sizeof(file->last_text));
  }
  step(file);
  return file->last_text;
}

/* Bytes that stand for themselves in JSON. */
static size_t plain_length(const char *text, size_t size) {
  size_t length = 0;
  while (length < size && (unsigned char)text[length] >= 0x20 && (unsigned char)text[length] < 0x7f &&
         text[length] != '"' && text[length] != '\\') {
    length++;
  }
  return length;
}

#define HEAD "{\"log\":\""
#define MIDDLE "\",\"stream\":\""
#define BEFORE_TIME "\",\"time\":\""
#define END "\"}\n"

static size_t put(char *to, const char *from, size_t size) {
  memcpy(to, from, size);
  return size;
}

static int add_line(struct log_file *file, const struct log_stream *stream, const char *text, size_t size) {
  struct str *batch = &file->batch;
  size_t plain = plain_length(text, size);
  bool newline = plain + 1 == size && text[plain] == '\n';
  char rest[sizeof("\\n" MIDDLE BEFORE_TIME END) + STREAM_NAME_MAX + TIME_TEXT];
  size_t length = newline ? put(rest, "\\n", 2) : 0;
  int r;
  if (newline || plain == size) {
    r = str_append(batch, HEAD, sizeof(HEAD) - 1);
    r = r < 0 ? r : str_append(batch, text, plain);
    length += put(rest + length, MIDDLE, sizeof(MIDDLE) - 1);
  } else {
    r = str_append(batch, HEAD, sizeof(HEAD) - 2);
    r = r < 0 ? r : json_add_quoted_n(batch, text, size);
    length += put(rest + length, &MIDDLE[1], sizeof(MIDDLE) - 2);
  }
  length += put(rest + length, stream->name, strlen(stream->name));
  length += put(rest + length, BEFORE_TIME, sizeof(BEFORE_TIME) - 1);
  length += put(rest + length, stamp(file), TIME_TEXT);
  length += put(rest + length, END, sizeof(END) - 1);
  return r < 0 ? r : str_append(batch, rest, length);
}

static void put_line(struct log_file *file, const struct log_stream *stream, const char *text, size_t size) {
  if (file->max_size > 0 && file->size + file->batch.size >= file->max_size) {
    rotate(file);
  }
  size_t before = file->batch.size;
  if (add_line(file, stream, text, size) < 0) {
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
  clock_gettime(CLOCK_REALTIME, &file->now);
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
    clock_gettime(CLOCK_REALTIME, &file->now);
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
