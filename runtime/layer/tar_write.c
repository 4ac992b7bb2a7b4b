#include "layer/tar_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/fd.h"
#include "layer/tar_block.h"

#define BUFFER_SIZE ((size_t)256 << 10)

int tar_open(int fd, struct tar_out *ret_out, struct err *err) {
  char *buffer = malloc(BUFFER_SIZE);
  if (buffer == NULL) {
    return err_oom(err);
  }
  *ret_out = (struct tar_out){.fd = fd, .buffer = buffer, .used = 0};
  return 0;
}

void tar_free(struct tar_out *out) {
  free(out->buffer);
  out->buffer = NULL;
}

static int flush(struct tar_out *out, struct err *err) {
  int r = fd_write_all(out->fd, out->buffer, out->used, err);
  out->used = 0;
  return r;
}

int tar_data(struct tar_out *out, const void *data, size_t size, struct err *err) {
  const char *at = data;
  while (size > 0) {
    size_t part = BUFFER_SIZE - out->used < size ? BUFFER_SIZE - out->used : size;
    (void)memcpy(out->buffer + out->used, at, part);
    out->used += part;
    at += part;
    size -= part;
    if (out->used == BUFFER_SIZE) {
      int r = flush(out, err);
      if (r < 0) {
        return r;
      }
    }
  }
  return 0;
}

int tar_pad(struct tar_out *out, uint64_t size, struct err *err) {
  static const char zeroes[TAR_BLOCK];
  return size % TAR_BLOCK == 0 ? 0 : tar_data(out, zeroes, TAR_BLOCK - size % TAR_BLOCK, err);
}

int tar_end(struct tar_out *out, struct err *err) {
  static const char zeroes[2 * TAR_BLOCK];
  int r = tar_data(out, zeroes, sizeof(zeroes), err);
  return r < 0 ? r : flush(out, err);
}

/* "<length> <key>=<value>\n", where the length counts its own digits. */
int tar_add_record(struct str *records, const char *key, const void *value, size_t size) {
  size_t rest = strlen(key) + size + 3;
  size_t total = rest;
  char digits[24];
  for (;;) {
    size_t with = rest + (size_t)snprintf(digits, sizeof(digits), "%zu", total);
    if (with == total) {
      break;
    }
    total = with;
  }
  if (str_addf(records, "%s %s=", digits, key) < 0 || str_append(records, value, size) < 0) {
    return -1;
  }
  return str_append(records, "\n", 1);
}

static int add_number(struct str *records, const char *key, uint64_t value) {
  char digits[24];
  int length = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
  return tar_add_record(records, key, digits, (size_t)length);
}

/* Octal with a closing NUL; false when it does not fit. */
static bool put_number(char *field, size_t width, uint64_t value) {
  char digits[32];
  int length = snprintf(digits, sizeof(digits), "%0*llo", (int)width - 1, (unsigned long long)value);
  if ((size_t)length > width - 1) {
    (void)memset(field, '0', width - 1);
    return false;
  }
  (void)memcpy(field, digits, width);
  return true;
}

static void put_text(char *field, size_t width, const char *text) {
  size_t length = strlen(text);
  (void)memcpy(field, text, length < width ? length : width);
}

static int put_times(struct tar_block *block, const struct tar_entry *entry, struct str *records) {
  bool fits = entry->mtime.tv_sec >= 0 && put_number(block->mtime, sizeof(block->mtime), (uint64_t)entry->mtime.tv_sec);
  if (!fits) {
    (void)put_number(block->mtime, sizeof(block->mtime), 0);
  }
  if (fits && entry->mtime.tv_nsec == 0) {
    return 0;
  }
  /* -1.5 s is stored as -2 s and 500 ms. */
  long long seconds = entry->mtime.tv_sec;
  long nanoseconds = entry->mtime.tv_nsec;
  const char *sign = "";
  if (seconds < 0) {
    sign = "-";
    seconds = nanoseconds > 0 ? -(seconds + 1) : -seconds;
    nanoseconds = nanoseconds > 0 ? 1000000000L - nanoseconds : 0;
  }
  char text[48];
  int length = nanoseconds == 0 ? snprintf(text, sizeof(text), "%s%lld", sign, seconds)
                                : snprintf(text, sizeof(text), "%s%lld.%09ld", sign, seconds, nanoseconds);
  return tar_add_record(records, "mtime", text, (size_t)length);
}

static int fill(struct tar_block *block, const struct tar_entry *entry, struct str *records) {
  put_text(block->name, sizeof(block->name), entry->name);
  (void)put_number(block->mode, sizeof(block->mode), entry->mode & 07777);
  block->type = entry->type;
  (void)memcpy(block->magic, "ustar", 6);
  (void)memcpy(block->version, "00", 2);
  bool special = entry->type == '3' || entry->type == '4';
  (void)put_number(block->major, sizeof(block->major), special ? major(entry->device) : 0);
  (void)put_number(block->minor, sizeof(block->minor), special ? minor(entry->device) : 0);
  int r = 0;
  if (strlen(entry->name) > sizeof(block->name)) {
    r |= tar_add_record(records, "path", entry->name, strlen(entry->name));
  }
  if (entry->link != NULL) {
    put_text(block->link, sizeof(block->link), entry->link);
    if (strlen(entry->link) > sizeof(block->link)) {
      r |= tar_add_record(records, "linkpath", entry->link, strlen(entry->link));
    }
  }
  if (!put_number(block->uid, sizeof(block->uid), entry->uid)) {
    r |= add_number(records, "uid", entry->uid);
  }
  if (!put_number(block->gid, sizeof(block->gid), entry->gid)) {
    r |= add_number(records, "gid", entry->gid);
  }
  if (!put_number(block->size, sizeof(block->size), entry->size)) {
    r |= add_number(records, "size", entry->size);
  }
  r |= put_times(block, entry, records);
  if (entry->extra != NULL && entry->extra->size > 0) {
    r |= str_append(records, entry->extra->data, entry->extra->size);
  }
  return r;
}

static int write_block(struct tar_out *out, struct tar_block *block, struct err *err) {
  (void)memset(block->checksum, ' ', sizeof(block->checksum));
  unsigned sum = 0;
  for (size_t i = 0; i < TAR_BLOCK; i++) {
    sum += ((const unsigned char *)block)[i];
  }
  (void)snprintf(block->checksum, sizeof(block->checksum), "%06o", sum);
  block->checksum[7] = ' ';
  return tar_data(out, block, TAR_BLOCK, err);
}

int tar_header(struct tar_out *out, const struct tar_entry *entry, struct err *err) {
  struct tar_block block = {0};
  cleanup_str struct str records = STR_INIT;
  if (fill(&block, entry, &records) != 0) {
    return err_oom(err);
  }
  if (records.size > 0) {
    struct tar_block extended = {0};
    put_text(extended.name, sizeof(extended.name), "PaxHeader");
    (void)put_number(extended.mode, sizeof(extended.mode), 0644);
    (void)put_number(extended.uid, sizeof(extended.uid), 0);
    (void)put_number(extended.gid, sizeof(extended.gid), 0);
    (void)put_number(extended.size, sizeof(extended.size), records.size);
    (void)put_number(extended.mtime, sizeof(extended.mtime), 0);
    extended.type = 'x';
    (void)memcpy(extended.magic, "ustar", 6);
    (void)memcpy(extended.version, "00", 2);
    int r = write_block(out, &extended, err);
    if (r == 0) {
      r = tar_data(out, records.data, records.size, err);
    }
    if (r == 0) {
      r = tar_pad(out, records.size, err);
    }
    if (r < 0) {
      return r;
    }
  }
  return write_block(out, &block, err);
}
