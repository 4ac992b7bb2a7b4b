/*
 * One error record. Fallible functions return 0 or -errno and fill `struct err` where errno is fresh:
 * "cannot <do> <object>: <errno in words>". Callers prefix, only main of a verb prints.
 * `err` may be NULL everywhere: then only the number is reported.
 */
#pragma once

#include <stdarg.h>

struct err {
  int code; /* positive errno */
  char text[1000];
};

#define ERR_INIT                                                                                                       \
  { 0, "" }

/* Text as given, without errno in words. `code` may have either sign. Returns -|code|. */
int err_set(struct err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Text, then ": " and the current errno in words. Returns -errno. */
int err_errno(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a number at hand (either sign). Returns -|code|. */
int err_code(struct err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "text: " in front of what is there. Returns -code of the error. */
int err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Out of memory, the one text. Returns -ENOMEM. */
int err_oom(struct err *err);
