#include "layer/pax.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

#define XATTR_KEY "SCHILY.xattr."

/* Keys that we act on; each may come once, but for the pieces of sparse format 0.0. */
enum key {
  KEY_PATH,
  KEY_LINK,
  KEY_SIZE,
  KEY_UID,
  KEY_GID,
  KEY_MTIME,
  KEY_CHARSET,
  KEY_SPARSE_MAJOR,
  KEY_SPARSE_MINOR,
  KEY_SPARSE_NAME,
  KEY_SPARSE_REAL_SIZE,
  KEY_SPARSE_SIZE,
  KEY_SPARSE_MAP,
  KEY_SPARSE_COUNT,
  KEY_SPARSE_OFFSET,
  KEY_SPARSE_BYTES,
  KEY_DEVICE_MAJOR,
  KEY_DEVICE_MINOR,
  KEY_STAR_REAL_SIZE,
  KEY_OTHER,
};

static const char *const key_names[KEY_OTHER] = {
    "path",
    "linkpath",
    "size",
    "uid",
    "gid",
    "mtime",
    "hdrcharset",
    "GNU.sparse.major",
    "GNU.sparse.minor",
    "GNU.sparse.name",
    "GNU.sparse.realsize",
    "GNU.sparse.size",
    "GNU.sparse.map",
    "GNU.sparse.numblocks",
    "GNU.sparse.offset",
    "GNU.sparse.numbytes",
    "SCHILY.devmajor",
    "SCHILY.devminor",
    "SCHILY.realsize",
};

struct reading {
  struct pax *pax;
  uint32_t seen;
  int64_t major, minor;
  int64_t pieces; /* of format 0.0, as announced */
  int64_t piece_count;
  int64_t offset; /* of a piece whose size comes next; -1: none */
};

void pax_free(struct pax *pax) {
  free(pax->xattrs);
  sparse_free(&pax->map);
}

int pax_number(const char *text, const char **ret_end, int64_t *ret_value) {
  int64_t value = 0;
  const char *at = text;
  for (; *at >= '0' && *at <= '9'; at++) {
    if (value > (INT64_MAX - (*at - '0')) / 10) {
      return -EINVAL;
    }
    value = value * 10 + (*at - '0');
  }
  if (at == text || (ret_end == NULL && *at != '\0')) {
    return -EINVAL;
  }
  if (ret_end != NULL) {
    *ret_end = at;
  }
  *ret_value = value;
  return 0;
}

/* Cuts the next record off: key and value end in NUL afterwards. */
static int next_record(char **at, char *end, char **ret_key, char **ret_value, size_t *ret_size, struct err *err) {
  char *start = *at;
  size_t left = (size_t)(end - start);
  size_t length = 0;
  size_t digits = 0;
  for (; digits < left && digits < 8 && start[digits] >= '0' && start[digits] <= '9'; digits++) {
    length = length * 10 + (size_t)(start[digits] - '0');
  }
  if (digits == 0 || start[0] == '0' || digits >= left || start[digits] != ' ' || length <= digits + 2 ||
      length > left || start[length - 1] != '\n') {
    return err_set(err, EINVAL, "an extended header is damaged");
  }
  char *key = start + digits + 1;
  char *stop = start + length - 1;
  char *equals = memchr(key, '=', (size_t)(stop - key));
  if (equals == NULL || equals == key || memchr(key, '\0', (size_t)(equals - key)) != NULL) {
    return err_set(err, EINVAL, "an extended header is damaged");
  }
  *equals = '\0';
  *stop = '\0';
  *at = start + length;
  *ret_key = key;
  *ret_value = equals + 1;
  *ret_size = (size_t)(stop - equals - 1);
  return 0;
}

static int read_number(const char *key, const char *value, int64_t *ret_number, struct err *err) {
  return pax_number(value, NULL, ret_number) < 0 ? err_set(err, EINVAL, "%s in an extended header is no number", key)
                                                 : 0;
}

/* [-]seconds[.fraction]; -1.5 s is stored as -2 s and 500 ms. */
static int read_time(const char *value, struct timespec *ret_time, struct err *err) {
  bool negative = *value == '-';
  const char *at = NULL;
  int64_t seconds = 0;
  long nanoseconds = 0;
  int r = pax_number(value + negative, &at, &seconds);
  if (r == 0 && *at == '.') {
    at++;
    for (long scale = 100000000; *at >= '0' && *at <= '9'; at++, scale /= 10) {
      nanoseconds += (*at - '0') * scale;
    }
  }
  if (r < 0 || *at != '\0') {
    return err_set(err, EINVAL, "mtime in an extended header is no time");
  }
  if (negative) {
    seconds = -seconds - (nanoseconds > 0);
    nanoseconds = nanoseconds > 0 ? 1000000000L - nanoseconds : 0;
  }
  *ret_time = (struct timespec){seconds, nanoseconds};
  return 0;
}

static int add_xattr(struct pax *pax, const char *name, const char *value, size_t size, struct err *err) {
  if (*name == '\0') {
    return err_set(err, EINVAL, "an extended header has an attribute without name");
  }
  if (pax->xattr_count == pax->xattr_capacity) {
    size_t capacity = pax->xattr_capacity == 0 ? 8 : pax->xattr_capacity * 2;
    struct pax_xattr *grown = realloc(pax->xattrs, capacity * sizeof(*grown));
    if (grown == NULL) {
      return err_oom(err);
    }
    pax->xattrs = grown;
    pax->xattr_capacity = capacity;
  }
  pax->xattrs[pax->xattr_count++] = (struct pax_xattr){name, value, size};
  return 0;
}

/* "offset,size,offset,size,…" */
static int read_map(struct reading *reading, const char *value, struct err *err) {
  for (const char *at = value;;) {
    int64_t offset = 0;
    int64_t size = 0;
    if (pax_number(at, &at, &offset) < 0 || *at++ != ',' || pax_number(at, &at, &size) < 0) {
      return err_set(err, EINVAL, "its map of holes is damaged");
    }
    reading->piece_count++;
    int r = sparse_add(&reading->pax->map, offset, size, err);
    if (r < 0 || *at == '\0') {
      return r;
    }
    if (*at++ != ',') {
      return err_set(err, EINVAL, "its map of holes is damaged");
    }
  }
}

/* Format 0.0: an offset, then its size, over and over. */
static int read_piece(struct reading *reading, enum key key, const char *value, struct err *err) {
  int64_t number = 0;
  int r = read_number(key_names[key], value, &number, err);
  if (r < 0) {
    return r;
  }
  if ((key == KEY_SPARSE_OFFSET) != (reading->offset < 0)) {
    return err_set(err, EINVAL, "its map of holes is out of order");
  }
  if (key == KEY_SPARSE_OFFSET) {
    reading->offset = number;
    return 0;
  }
  reading->piece_count++;
  r = sparse_add(&reading->pax->map, reading->offset, number, err);
  reading->offset = -1;
  return r;
}

static int read_value(struct reading *reading, enum key key, const char *value, struct err *err) {
  struct pax *pax = reading->pax;
  switch (key) {
  case KEY_PATH:
    pax->path = value;
    return 0;
  case KEY_LINK:
    pax->link = value;
    return 0;
  case KEY_SPARSE_NAME:
    pax->sparse_name = value;
    return 0;
  case KEY_SIZE:
    return read_number(key_names[key], value, &pax->size, err);
  case KEY_UID:
    return read_number(key_names[key], value, &pax->uid, err);
  case KEY_GID:
    return read_number(key_names[key], value, &pax->gid, err);
  case KEY_MTIME:
    pax->has_mtime = true;
    return read_time(value, &pax->mtime, err);
  case KEY_CHARSET:
    return str_equal(value, "BINARY") || str_equal(value, "ISO-IR 10646 2000 UTF-8")
               ? 0
               : err_set(err, EINVAL, "an extended header is in the unknown character set %.40s", value);
  case KEY_SPARSE_MAJOR:
    return read_number(key_names[key], value, &reading->major, err);
  case KEY_SPARSE_MINOR:
    return read_number(key_names[key], value, &reading->minor, err);
  case KEY_SPARSE_REAL_SIZE:
  case KEY_SPARSE_SIZE:
    return read_number(key_names[key], value, &pax->real_size, err);
  case KEY_SPARSE_MAP:
    return read_map(reading, value, err);
  case KEY_SPARSE_COUNT:
    return read_number(key_names[key], value, &reading->pieces, err);
  case KEY_SPARSE_OFFSET:
  case KEY_SPARSE_BYTES:
    return read_piece(reading, key, value, err);
  case KEY_DEVICE_MAJOR:
  case KEY_DEVICE_MINOR:
  case KEY_STAR_REAL_SIZE:
  case KEY_OTHER:
    break;
  }
  return err_set(err, EINVAL, "%s in an extended header is taken by some readers and not by others", key_names[key]);
}

static int read_record(struct reading *reading, const char *name, const char *value, size_t size, struct err *err) {
  if (str_starts(name, XATTR_KEY)) {
    return add_xattr(reading->pax, name + strlen(XATTR_KEY), value, size, err);
  }
  enum key key = KEY_PATH;
  while (key < KEY_OTHER && !str_equal(key_names[key], name)) {
    key++;
  }
  if (key == KEY_OTHER) {
    return str_starts(name, "GNU.sparse.") ? err_set(err, EINVAL, "%.60s in an extended header is unknown", name) : 0;
  }
  bool again = (reading->seen & 1U << key) != 0;
  reading->seen |= 1U << key;
  if (again && key != KEY_SPARSE_OFFSET && key != KEY_SPARSE_BYTES) {
    return err_set(err, EINVAL, "an extended header has %s twice", name);
  }
  if (size == 0 || strlen(value) != size) {
    return err_set(err, EINVAL, "%s in an extended header is %s", name, size == 0 ? "empty" : "not text");
  }
  return read_value(reading, key, value, err);
}

static int compare_xattrs(const void *a, const void *b) {
  return strcmp(((const struct pax_xattr *)a)->name, ((const struct pax_xattr *)b)->name);
}

static int check_xattrs(struct pax *pax, struct err *err) {
  if (pax->xattr_count > 1) {
    qsort(pax->xattrs, pax->xattr_count, sizeof(*pax->xattrs), compare_xattrs);
  }
  for (size_t i = 1; i < pax->xattr_count; i++) {
    if (str_equal(pax->xattrs[i - 1].name, pax->xattrs[i].name)) {
      return err_set(err, EINVAL, "an extended header has attribute %.100s twice", pax->xattrs[i].name);
    }
  }
  return 0;
}

static bool saw(const struct reading *reading, enum key key) {
  return (reading->seen & 1U << key) != 0;
}

/* Exactly one of the three forms, whole. */
static int check_sparse(const struct reading *reading, struct err *err) {
  bool versioned = saw(reading, KEY_SPARSE_MAJOR) || saw(reading, KEY_SPARSE_MINOR);
  bool pieces = saw(reading, KEY_SPARSE_OFFSET) || saw(reading, KEY_SPARSE_BYTES);
  bool map = saw(reading, KEY_SPARSE_MAP);
  bool any = versioned || pieces || map || saw(reading, KEY_SPARSE_COUNT) || saw(reading, KEY_SPARSE_NAME) ||
             reading->pax->real_size >= 0;
  if (!any) {
    return 0;
  }
  bool whole = versioned ? !pieces && !map && reading->major == 1 && reading->minor == 0 &&
                               saw(reading, KEY_SPARSE_NAME) && saw(reading, KEY_SPARSE_REAL_SIZE) &&
                               !saw(reading, KEY_SPARSE_SIZE) && !saw(reading, KEY_SPARSE_COUNT)
                         : pieces != map && saw(reading, KEY_SPARSE_SIZE) && !saw(reading, KEY_SPARSE_REAL_SIZE) &&
                               saw(reading, KEY_SPARSE_COUNT) && reading->offset < 0 &&
                               reading->pieces == reading->piece_count;
  if (!whole) {
    return err_set(err, EINVAL, "the records of its holes do not fit together");
  }
  reading->pax->sparse = true;
  reading->pax->sparse_in_data = versioned;
  return 0;
}

int pax_read(char *text, size_t size, struct pax *pax, struct err *err) {
  struct reading reading = {.pax = pax, .major = -1, .minor = -1, .pieces = -1, .offset = -1};
  for (char *at = text, *end = text + size; at < end;) {
    char *key = NULL;
    char *value = NULL;
    size_t value_size = 0;
    int r = next_record(&at, end, &key, &value, &value_size, err);
    if (r == 0) {
      r = read_record(&reading, key, value, value_size, err);
    }
    if (r < 0) {
      return r;
    }
  }
  int r = check_xattrs(pax, err);
  return r < 0 ? r : check_sparse(&reading, err);
}

int pax_read_global(char *text, size_t size, struct err *err) {
  for (char *at = text, *end = text + size; at < end;) {
    char *key = NULL;
    char *value = NULL;
    size_t value_size = 0;
    int r = next_record(&at, end, &key, &value, &value_size, err);
    if (r < 0) {
      return r;
    }
    if (!str_equal(key, "comment")) {
      return err_set(err, EINVAL, "a global extended header sets %.60s for all, which some readers pass over", key);
    }
  }
  return 0;
}
