#include "cgroup/systemd/property.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "org.systemd.property."

/* Of the text form: type keywords, their letters, and what fits. */
static const struct number_type {
  const char *keyword;
  char letter;
  uint8_t size;
  bool is_signed;
} number_types[] = {
    {"int32", 'i', 4, true},   {"byte", 'y', 1, false}, {"int16", 'n', 2, true},   {"uint16", 'q', 2, false},
    {"uint32", 'u', 4, false}, {"int64", 'x', 8, true}, {"uint64", 't', 8, false},
};

static const struct number_type *number_type(char letter) {
  for (size_t i = 0; i < array_length(number_types); i++) {
    if (number_types[i].letter == letter) {
      return &number_types[i];
    }
  }
  return NULL;
}

struct reader {
  const char *at;
  struct bus_body *body;
  bool seconds; /* a number counts seconds and is told in microseconds */
};

static bool read_word(struct reader *reader, const char *word) {
  size_t length = strlen(word);
  if (strncmp(reader->at, word, length) != 0 || isalnum((unsigned char)reader->at[length])) {
    return false;
  }
  reader->at += length;
  return true;
}

/* Never beyond the end. */
static bool read_mark(struct reader *reader, char mark) {
  bool there = *reader->at == mark;
  reader->at += there;
  return there;
}

static void skip_blanks(struct reader *reader) {
  reader->at += strspn(reader->at, " \t\n");
}

/* "uint64 5" or "@t 5": the type in front of a value; 0 when there is none. */
static char read_type(struct reader *reader) {
  char letter = 0;
  if (reader->at[0] == '@' && reader->at[1] != '\0' && reader->at[1] != 'a') {
    letter = reader->at[1];
    reader->at += 2;
  } else if (read_word(reader, "boolean")) {
    letter = 'b';
  } else if (read_word(reader, "string")) {
    letter = 's';
  }
  for (size_t i = 0; letter == 0 && i < array_length(number_types); i++) {
    letter = read_word(reader, number_types[i].keyword) ? number_types[i].letter : '\0';
  }
  skip_blanks(reader);
  return letter;
}

/* What the value looks like when nothing says its type. */
static char guess_type(const struct reader *reader) {
  char first = reader->at[0];
  return first == '\'' || first == '"' ? 's' : first == 't' || first == 'f' ? 'b' : 'i';
}

static bool put_text(struct reader *reader) {
  cleanup_str struct str text = STR_INIT;
  char quote = *reader->at;
  bool good = (quote == '\'' || quote == '"') && str_add(&text, "") == 0;
  const char *at = good ? reader->at + 1 : reader->at;
  for (; good && *at != quote; at++) {
    bool escaped = *at == '\\';
    at += escaped;
    /* Of the escapes only those that stand for themselves. */
    good = *at != '\0' && (!escaped || strchr("\\'\"", *at) != NULL) && str_append(&text, at, 1) == 0;
  }
  if (good) {
    reader->at = at + 1;
    bus_put_text(reader->body, text.data);
  }
  return good;
}

static bool put_flag(struct reader *reader) {
  bool on = read_word(reader, "true");
  if (!on && !read_word(reader, "false")) {
    return false;
  }
  bus_put_u32(reader->body, on);
  return true;
}

static bool fits(const struct number_type *type, bool negative, uint64_t size) {
  unsigned bits = type->size * 8U - type->is_signed;
  uint64_t most = bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
  return negative ? type->is_signed && size <= most + 1 : size <= most;
}

static bool put_number(struct reader *reader, const struct number_type *type) {
  bool negative = reader->at[0] == '-';
  const char *digits = reader->at + negative;
  char *end = NULL;
  errno = 0;
  uint64_t value = isdigit((unsigned char)digits[0]) ? strtoull(digits, &end, 0) : 0;
  if (end == NULL || errno != 0 || !fits(type, negative, value) || isalnum((unsigned char)*end) || *end == '.') {
    return false;
  }
  reader->at = end;
  if (reader->seconds) {
    /* The largest number means no end, whatever the unit. */
    uint64_t most = UINT64_MAX / 1000000;
    bus_put_u64(reader->body, value > most ? UINT64_MAX : value * 1000000);
    return !negative;
  }
  uint64_t bits = negative ? ~value + 1 : value;
  unsigned char bytes[8];
  for (size_t i = 0; i < type->size; i++) {
    size_t place = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? i : type->size - 1 - i;
    bytes[place] = (unsigned char)(bits >> i * 8);
  }
  bus_put_align(reader->body, type->size);
  reader->body->failed = reader->body->failed || str_append(&reader->body->data, bytes, type->size) < 0;
  return true;
}

static bool put_value(struct reader *reader, char letter) {
  const struct number_type *type = number_type(letter);
  return letter == 's' ? put_text(reader) : letter == 'b' ? put_flag(reader) : type != NULL && put_number(reader, type);
}

static size_t alignment_of(char letter) {
  const struct number_type *type = number_type(letter);
  return type != NULL ? type->size : 4;
}

/* The type is told, or that of the first item. */
static bool put_array(struct reader *reader, char letter) {
  char type[3] = {'a', letter, '\0'};
  if (!read_mark(reader, '[')) {
    return false;
  }
  skip_blanks(reader);
  /* An empty one without a type could be anything. */
  if (letter == 0 && *reader->at == ']') {
    return false;
  }
  if (letter == 0) {
    letter = read_type(reader);
    letter = letter == 0 ? guess_type(reader) : letter;
    type[1] = letter;
  }
  bus_put_signature(reader->body, type);
  size_t array = bus_array_begin(reader->body, alignment_of(letter));
  bool good = *reader->at == ']' || put_value(reader, letter);
  for (skip_blanks(reader); good && *reader->at == ','; skip_blanks(reader)) {
    reader->at++;
    skip_blanks(reader);
    good = put_value(reader, letter);
  }
  bus_array_end(reader->body, array, alignment_of(letter));
  return good && read_mark(reader, ']');
}

/* Signature and value. */
static bool put_variant(struct reader *reader) {
  skip_blanks(reader);
  bool good = false;
  if (strncmp(reader->at, "@a", 2) == 0 && reader->at[2] != '\0') {
    char letter = reader->at[2];
    reader->at += 3;
    skip_blanks(reader);
    good = !reader->seconds && put_array(reader, letter);
  } else if (*reader->at == '[') {
    good = !reader->seconds && put_array(reader, 0);
  } else {
    char letter = read_type(reader);
    letter = letter == 0 ? guess_type(reader) : letter;
    char signature[2] = {reader->seconds ? 't' : letter, '\0'};
    bus_put_signature(reader->body, signature);
    good = (!reader->seconds || number_type(letter) != NULL) && put_value(reader, letter);
  }
  skip_blanks(reader);
  return good && *reader->at == '\0';
}

static bool is_ours(const char *name) {
  static const char *const names[] = {"PIDs", "Slice", "Delegate", "DelegateSubgroup"};
  for (size_t i = 0; i < array_length(names); i++) {
    if (strcmp(name, names[i]) == 0) {
      return true;
    }
  }
  return false;
}

static bool is_name(const char *name) {
  size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
  return length >= 3 && length < 100 && name[length] == '\0';
}

static int put_one(struct bus_body *body, const char *name, const char *text, struct err *err) {
  struct reader reader = {.at = text, .body = body};
  char told[104];
  if (!is_name(name) || is_ours(name)) {
    return err_set(err, EINVAL,
                   is_ours(name) ? "annotation " PREFIX "%s: --systemd-cgroup sets this property itself"
                                 : "annotation " PREFIX "%s: not the name of a property",
                   name);
  }
  size_t length = strlen(name);
  reader.seconds = length > 3 && strcmp(name + length - 3, "Sec") == 0 && (length < 4 || name[length - 4] != 'U');
  snprintf(told, sizeof(told), "%.*s%s", (int)(reader.seconds ? length - 3 : length), name,
           reader.seconds ? "USec" : "");
  bus_put_align(body, 8);
  bus_put_text(body, told);
  return put_variant(&reader)
             ? 0
             : err_set(err, EINVAL,
                       "annotation " PREFIX "%s: expected a value such as true, 'text', uint64 5%s, not %s", name,
                       reader.seconds ? "" : " or ['a', 'b']", text);
}

int property_put_all(struct bus_body *body, const struct json *annotations, struct err *err) {
  const char *key = NULL;
  struct json value;
  for (size_t at = 0; json_next(annotations, &at, &key, &value);) {
    const char *text = NULL;
    int r = strncmp(key, PREFIX, strlen(PREFIX)) == 0 ? json_as_string(&value, &text, err) : 0;
    r = r < 0 || text == NULL ? r : put_one(body, key + strlen(PREFIX), text, err);
    if (r < 0) {
      return r;
    }
  }
  return 0;
}
