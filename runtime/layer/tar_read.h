/*
 * Tar as a stream of entries: v7, ustar, GNU and pax, with sparse files in each of their forms. Bytes come from a
 * callback in pieces of any size and are passed on without a copy. What readers of tar do not agree on is refused.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/err.h"
#include "layer/pax.h"

/* Gives the next piece; size 0 at the end. */
typedef int (*tar_read_fn)(void *context, const void **ret_data, size_t *ret_size, struct err *err);

/* One entry; strings and lists belong to the reader until the next one is read. */
struct tar_item {
  const char *name;
  char type;        /* as in struct tar_entry */
  const char *link; /* target of '1' and '2', else "" */
  mode_t mode;
  int64_t uid;
  int64_t gid;
  int64_t size; /* of a file, holes included */
  struct timespec mtime;
  int64_t major;
  int64_t minor;
  const struct pax_xattr *xattrs;
  size_t xattr_count;
  bool sparse;
};

struct tar_reader;

int tar_reader_open(tar_read_fn read, void *context, struct tar_reader **ret_reader, struct err *err);
void tar_reader_free(struct tar_reader *reader);

/* Next entry, what is left of the last one passed over; *ret_item NULL at the end. */
int tar_reader_next(struct tar_reader *reader, const struct tar_item **ret_item, struct err *err);

/* Next piece of the entry's content: 1 with data and its place in the file, 0 at the end. */
int tar_reader_data(struct tar_reader *reader, const void **ret_data, size_t *ret_size, int64_t *ret_offset,
                    struct err *err);

/* Reads on to the end of the input: only zeroes may follow the end of the archive. */
int tar_reader_finish(struct tar_reader *reader, struct err *err);

/* Whether the input began with a header at all, however wrong its fields were. */
bool tar_reader_is_tar(const struct tar_reader *reader);
