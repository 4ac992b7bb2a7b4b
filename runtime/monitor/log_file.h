/*
 * The json-file log: one line {"log":"…\n","stream":"stdout","time":"…"} per line of output, lines longer than 16 KiB
 * in pieces without newline, rotation by size before a line is written. Lines are gathered and written in batches; the
 * order is the order of feeding. A write that fails is undone and counted, it never stops the container.
 * Old files are path.1 (the newest), path.2, …; with `compress` a child of low priority makes path.N.gz of path.N, one
 * file at a time. Rotation never waits for it: a file that is not compressed yet moves on as it is.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/err.h"
#include "base/str.h"

#define LOG_PIECE ((size_t)16384)

/* One output stream: its name and the line under way. */
struct log_stream {
  const char *name;
  char *piece; /* LOG_PIECE bytes, made when first needed */
  size_t used;
};

struct log_file {
  char *path;
  int fd;            /* -1: the file could not be opened again after a rotation; tried again at every batch */
  uint64_t size;     /* bytes in the file */
  uint64_t max_size; /* 0: no rotation */
  int max_file;      /* files kept, the live one included */
  bool compress;
  pid_t compressor; /* 0: none runs */
  int compressing;  /* number of the file it works on now: rotation moves it on */
  ino_t compressing_inode;
  struct str batch;
  struct timespec now;            /* when the bytes at hand were read */
  struct timespec last;           /* time of the last line: no two lines share one */
  char last_text[TIME_TEXT_SIZE]; /* of `last`; digits below the second are changed in place */
  uint64_t lost;                  /* bytes of lines that could not be written */
};

#define LOG_FILE_NONE                                                                                                  \
  { .fd = -1 }

struct log_options {
  uint64_t max_size;
  int max_file;
  bool compress;
};

/* Appends to what is there; a line cut short by a crash is removed. */
int log_file_open(struct log_file *ret_file, const char *path, const struct log_options *options, struct err *err);

/* Takes output bytes. Call log_file_flush when there is no more for now. */
void log_file_feed(struct log_file *file, struct log_stream *stream, const char *data, size_t size);

/* The stream ended: the rest of a line without newline is written as a piece. */
void log_file_end(struct log_file *file, struct log_stream *stream);

void log_file_flush(struct log_file *file);
void log_file_close(struct log_file *file);

/* log_rotate.c. Moves every file one number on; negative: nothing to write to but the old live file. */
int log_rotate(struct log_file *file);
/* Compresses the oldest rotated file that is not yet; without effect while a compressor runs. */
void log_compress(struct log_file *file);
/* A child ended. False: it was not the compressor. */
bool log_compressed(struct log_file *file, pid_t pid, int status);
/* Ends a compressor under way; the file stays as it is, the next monitor of the log compresses it. */
void log_compress_abandon(struct log_file *file);
void log_stream_free(struct log_stream *stream);
