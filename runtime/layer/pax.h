/*
 * The records of an extended header (pax): "<length> <key>=<value>\n". What we act on is decoded and checked, a key
 * that comes twice or empties a value is refused. Pure; every input is hostile.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/err.h"
#include "layer/sparse.h"

#define PAX_SIZE_MAX ((size_t)1 << 20)

struct pax_xattr {
  const char *name;
  const char *value;
  size_t size;
};

/* Strings lie in the text that was read. */
struct pax {
  const char *path;
  const char *link;
  int64_t size; /* -1: not given, as the next two */
  int64_t uid;
  int64_t gid;
  bool has_mtime;
  struct timespec mtime;
  struct pax_xattr *xattrs; /* by name */
  size_t xattr_count;
  size_t xattr_capacity;
  /* Sparse files: a map in records (0.0, 0.1), or in front of the data (1.0). */
  bool sparse;
  bool sparse_in_data;
  int64_t real_size; /* -1: not given */
  const char *sparse_name;
  struct sparse map;
};

#define PAX_INIT                                                                                                       \
  { .size = -1, .uid = -1, .gid = -1, .real_size = -1 }

void pax_free(struct pax *pax);

/* `text` is changed (values end in NUL) and must outlive the result. */
int pax_read(char *text, size_t size, struct pax *pax, struct err *err);

/* A global header: only one that changes nothing. */
int pax_read_global(char *text, size_t size, struct err *err);

/* Digits only, at most INT64_MAX. `end` is the first byte behind the number, or NULL for a whole text. */
int pax_number(const char *text, const char **ret_end, int64_t *ret_value);
