#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAIL 100 /* bytes at the end that survive shortening */

static int positive(int code) {
  code = abs(code);
  return code == 0 ? EINVAL : code;
}

int err_set(struct err *err, int code, const char *format, ...) {
  code = positive(code);
  if (err != NULL) {
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    err->code = code;
  }
  return -code;
}

static int set_with_reason(struct err *err, int code, const char *format, va_list args) {
  code = positive(code);
  if (err != NULL) {
    int length = vsnprintf(err->text, sizeof(err->text), format, args);
    /* A text too long loses its end, not the reason. */
    const char *reason = strerror(code);
    size_t most = sizeof(err->text) - strlen(reason) - strlen("…: ") - 1;
    if (length >= 0 && (size_t)length > most) {
      snprintf(err->text + most, sizeof(err->text) - most, "…: %s", reason);
    } else if (length >= 0) {
      snprintf(err->text + length, sizeof(err->text) - (size_t)length, ": %s", reason);
    }
    err->code = code;
  }
  return -code;
}

int err_errno(struct err *err, const char *format, ...) {
  int code = errno;
  va_list args;
  va_start(args, format);
  int r = set_with_reason(err, code, format, args);
  va_end(args);
  return r;
}

int err_code(struct err *err, int code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int r = set_with_reason(err, code, format, args);
  va_end(args);
  return r;
}

int err_prefix(struct err *err, const char *format, ...) {
  if (err == NULL) {
    return -EINVAL;
  }
  char old[sizeof(err->text)];
  memcpy(old, err->text, sizeof(old));
  va_list args;
  va_start(args, format);
  int length = vsnprintf(err->text, sizeof(err->text), format, args);
  va_end(args);
  size_t room = length < 0 || (size_t)length >= sizeof(err->text) ? 0 : sizeof(err->text) - (size_t)length;
  const size_t mark = strlen("…");
  if (strlen(old) + 3 <= room) {
    snprintf(err->text + length, room, ": %s", old);
  } else if (room > TAIL + mark + 4) {
    /* The middle goes: the reason stands at the end. */
    size_t head = room - 3 - TAIL - mark;
    snprintf(err->text + length, room, ": %.*s…%s", (int)head, old, old + strlen(old) - TAIL);
  }
  return -positive(err->code);
}

int err_oom(struct err *err) {
  return err_set(err, ENOMEM, "out of memory");
}
