#include "layer/tar_header.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool tar_header_is_zero(const struct tar_block *block) {
  const unsigned char *bytes = (const unsigned char *)block;
  return bytes[0] == 0 && memcmp(bytes, bytes + 1, TAR_BLOCK - 1) == 0;
}

static int read_base256(const unsigned char *field, size_t width, int64_t *ret_value) {
  bool negative = field[0] == 0xff;
  if (!negative && field[0] != 0x80) {
    return -EINVAL;
  }
  uint64_t value = negative ? UINT64_MAX : 0;
  for (size_t i = 1; i < width; i++) {
    /* What is shifted out must only repeat the sign. */
    if (value >> 56 != (negative ? 0xffU : 0U)) {
      return -EINVAL;
    }
    value = value << 8 | field[i];
  }
  if ((value >> 63 != 0) != negative) {
    return -EINVAL;
  }
  *ret_value = (int64_t)value;
  return 0;
}

int tar_number_read(const char *field, size_t width, int64_t *ret_value) {
  if ((unsigned char)field[0] >= 0x80) {
    return read_base256((const unsigned char *)field, width, ret_value);
  }
  size_t at = 0;
  while (at < width && field[at] == ' ') {
    at++;
  }
  int64_t value = 0;
  for (; at < width && field[at] >= '0' && field[at] <= '7'; at++) {
    value = value << 3 | (field[at] - '0'); /* 12 digits at most: 36 bits */
  }
  while (at < width && field[at] == ' ') {
    at++;
  }
  /* Behind a NUL nobody looks. */
  if (at < width && field[at] != '\0') {
    return -EINVAL;
  }
  *ret_value = value;
  return 0;
}

bool tar_header_is_sound(const struct tar_block *block) {
  const unsigned char *bytes = (const unsigned char *)block;
  int64_t expected = 0;
  if (tar_number_read(block->checksum, sizeof(block->checksum), &expected) < 0) {
    return false;
  }
  int64_t plain = 0;
  int64_t with_sign = 0; /* as some old programs summed */
  for (size_t i = 0; i < TAR_BLOCK; i++) {
    bool inside = i >= offsetof(struct tar_block, checksum) && i < offsetof(struct tar_block, type);
    unsigned char byte = inside ? ' ' : bytes[i];
    plain += byte;
    with_sign += (signed char)byte;
  }
  return expected == plain || expected == with_sign;
}

static int read_field(const char *what, const char *field, size_t width, int64_t *ret_value, struct err *err) {
  return tar_number_read(field, width, ret_value) < 0 ? err_set(err, EINVAL, "its %s is no number", what) : 0;
}

static int read_format(const struct tar_block *block, enum tar_format *ret_format, struct err *err) {
  static const struct tar_block nothing;
  bool no_prefix = memcmp(block->prefix, &nothing, sizeof(block->prefix)) == 0;
  if (memcmp(block->magic, "ustar", 6) == 0) {
    *ret_format = TAR_USTAR;
  } else if (memcmp(block->magic, "ustar  ", 8) == 0) {
    *ret_format = TAR_GNU;
  } else if (memcmp(block->magic, &nothing, 8) == 0 && no_prefix) {
    *ret_format = TAR_V7;
  } else {
    return err_set(err, EINVAL, "its header is in no known form");
  }
  /* Times and offsets of incremental archives: some readers take them for a part of the name. */
  if (*ret_format == TAR_GNU && block->type != 'S' && !no_prefix) {
    return err_set(err, EINVAL, "its header is of an incremental archive, which readers take in different ways");
  }
  return 0;
}

static int read_device(const struct tar_block *block, struct tar_header *header, struct err *err) {
  if (header->type != '3' && header->type != '4') {
    return 0;
  }
  int r = read_field("device number", block->major, sizeof(block->major), &header->major, err);
  return r < 0 ? r : read_field("device number", block->minor, sizeof(block->minor), &header->minor, err);
}

int tar_header_read(const struct tar_block *block, struct tar_header *ret_header, struct err *err) {
  struct tar_header header = {.type = block->type};
  int r = read_format(block, &header.format, err);
  if (r < 0) {
    return r;
  }
  const struct {
    const char *what;
    const char *field;
    size_t width;
    int64_t *value;
  } numbers[] = {
      {"owner", block->uid, sizeof(block->uid), &header.uid},
      {"group", block->gid, sizeof(block->gid), &header.gid},
      {"size", block->size, sizeof(block->size), &header.size},
      {"time", block->mtime, sizeof(block->mtime), &header.mtime},
  };
  for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
    r = read_field(numbers[i].what, numbers[i].field, numbers[i].width, numbers[i].value, err);
    if (r < 0) {
      return r;
    }
  }
  int64_t mode = 0;
  r = read_field("mode", block->mode, sizeof(block->mode), &mode, err);
  if (r == 0) {
    r = read_device(block, &header, err);
  }
  if (r < 0) {
    return r;
  }
  if (header.size < 0) {
    return err_set(err, EINVAL, "its size is negative");
  }
  header.mode = (mode_t)mode & 07777;
  size_t prefix = header.format == TAR_USTAR ? strnlen(block->prefix, sizeof(block->prefix)) : 0;
  (void)snprintf(header.name, sizeof(header.name), "%.*s%s%.*s", (int)prefix, block->prefix, prefix > 0 ? "/" : "",
                 (int)sizeof(block->name), block->name);
  (void)snprintf(header.link, sizeof(header.link), "%.*s", (int)sizeof(block->link), block->link);
  *ret_header = header;
  return 0;
}
