#include "layer/sparse.h"

#include <errno.h>
#include <stdlib.h>

void sparse_free(struct sparse *sparse) {
  free(sparse->pieces);
  *sparse = (struct sparse){.pieces = NULL};
}

static int64_t end_of(const struct sparse *sparse) {
  const struct sparse_piece *last = sparse->count == 0 ? NULL : &sparse->pieces[sparse->count - 1];
  return last == NULL ? 0 : last->offset + last->size;
}

int sparse_add(struct sparse *sparse, int64_t offset, int64_t size, struct err *err) {
  if (offset < 0 || size < 0 || size > INT64_MAX - offset || offset < end_of(sparse)) {
    return err_set(err, EINVAL, "its map of holes makes no sense");
  }
  if (size == 0) {
    return 0;
  }
  if (sparse->count == sparse->capacity) {
    size_t capacity = sparse->capacity == 0 ? 16 : sparse->capacity * 2;
    struct sparse_piece *grown = realloc(sparse->pieces, capacity * sizeof(*grown));
    if (grown == NULL) {
      return err_oom(err);
    }
    sparse->pieces = grown;
    sparse->capacity = capacity;
  }
  sparse->pieces[sparse->count++] = (struct sparse_piece){offset, size};
  return 0;
}

int sparse_check(const struct sparse *sparse, int64_t stored, int64_t size, struct err *err) {
  int64_t sum = 0;
  for (size_t i = 0; i < sparse->count; i++) {
    sum += sparse->pieces[i].size; /* without overlap below 2^63: no overflow */
  }
  if (sum != stored || end_of(sparse) > size) {
    return err_set(err, EINVAL, "its map of holes does not fit its size");
  }
  return 0;
}
