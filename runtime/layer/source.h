/*
 * An archive on a descriptor: decompressed (gzip, zstd; with `all_filters` also bzip2 and xz), the tar bytes hashed and
 * counted, its entries read. Nothing here touches a tree.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "layer/tar_read.h"

struct limits {
  uint64_t bytes;   /* of the uncompressed tar */
  uint64_t content; /* of all files, holes included */
  uint64_t entries;
  uint64_t ratio; /* uncompressed : compressed, watched once `ratio_from` bytes came out */
  uint64_t ratio_from;
};

#define LIMITS_DEFAULT                                                                                                 \
  {                                                                                                                    \
    .bytes = (uint64_t)256 << 30, .content = (uint64_t)256 << 30, .entries = 2000000, .ratio = 400,                    \
    .ratio_from = (uint64_t)1 << 30                                                                                    \
  }

struct source;

#define DIGEST_TEXT_SIZE 72 /* "sha256:", 64 digits, NUL */

int source_open(int fd, bool all_filters, const struct limits *limits, struct source **ret_source, struct err *err);
void source_free(struct source *source);
static inline void source_free_at(struct source **at) {
  source_free(*at);
}
#define cleanup_source __attribute__((cleanup(source_free_at)))

/* Decompresses and hashes in a second thread from now on: after the last change of namespace, before the first entry.
 */
int source_read_ahead(struct source *source, struct err *err);

/* Next entry, owned by the source; *ret_item NULL at the end of the tar. */
int source_next(struct source *source, const struct tar_item **ret_item, struct err *err);

/* After the first entry, or the failure to read it: whether this was a tar at all. */
bool source_is_tar(const struct source *source);

/* Next piece of the entry's content: 1 with data, 0 at its end. */
int source_data(struct source *source, const void **ret_data, size_t *ret_size, int64_t *ret_offset, struct err *err);

/* Reads what follows the end of the tar (zeroes are normal, and part of the digest; anything else is refused), then
 * gives the digest of all uncompressed bytes. */
int source_finish(struct source *source, char digest[DIGEST_TEXT_SIZE], struct err *err);
