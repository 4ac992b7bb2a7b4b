#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void str_free(struct str *str) {
  free(str->data);
  *str = (struct str)STR_INIT;
}

static int str_reserve(struct str *str, size_t more) {
  size_t needed = str->size + more + 1;
  if (needed <= str->capacity) {
    return 0;
  }
  size_t capacity = str->capacity < 64 ? 64 : str->capacity;
  while (capacity < needed) {
    capacity *= 2;
  }
  char *grown = realloc(str->data, capacity);
  if (grown == NULL) {
    return -ENOMEM;
  }
  str->data = grown;
  str->capacity = capacity;
  return 0;
}

int str_append(struct str *str, const void *data, size_t size) {
  if (str_reserve(str, size) < 0) {
    return -ENOMEM;
  }
  if (size > 0) {
    memcpy(str->data + str->size, data, size);
  }
  str->size += size;
  str->data[str->size] = '\0';
  return 0;
}

int str_add(struct str *str, const char *text) {
  return str_append(str, text, strlen(text));
}

int str_addf(struct str *str, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int length = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (length < 0 || str_reserve(str, (size_t)length) < 0) {
    return -ENOMEM;
  }
  va_start(args, format);
  vsnprintf(str->data + str->size, (size_t)length + 1, format, args);
  va_end(args);
  str->size += (size_t)length;
  return 0;
}

void str_list_free(struct str_list *list) {
  for (size_t i = 0; i < list->count; i++) {
    free(list->items[i]);
  }
  free(list->items);
  *list = (struct str_list){NULL, 0};
}

int str_list_add(struct str_list *list, const char *text) {
  char *copy = strdup(text);
  char **grown = copy == NULL ? NULL : realloc(list->items, (list->count + 2) * sizeof(char *));
  if (grown == NULL) {
    free(copy);
    return -ENOMEM;
  }
  list->items = grown;
  list->items[list->count++] = copy;
  list->items[list->count] = NULL;
  return 0;
}

char *str_format(const char *format, ...) {
  char *text = NULL;
  va_list args;
  va_start(args, format);
  int length = vasprintf(&text, format, args);
  va_end(args);
  return length < 0 ? NULL : text;
}

bool str_equal(const char *a, const char *b) {
  return a != NULL && b != NULL && strcmp(a, b) == 0;
}

bool str_starts(const char *text, const char *prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

int str_to_long(const char *text, long long lowest, long long highest, long long *ret_value) {
  char *end = NULL;
  errno = 0;
  if (text == NULL || !((text[0] >= '0' && text[0] <= '9') || (text[0] == '-' && text[1] >= '0' && text[1] <= '9'))) {
    return -EINVAL;
  }
  long long value = strtoll(text, &end, 10);
  if (errno == ERANGE || value < lowest || value > highest) {
    return -ERANGE;
  }
  if (*end != '\0') {
    return -EINVAL;
  }
  *ret_value = value;
  return 0;
}

void time_format(const struct timespec *at, char *buffer, size_t capacity) {
  struct tm parts;
  char seconds[32];
  gmtime_r(&at->tv_sec, &parts);
  strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &parts);
  snprintf(buffer, capacity, "%s.%09ldZ", seconds, at->tv_nsec);
}

void time_now(char *buffer, size_t capacity) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  time_format(&now, buffer, capacity);
}
