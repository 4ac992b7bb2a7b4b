/*
 * What every fuzz target shares. A target is one file fuzz_NAME.c with LLVMFuzzerTestOneInput; its seeds lie in
 * seeds/NAME, words it should try in NAME.dict. A finding is any crash, sanitizer report or must() that does not hold.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property of the code under test. */
#define must(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                          \
      abort();                                                                                                         \
    }                                                                                                                  \
  } while (0)
