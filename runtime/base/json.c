#include "base/json.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

#define JSON_DEPTH 64

int json_parse(const char *text, size_t size, struct json *ret_document, struct err *err) {
  if (size > INT32_MAX) {
    return err_set(err, EFBIG, "JSON of %zu bytes is too large", size);
  }
  struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH);
  if (tokener == NULL) {
    return err_oom(err);
  }
  /* Strict: one document, no trailing bytes, no comments or other extensions; UTF-8 checked. */
  json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
  struct json_object *value = json_tokener_parse_ex(tokener, text, (int)size);
  enum json_tokener_error failure = json_tokener_get_error(tokener);
  size_t end = json_tokener_get_parse_end(tokener);
  json_tokener_free(tokener);
  /* A bare number only ends with the input: the tokener still wants more. */
  for (size_t i = end; failure == json_tokener_success && i < size; i++) {
    if (strchr(" \t\r\n", text[i]) == NULL || text[i] == '\0') {
      failure = json_tokener_error_parse_unexpected;
      end = i;
    }
  }
  if (failure != json_tokener_success) {
    json_object_put(value);
    return err_set(err, EINVAL, "JSON: %s at byte %zu", json_tokener_error_desc(failure), end);
  }
  *ret_document = (struct json){.value = value, .path = ""};
  return 0;
}

int json_read_file(int dirfd, const char *path, struct json *ret_document, struct err *err) {
  cleanup_free char *text = NULL;
  size_t size = 0;
  int r = file_read(dirfd, path, &text, &size, err);
  if (r < 0) {
    return r;
  }
  r = json_parse(text, size, ret_document, err);
  return r < 0 ? err_prefix(err, "%s", path) : 0;
}

void json_free(struct json *document) {
  json_object_put(document->value);
  document->value = NULL;
}

static struct json child_of(const struct json *parent, const char *key, struct json_object *value) {
  struct json child = {.value = value, .path = ""};
  int length =
      snprintf(child.path, sizeof(child.path), "%s%s%s", parent->path, parent->path[0] == '\0' ? "" : ".", key);
  if (length >= (int)sizeof(child.path)) {
    memcpy(child.path + sizeof(child.path) - 4, "...", 4);
  }
  return child;
}

struct json json_get(const struct json *parent, const char *key) {
  struct json_object *value = NULL;
  if (json_object_is_type(parent->value, json_type_object)) {
    json_object_object_get_ex(parent->value, key, &value);
  }
  return child_of(parent, key, value);
}

bool json_is_object(const struct json *value) {
  return json_object_is_type(value->value, json_type_object);
}

bool json_is_array(const struct json *value) {
  return json_object_is_type(value->value, json_type_array);
}

bool json_is_string(const struct json *value) {
  return json_object_is_type(value->value, json_type_string);
}

static int wrong_type(const struct json *value, const char *expected, struct err *err) {
  return err_set(err, EINVAL, "%s: expected %s, got %s", value->path[0] == '\0' ? "document" : value->path, expected,
                 json_type_to_name(json_object_get_type(value->value)));
}

int json_object_at(const struct json *parent, const char *key, struct json *ret_child, struct err *err) {
  struct json child = json_get(parent, key);
  if (child.value != NULL && !json_is_object(&child)) {
    return wrong_type(&child, "an object", err);
  }
  *ret_child = child;
  return child.value != NULL;
}

int json_array_at(const struct json *parent, const char *key, struct json *ret_child, size_t *ret_count,
                  struct err *err) {
  struct json child = json_get(parent, key);
  if (child.value != NULL && !json_is_array(&child)) {
    return wrong_type(&child, "an array", err);
  }
  *ret_child = child;
  *ret_count = child.value == NULL ? 0 : json_object_array_length(child.value);
  return child.value != NULL;
}

int json_item(const struct json *array, size_t index, struct json *ret_item) {
  struct json item = {.value = json_object_array_get_idx(array->value, index), .path = ""};
  int length = snprintf(item.path, sizeof(item.path), "%s[%zu]", array->path, index);
  if (length >= (int)sizeof(item.path)) {
    memcpy(item.path + sizeof(item.path) - 4, "...", 4);
  }
  *ret_item = item;
  return 0;
}

bool json_next(const struct json *object, size_t *position, const char **ret_key, struct json *ret_value) {
  if (!json_is_object(object)) {
    return false;
  }
  /* Walked by position so that the caller needs no json-c type; objects here are small. */
  size_t at = 0;
  struct json_object_iterator it = json_object_iter_begin(object->value);
  struct json_object_iterator end = json_object_iter_end(object->value);
  while (!json_object_iter_equal(&it, &end)) {
    if (at++ == *position) {
      *ret_key = json_object_iter_peek_name(&it);
      *ret_value = child_of(object, *ret_key, json_object_iter_peek_value(&it));
      (*position)++;
      return true;
    }
    json_object_iter_next(&it);
  }
  return false;
}

int json_as_string(const struct json *value, const char **ret_value, struct err *err) {
  if (!json_is_string(value)) {
    return wrong_type(value, "a string", err);
  }
  const char *text = json_object_get_string(value->value);
  if (strlen(text) != (size_t)json_object_get_string_len(value->value)) {
    return err_set(err, EINVAL, "%s: contains a NUL byte", value->path);
  }
  *ret_value = text;
  return 1;
}

int json_as_long(const struct json *value, long long lowest, long long highest, long long *ret_value, struct err *err) {
  if (!json_object_is_type(value->value, json_type_int)) {
    return wrong_type(value, "an integer", err);
  }
  int64_t number = json_object_get_int64(value->value);
  /* json-c clamps what does not fit; a clamped unsigned value shows as INT64_MAX while the unsigned reading is larger.
   */
  bool clamped = number == INT64_MAX && json_object_get_uint64(value->value) > (uint64_t)INT64_MAX;
  if (clamped || number < lowest || number > highest) {
    return err_set(err, ERANGE, "%s: %s is not between %lld and %lld", value->path,
                   json_object_get_string(value->value), lowest, highest);
  }
  *ret_value = number;
  return 1;
}

int json_string_at(const struct json *parent, const char *key, const char **ret_value, struct err *err) {
  struct json child = json_get(parent, key);
  return child.value == NULL ? 0 : json_as_string(&child, ret_value, err);
}

int json_long_at(const struct json *parent, const char *key, long long lowest, long long highest, long long *ret_value,
                 struct err *err) {
  struct json child = json_get(parent, key);
  return child.value == NULL ? 0 : json_as_long(&child, lowest, highest, ret_value, err);
}

int json_int_at(const struct json *parent, const char *key, int lowest, int highest, int *ret_value, struct err *err) {
  long long value = 0;
  int r = json_long_at(parent, key, lowest, highest, &value, err);
  if (r > 0) {
    *ret_value = (int)value;
  }
  return r;
}

int json_u64_at(const struct json *parent, const char *key, uint64_t *ret_value, struct err *err) {
  struct json child = json_get(parent, key);
  if (child.value == NULL) {
    return 0;
  }
  if (!json_object_is_type(child.value, json_type_int)) {
    return wrong_type(&child, "an integer", err);
  }
  if (json_object_get_int64(child.value) < 0) {
    return err_set(err, ERANGE, "%s: must not be negative", child.path);
  }
  *ret_value = json_object_get_uint64(child.value);
  return 1;
}

int json_bool_at(const struct json *parent, const char *key, bool *ret_value, struct err *err) {
  struct json child = json_get(parent, key);
  if (child.value == NULL) {
    return 0;
  }
  if (!json_object_is_type(child.value, json_type_boolean)) {
    return wrong_type(&child, "true or false", err);
  }
  *ret_value = json_object_get_boolean(child.value) != 0;
  return 1;
}

int json_strings_at(const struct json *parent, const char *key, struct str_list *ret_list, struct err *err) {
  struct json array;
  size_t count = 0;
  int r = json_array_at(parent, key, &array, &count, err);
  if (r <= 0) {
    return r;
  }
  cleanup_str_list struct str_list list = {NULL, 0};
  for (size_t i = 0; i < count; i++) {
    struct json item;
    const char *text = NULL;
    json_item(&array, i, &item);
    r = json_as_string(&item, &text, err);
    if (r < 0) {
      return r;
    }
    if (str_list_add(&list, text) < 0) {
      return err_oom(err);
    }
  }
  *ret_list = list;
  list = (struct str_list){NULL, 0};
  return 1;
}

int json_need_string(const struct json *parent, const char *key, const char **ret_value, struct err *err) {
  int r = json_string_at(parent, key, ret_value, err);
  if (r == 0) {
    return err_set(err, EINVAL, "%s%s%s: missing", parent->path, parent->path[0] == '\0' ? "" : ".", key);
  }
  return r;
}

int json_need_long(const struct json *parent, const char *key, long long lowest, long long highest,
                   long long *ret_value, struct err *err) {
  int r = json_long_at(parent, key, lowest, highest, ret_value, err);
  if (r == 0) {
    return err_set(err, EINVAL, "%s%s%s: missing", parent->path, parent->path[0] == '\0' ? "" : ".", key);
  }
  return r;
}

const char *json_text(const struct json *value) {
  return json_object_to_json_string_ext(value->value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

/* Length of a well-formed UTF-8 sequence at `s`, 0 when malformed (overlong, surrogate, too large, cut). */
static size_t utf8_length(const unsigned char *s, size_t left) {
  static const struct {
    unsigned char mask, lead;
    size_t length;
    uint32_t lowest;
  } forms[] = {{0x80, 0x00, 1, 0}, {0xe0, 0xc0, 2, 0x80}, {0xf0, 0xe0, 3, 0x800}, {0xf8, 0xf0, 4, 0x10000}};
  for (size_t f = 0; f < array_length(forms); f++) {
    if ((s[0] & forms[f].mask) != forms[f].lead) {
      continue;
    }
    if (forms[f].length > left) {
      return 0;
    }
    uint32_t point = s[0] & (unsigned char)~forms[f].mask;
    for (size_t i = 1; i < forms[f].length; i++) {
      if ((s[i] & 0xc0) != 0x80) {
        return 0;
      }
      point = point << 6 | (s[i] & 0x3f);
    }
    bool fine = point >= forms[f].lowest && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
    return fine ? forms[f].length : 0;
  }
  return 0;
}

#define ESCAPE_MAX 6
#define GATHERED ((size_t)1024)

static bool is_plain(unsigned char c) {
  return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Writes the escape of an ASCII character; returns its length. */
static size_t put_escaped(char *to, unsigned char c) {
  static const char digits[] = "0123456789abcdef";
  static const char shorts[] = "\"\"\\\\\nn\rr\tt"; /* pairs: character, letter */
  for (size_t i = 0; i + 1 < sizeof(shorts); i += 2) {
    if ((unsigned char)shorts[i] == c) {
      to[0] = '\\';
      to[1] = shorts[i + 1];
      return 2;
    }
  }
  const char code[ESCAPE_MAX] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
  memcpy(to, code, sizeof(code));
  return sizeof(code);
}

/* Characters from `at` on that need work, gathered so that a log of them is not written byte by byte. Returns how many
 * were taken. */
static size_t put_special(const unsigned char *at, size_t size, char *to, size_t *ret_length) {
  size_t taken = 0, length = 0;
  while (taken < size && length < GATHERED - ESCAPE_MAX && !is_plain(at[taken])) {
    if (at[taken] < 0x80) {
      length += put_escaped(to + length, at[taken++]);
      continue;
    }
    size_t whole = utf8_length(at + taken, size - taken);
    memcpy(to + length, whole == 0 ? "\xef\xbf\xbd" : (const char *)at + taken, whole == 0 ? 3 : whole);
    length += whole == 0 ? 3 : whole;
    taken += whole == 0 ? 1 : whole;
  }
  *ret_length = length;
  return taken;
}

int json_add_quoted_n(struct str *out, const char *text, size_t size) {
  const unsigned char *s = (const unsigned char *)text;
  int r = str_append(out, "\"", 1);
  size_t i = 0;
  while (i < size && r == 0) {
    /* Plain runs go in one piece: log lines pass here. */
    size_t run = i;
    while (run < size && is_plain(s[run])) {
      run++;
    }
    if (run > i) {
      r = str_append(out, s + i, run - i);
      i = run;
      continue;
    }
    char gathered[GATHERED];
    size_t length = 0;
    i += put_special(s + i, size - i, gathered, &length);
    r = str_append(out, gathered, length);
  }
  return r < 0 ? r : str_append(out, "\"", 1);
}

int json_add_quoted(struct str *out, const char *text) {
  return json_add_quoted_n(out, text, strlen(text));
}
