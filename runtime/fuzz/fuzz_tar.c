/* The tar reader alone: the same entries whatever the size of the pieces that the bytes come in. */
#include <string.h>

#include "base/sha256.h"
#include "fuzz/fuzz.h"
#include "fuzz/seal.h"
#include "layer/tar_read.h"

struct input {
  const uint8_t *data;
  size_t size;
  size_t at;
  size_t piece;
};

static int read_piece(void *context, const void **ret_data, size_t *ret_size, struct err *err) {
  struct input *input = context;
  size_t left = input->size - input->at;
  *ret_data = input->data + input->at;
  *ret_size = left < input->piece ? left : input->piece;
  input->at += *ret_size;
  (void)err;
  return 0;
}

static uint64_t mix(uint64_t hash, const void *data, size_t size) {
  const unsigned char *bytes = data;
  for (size_t i = 0; i < size; i++) {
    hash = (hash ^ bytes[i]) * 0x100000001b3ULL;
  }
  return hash;
}

static uint64_t mix_item(uint64_t hash, const struct tar_item *item) {
  hash = mix(hash, item->name, strlen(item->name));
  hash = mix(hash, item->link, strlen(item->link));
  hash = mix(hash, &item->type, 1);
  hash = mix(hash, &item->size, sizeof(item->size));
  hash = mix(hash, &item->uid, sizeof(item->uid));
  hash = mix(hash, &item->mtime.tv_sec, sizeof(item->mtime.tv_sec));
  for (size_t i = 0; i < item->xattr_count; i++) {
    hash = mix(hash, item->xattrs[i].name, strlen(item->xattrs[i].name));
    hash = mix(hash, item->xattrs[i].value, item->xattrs[i].size);
  }
  return hash;
}

static int read_all(const uint8_t *data, size_t size, size_t piece, uint64_t *ret_hash) {
  struct input input = {data, size, 0, piece};
  struct tar_reader *reader = NULL;
  const struct tar_item *item = NULL;
  struct err err = ERR_INIT;
  uint64_t hash = 0xcbf29ce484222325ULL;
  must(tar_reader_open(read_piece, &input, &reader, &err) == 0);
  int r;
  while ((r = tar_reader_next(reader, &item, &err)) == 0 && item != NULL) {
    must(item->name[0] != '\0' && item->size >= 0 && strchr("0123456", item->type) != NULL);
    must(item->type == '0' || item->size == 0);
    must(item->mtime.tv_nsec >= 0 && item->mtime.tv_nsec < 1000000000L);
    hash = mix_item(hash, item);
    int64_t end = 0;
    const void *bytes = NULL;
    size_t count = 0;
    int64_t offset = 0;
    while ((r = tar_reader_data(reader, &bytes, &count, &offset, &err)) > 0) {
      must(count > 0 && offset >= end && offset <= item->size - (int64_t)count);
      end = offset + (int64_t)count;
      hash = mix(hash, bytes, count);
    }
    if (r < 0) {
      break;
    }
  }
  r = r < 0 ? r : tar_reader_finish(reader, &err);
  must(r == 0 || (err.code == -r && err.text[0] != '\0'));
  tar_reader_free(reader);
  *ret_hash = hash;
  return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint64_t whole = 0;
  uint64_t pieces = 0;
  int r = read_all(data, size, size + 1, &whole);
  must(read_all(data, size, 1 + size % 97, &pieces) == r && whole == pieces);
  return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed) {
  size = LLVMFuzzerMutate(data, size, capacity);
  if (seed % 16 != 0) {
    seal_headers(data, size);
  }
  return size;
}
