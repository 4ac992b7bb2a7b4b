/*
 * Tar as POSIX.1-2001 (pax) on a descriptor: the same input gives the same bytes. Extended headers appear only where
 * the plain header cannot say it: long names, large numbers, nanoseconds, attributes.
 */
#pragma once

#include <stdint.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/str.h"

struct tar_entry {
  const char *name; /* directories with a trailing slash */
  char type;        /* '0' file, '1' hard link, '2' symbolic link, '3' character, '4' block, '5' directory, '6' fifo */
  const char *link; /* target of '1' and '2', else NULL */
  mode_t mode;
  uint64_t uid;
  uint64_t gid;
  uint64_t size; /* of '0' */
  struct timespec mtime;
  dev_t device;
  const struct str *extra; /* finished pax records (tar_add_record) or NULL */
};

struct tar_out {
  int fd;
  char *buffer;
  size_t used;
};

int tar_open(int fd, struct tar_out *ret_out, struct err *err);
void tar_free(struct tar_out *out);
#define cleanup_tar __attribute__((cleanup(tar_free)))

int tar_add_record(struct str *records, const char *key, const void *value, size_t size);
int tar_header(struct tar_out *out, const struct tar_entry *entry, struct err *err);
int tar_data(struct tar_out *out, const void *data, size_t size, struct err *err);
/* Zeroes up to the next block after `size` bytes of content. */
int tar_pad(struct tar_out *out, uint64_t size, struct err *err);
int tar_end(struct tar_out *out, struct err *err);
