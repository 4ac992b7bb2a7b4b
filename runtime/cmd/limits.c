/* `update`, `events` and `ps`: what the limits of a live container are, what it uses, who is inside. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/fd.h"
#include "cmd/cmd.h"
#include "container/container.h"

static int take_id(int argc, char **argv, int *next, const char **ret_id, struct err *err) {
  if (*next >= argc) {
    return err_set(err, EINVAL, "%s: container id missing", argv[0]);
  }
  *ret_id = argv[(*next)++];
  return 0;
}

static int only_id(int argc, char **argv, int next, const char **ret_id, struct err *err) {
  int r = take_id(argc, argv, &next, ret_id, err);
  return r < 0 || next == argc ? r : err_set(err, EINVAL, "%s: unexpected argument %s", argv[0], argv[next]);
}

enum flag_kind { FLAG_NUMBER, FLAG_BYTES, FLAG_TEXT };

/* Flags are one way to write the document: both go through the same reader. */
static const struct {
  const char *name;
  enum flag_kind kind;
  const char *section, *key;
} flags[] = {
    {"blkio-weight", FLAG_NUMBER, "blockIO", "weight"},
    {"cpu-period", FLAG_NUMBER, "cpu", "period"},
    {"cpu-quota", FLAG_NUMBER, "cpu", "quota"},
    {"cpu-burst", FLAG_NUMBER, "cpu", "burst"},
    {"cpu-rt-period", FLAG_NUMBER, "cpu", "realtimePeriod"},
    {"cpu-rt-runtime", FLAG_NUMBER, "cpu", "realtimeRuntime"},
    {"cpu-share", FLAG_NUMBER, "cpu", "shares"},
    {"cpu-idle", FLAG_NUMBER, "cpu", "idle"},
    {"cpuset-cpus", FLAG_TEXT, "cpu", "cpus"},
    {"cpuset-mems", FLAG_TEXT, "cpu", "mems"},
    {"kernel-memory", FLAG_BYTES, "memory", "kernel"},
    {"kernel-memory-tcp", FLAG_BYTES, "memory", "kernelTCP"},
    {"memory", FLAG_BYTES, "memory", "limit"},
    {"memory-reservation", FLAG_BYTES, "memory", "reservation"},
    {"memory-swap", FLAG_BYTES, "memory", "swap"},
    {"pids-limit", FLAG_NUMBER, "pids", "limit"},
};

/* "512m", "1.5g", "-1", plain bytes. */
static int read_bytes(const char *name, const char *text, long long *ret_value, struct err *err) {
  static const char units[] = "bkmgtp";
  char *end = NULL;
  double number = strtod(text, &end);
  const char *unit = *end == '\0' || end == text ? units : strchr(units, *end | 0x20);
  const char *rest = *end == '\0' ? end : end + 1;
  bool tail = *rest == '\0' || strcasecmp(rest, "b") == 0 || strcasecmp(rest, "ib") == 0;
  if (end == text || unit == NULL || !tail || (number < 0 && number != -1)) {
    return err_set(err, EINVAL, "--%s: '%s' is not a size like 512m, nor -1", name, text);
  }
  for (; unit > units; unit--) {
    number *= 1024;
  }
  if (number >= 9.2e18) {
    return err_set(err, ERANGE, "--%s: %s is too large", name, text);
  }
  *ret_value = (long long)number;
  return 0;
}

static int add_flag(size_t index, const char *value, struct str *out, struct err *err) {
  long long number = 0;
  int r = str_addf(out, "\"%s\":", flags[index].key);
  if (flags[index].kind == FLAG_TEXT) {
    r = r < 0 ? r : json_add_quoted(out, value);
    return r < 0 ? err_oom(err) : 0;
  }
  if (flags[index].kind == FLAG_BYTES) {
    int bad = read_bytes(flags[index].name, value, &number, err);
    if (bad < 0) {
      return bad;
    }
  } else if (str_to_long(value, INT64_MIN + 1, INT64_MAX, &number) < 0) {
    return err_set(err, EINVAL, "--%s: '%s' is not a number", flags[index].name, value);
  }
  r = r < 0 ? r : str_addf(out, "%lld", number);
  return r < 0 ? err_oom(err) : 0;
}

/* The flags given, as a `resources` object. */
static int flags_text(const char *const values[], struct str *out, size_t *ret_given, struct err *err) {
  static const char *const sections[] = {"memory", "cpu", "pids", "blockIO"};
  size_t given = 0;
  int r = str_add(out, "{");
  for (size_t s = 0; s < array_length(sections); s++) {
    bool open = false;
    for (size_t i = 0; i < array_length(flags); i++) {
      if (values[i] == NULL || strcmp(flags[i].section, sections[s]) != 0) {
        continue;
      }
      r = r < 0 ? r : open ? str_add(out, ",") : str_addf(out, "%s\"%s\":{", given > 0 ? "," : "", sections[s]);
      if (r < 0) {
        return err_oom(err);
      }
      r = add_flag(i, values[i], out, err);
      if (r < 0) {
        return r;
      }
      open = true;
      given++;
    }
    r = r < 0 || !open ? r : str_add(out, "}");
  }
  r = r < 0 ? r : str_add(out, "}");
  *ret_given = given;
  return r < 0 ? err_oom(err) : 0;
}

static int read_resources(const char *file, struct json *ret_document, struct err *err) {
  cleanup_free char *text = NULL;
  size_t size = 0;
  if (strcmp(file, "-") != 0) {
    return json_read_file(AT_FDCWD, file, ret_document, err);
  }
  int r = fd_read_all(STDIN_FILENO, 1 << 20, &text, &size, err);
  r = r < 0 ? r : json_parse(text, size, ret_document, err);
  return r < 0 ? err_prefix(err, "resources on stdin") : 0;
}

int verb_update(const char *root, int argc, char **argv, struct err *err) {
  const char *values[array_length(flags)] = {NULL};
  const char *file = NULL;
  struct option_spec table[array_length(flags) + 4] = {
      {"resources", 'r', OPTION_TEXT, &file},
      {"l3-cache-schema", 0, OPTION_REFUSED, NULL},
      {"mem-bw-schema", 0, OPTION_REFUSED, NULL},
  };
  for (size_t i = 0; i < array_length(flags); i++) {
    table[i + 3] = (struct option_spec){flags[i].name, 0, OPTION_TEXT, &values[i]};
  }
  cleanup_json struct json document = {.value = NULL, .path = ""};
  cleanup_str struct str text = STR_INIT;
  const char *id = NULL;
  size_t given = 0;
  int next = 0;
  int r = options_read(argc, argv, table, &next, err);
  r = r < 0 ? r : take_id(argc, argv, &next, &id, err);
  /* Options behind the id are usual here. */
  if (r == 0 && next < argc) {
    int more = 0;
    r = options_read(argc - next + 1, argv + next - 1, table, &more, err);
    if (r == 0 && next - 1 + more < argc) {
      r = err_set(err, EINVAL, "update: unexpected argument %s", argv[next - 1 + more]);
    }
  }
  r = r < 0 ? r : flags_text(values, &text, &given, err);
  if (r == 0 && (file != NULL) == (given > 0)) {
    r = err_set(err, EINVAL,
                given > 0 ? "update: either --resources FILE or single limits, not both"
                          : "update: nothing to change; give --resources FILE or a limit such as --memory");
  }
  if (r == 0) {
    r = file != NULL ? read_resources(file, &document, err) : json_parse(text.data, text.size, &document, err);
  }
  if (r == 0 && !json_is_object(&document)) {
    r = err_set(err, EINVAL, "update: the resources are not a JSON object");
  }
  return r < 0 ? r : container_update(root, id, &document, err);
}

/* "5s", "500ms", "1m30s" is not: one number, one unit; without a unit seconds. */
static int read_interval(const char *text, int *ret_ms, struct err *err) {
  char *end = NULL;
  double number = strtod(text, &end);
  double unit = strcmp(end, "ms") == 0  ? 1
                : strcmp(end, "s") == 0 ? 1000
                : strcmp(end, "m") == 0 ? 60000
                : strcmp(end, "h") == 0 ? 3600000
                : *end == '\0'          ? 1000
                                        : -1;
  if (end == text || unit < 0 || number * unit < 1 || number * unit > INT_MAX) {
    return err_set(err, EINVAL, "events: --interval %s: expected a time above zero like 5s", text);
  }
  *ret_ms = (int)(number * unit);
  return 0;
}

int verb_events(const char *root, int argc, char **argv, struct err *err) {
  bool once = false;
  const char *interval = "5s", *id = NULL;
  const struct option_spec table[] = {
      {"stats", 0, OPTION_FLAG, &once}, {"interval", 0, OPTION_TEXT, &interval}, {NULL, 0, OPTION_FLAG, NULL}};
  int next = 0, interval_ms = 0;
  int r = options_read(argc, argv, table, &next, err);
  r = r < 0 ? r : only_id(argc, argv, next, &id, err);
  r = r < 0 ? r : read_interval(interval, &interval_ms, err);
  return r < 0 ? r : container_events(root, id, once, interval_ms, err);
}

int verb_ps(const char *root, int argc, char **argv, struct err *err) {
  const char *format = "table", *id = NULL;
  char *text = NULL;
  const struct option_spec table[] = {{"format", 'f', OPTION_TEXT, &format}, {NULL, 0, OPTION_FLAG, NULL}};
  int next = 0;
  int r = options_read(argc, argv, table, &next, err);
  if (r == 0 && strcmp(format, "table") != 0 && strcmp(format, "json") != 0) {
    r = err_set(err, EINVAL, "ps: --format is table or json, not %s", format);
  }
  if (r == 0 && next + 1 < argc) {
    r = err_set(err, ENOTSUP, "ps: options of ps(1) such as %s are not supported; --format json lists the ids",
                argv[next + 1]);
  }
  r = r < 0 ? r : only_id(argc, argv, next, &id, err);
  r = r < 0 ? r : container_ps(root, id, format[0] == 'j', &text, err);
  if (r == 0) {
    r = fd_write_all(STDOUT_FILENO, text, strlen(text), err);
    free(text);
  }
  return r;
}
