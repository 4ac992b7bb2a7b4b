/* SHA-256, for names of cached things. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct sha256 {
  uint32_t state[8];
  uint64_t size;
  unsigned char block[64];
};

void sha256_start(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *data, size_t size);
/* 64 hexadecimal digits and NUL. */
void sha256_hex(struct sha256 *hash, char ret_text[65]);
