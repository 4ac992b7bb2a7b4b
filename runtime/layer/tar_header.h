/*
 * A header block, decoded strictly: what other readers of tar take in different ways is refused, so that nobody else
 * sees another archive in the same bytes. Pure; every input is hostile.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "layer/tar_block.h"

enum tar_format { TAR_V7, TAR_USTAR, TAR_GNU };

struct tar_header {
  enum tar_format format;
  char type;
  char name[sizeof(((struct tar_block *)0)->prefix) + 1 + sizeof(((struct tar_block *)0)->name) + 1];
  char link[sizeof(((struct tar_block *)0)->link) + 1];
  mode_t mode;
  int64_t uid;
  int64_t gid;
  int64_t size;
  int64_t mtime;
  int64_t major; /* of devices, else 0 */
  int64_t minor;
};

bool tar_header_is_zero(const struct tar_block *block);
/* Whether the checksum is right: else this is no header at all. */
bool tar_header_is_sound(const struct tar_block *block);
int tar_header_read(const struct tar_block *block, struct tar_header *ret_header, struct err *err);

/* A number field: octal, or base 256 with the two lead bytes that everyone knows. */
int tar_number_read(const char *field, size_t width, int64_t *ret_value);
