/*
 * Typed reading of JSON over json-c, errors name the path ("process.user.uid: expected an integer, got string").
 * `struct json` is a value with the way to it; it borrows from the document, which the caller frees with json_free.
 * Getters: a missing or null key leaves *ret_value untouched and returns 0, so defaults are set by the caller;
 * returns 1 when present, -errno with `err` when it has the wrong type. json_need_* refuse a missing key with -EINVAL.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct json_object;

struct json {
  struct json_object *value; /* NULL: missing or null */
  char path[160];
};

/* Parses one document strictly: depth at most 64, nothing but white space after it, no embedded NUL in strings that
 * getters return. */
int json_parse(const char *text, size_t size, struct json *ret_document, struct err *err);
int json_read_file(int dirfd, const char *path, struct json *ret_document, struct err *err);
void json_free(struct json *document);
#define cleanup_json __attribute__((cleanup(json_free)))

/* Key of an object or item of an array as a value; value NULL when missing. Borrowed. */
int json_object_at(const struct json *parent, const char *key, struct json *ret_child,
                   struct err *err); /* child must be an object */
int json_array_at(const struct json *parent, const char *key, struct json *ret_child, size_t *ret_count,
                  struct err *err);
int json_item(const struct json *array, size_t index, struct json *ret_item);
struct json json_get(const struct json *parent, const char *key); /* any type */
bool json_is_object(const struct json *value);
bool json_is_array(const struct json *value);
bool json_is_string(const struct json *value);

/* Walks an object: call with *position 0 until it returns false. Key borrowed. */
bool json_next(const struct json *object, size_t *position, const char **ret_key, struct json *ret_value);

/* Strings are borrowed from the document. */
int json_string_at(const struct json *parent, const char *key, const char **ret_value, struct err *err);
int json_long_at(const struct json *parent, const char *key, long long lowest, long long highest, long long *ret_value,
                 struct err *err);
int json_int_at(const struct json *parent, const char *key, int lowest, int highest, int *ret_value, struct err *err);
int json_u64_at(const struct json *parent, const char *key, uint64_t *ret_value, struct err *err);
int json_bool_at(const struct json *parent, const char *key, bool *ret_value, struct err *err);
/* Copies all strings of an array; NULL list when missing. */
int json_strings_at(const struct json *parent, const char *key, struct str_list *ret_list, struct err *err);

int json_need_string(const struct json *parent, const char *key, const char **ret_value, struct err *err);
int json_need_long(const struct json *parent, const char *key, long long lowest, long long highest,
                   long long *ret_value, struct err *err);

/* The value itself (an item of an array). */
int json_as_string(const struct json *value, const char **ret_value, struct err *err);
int json_as_long(const struct json *value, long long lowest, long long highest, long long *ret_value, struct err *err);

/* Serialised again (compact); borrowed until the document goes. */
const char *json_text(const struct json *value);

/* Writing: text as a JSON string with quotes. Invalid UTF-8 becomes U+FFFD. 0 or -ENOMEM. */
int json_add_quoted(struct str *out, const char *text);
int json_add_quoted_n(struct str *out, const char *text, size_t size);
