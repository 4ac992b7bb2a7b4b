#include "fuzz/seal.h"

#include <stdio.h>
#include <string.h>

#include "layer/tar_header.h"

static void seal_one(uint8_t *block) {
  struct tar_block *header = (struct tar_block *)(void *)block;
  unsigned sum = 0;
  (void)memset(header->checksum, ' ', sizeof(header->checksum));
  for (size_t i = 0; i < TAR_BLOCK; i++) {
    sum += block[i];
  }
  (void)snprintf(header->checksum, sizeof(header->checksum), "%06o", sum);
}

void seal_headers(uint8_t *data, size_t size) {
  for (size_t at = 0; size - at >= TAR_BLOCK;) {
    struct tar_block block;
    (void)memcpy(&block, data + at, TAR_BLOCK);
    if (!tar_header_is_zero(&block)) {
      seal_one(data + at);
    }
    int64_t content = 0;
    at += TAR_BLOCK;
    if (tar_number_read(block.size, sizeof(block.size), &content) == 0 && content > 0) {
      uint64_t blocks = ((uint64_t)content + TAR_BLOCK - 1) / TAR_BLOCK;
      at = blocks < (size - at) / TAR_BLOCK ? at + blocks * TAR_BLOCK : size;
    }
  }
}
