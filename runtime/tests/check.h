/* The least a unit test needs: say what was expected where, count, end with a status. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_failures;

#define check(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                          \
      check_failures++;                                                                                                \
    }                                                                                                                  \
  } while (0)

/* Where going on would only break worse. */
#define require(condition)                                                                                             \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                          \
      exit(EXIT_FAILURE);                                                                                              \
    }                                                                                                                  \
  } while (0)

#define check_text(actual, expected)                                                                                   \
  do {                                                                                                                 \
    const char *actual_ = (actual), *expected_ = (expected);                                                           \
    if (actual_ == NULL || strcmp(actual_, expected_) != 0) {                                                          \
      fprintf(stderr, "%s:%d: expected '%s', got '%s'\n", __FILE__, __LINE__, expected_,                               \
              actual_ == NULL ? "(nothing)" : actual_);                                                                \
      check_failures++;                                                                                                \
    }                                                                                                                  \
  } while (0)

#define check_contains(actual, part)                                                                                   \
  do {                                                                                                                 \
    if (strstr((actual), (part)) == NULL) {                                                                            \
      fprintf(stderr, "%s:%d: '%s' is not in '%s'\n", __FILE__, __LINE__, (part), (actual));                           \
      check_failures++;                                                                                                \
    }                                                                                                                  \
  } while (0)

#define check_done() return check_failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE
