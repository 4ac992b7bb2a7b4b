/* Text: growing buffer, string lists, numbers, times. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"

struct str {
  char *data; /* NUL-terminated once something was added; NULL when empty */
  size_t size;
  size_t capacity;
};

#define STR_INIT                                                                                                       \
  { NULL, 0, 0 }

void str_free(struct str *str);
#define cleanup_str __attribute__((cleanup(str_free)))

/* 0 or -ENOMEM. */
int str_append(struct str *str, const void *data, size_t size);
int str_add(struct str *str, const char *text);
int str_addf(struct str *str, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* NULL-terminated list of strings, each owned. */
struct str_list {
  char **items; /* NULL only when nothing was ever added */
  size_t count;
};

void str_list_free(struct str_list *list);
#define cleanup_str_list __attribute__((cleanup(str_list_free)))
int str_list_add(struct str_list *list, const char *text);

/* malloc'ed printf; NULL when out of memory. */
char *str_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

bool str_equal(const char *a, const char *b);
bool str_starts(const char *text, const char *prefix);

/* Whole text is a decimal number in range. */
int str_to_long(const char *text, long long lowest, long long highest, long long *ret_value);

/* RFC 3339 in UTC with nanoseconds: 2026-01-02T03:04:05.678901234Z (31 bytes with NUL). */
#define TIME_TEXT_SIZE 36
void time_format(const struct timespec *at, char *buffer, size_t capacity);
void time_now(char *buffer, size_t capacity);
