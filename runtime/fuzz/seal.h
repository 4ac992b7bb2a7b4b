/* Mutation of archives that keeps the checksums right: else every change ends at the first header. */
#pragma once

#include <stddef.h>
#include <stdint.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t capacity);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed);

/* Every header from `data` on gets the checksum of its bytes. */
void seal_headers(uint8_t *data, size_t size);
