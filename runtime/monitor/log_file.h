/*
 * The json-file log: one line {"log":"…\n","stream":"stdout","time":"…"} per line of output, lines longer than 16 KiB
 * in pieces without newline, rotation by size before a line is written. Lines are gathered and written in batches; the
 * order is the order of feeding. A write that fails is undone and counted, it never stops the container.
 */
#pragma once

#include <stdint.h>
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
  struct str batch;
  struct timespec last;           /* time of the last line: no two lines share one */
  char last_text[TIME_TEXT_SIZE]; /* of `last`; digits below the second are changed in place */
  uint64_t lost;                  /* bytes of lines that could not be written */
};

#define LOG_FILE_NONE                                                                                                  \
  { .fd = -1 }

/* Appends to what is there; a line cut short by a crash is removed. */
int log_file_open(struct log_file *ret_file, const char *path, uint64_t max_size, int max_file, struct err *err);

/* Takes output bytes. Call log_file_flush when there is no more for now. */
void log_file_feed(struct log_file *file, struct log_stream *stream, const char *data, size_t size);

/* The stream ended: the rest of a line without newline is written as a piece. */
void log_file_end(struct log_file *file, struct log_stream *stream);

void log_file_flush(struct log_file *file);
void log_file_close(struct log_file *file);
void log_stream_free(struct log_stream *stream);
