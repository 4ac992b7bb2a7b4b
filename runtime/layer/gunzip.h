/* gzip by zlib, which checks sums and lengths (libarchive does not): members in a row, zeroes behind them allowed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "layer/tar_read.h"

struct gunzip;

static inline bool gunzip_is_gzip(const unsigned char *data, size_t size) {
  return size >= 2 && data[0] == 0x1f && data[1] == 0x8b;
}

/* `read` gives the compressed bytes. */
int gunzip_open(tar_read_fn read, void *context, struct gunzip **ret_gunzip, struct err *err);
void gunzip_free(struct gunzip *gunzip);

/* Next piece; size 0 at the end. */
int gunzip_read(struct gunzip *gunzip, const void **ret_data, size_t *ret_size, struct err *err);
