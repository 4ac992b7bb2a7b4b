/* Where the data of a sparse file lies. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct sparse_piece {
  int64_t offset;
  int64_t size;
};

struct sparse {
  struct sparse_piece *pieces;
  size_t count;
  size_t capacity;
};

void sparse_free(struct sparse *sparse);

/* In order, without overlap, below 2^63: -EINVAL otherwise. Empty pieces only mark an end and are left out. */
int sparse_add(struct sparse *sparse, int64_t offset, int64_t size, struct err *err);

/* Whether the pieces fill exactly `stored` bytes and lie below `size`. */
int sparse_check(const struct sparse *sparse, int64_t stored, int64_t size, struct err *err);
