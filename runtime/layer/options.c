#include "layer/options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum option_id {
  OPTION_ROOT = 1,
  OPTION_PID,
  OPTION_LOWER,
  OPTION_UPPER,
  OPTION_WORK,
  OPTION_MOUNT,
  OPTION_FROM_LOWER,
  OPTION_SOURCE,
  OPTION_PATH,
  OPTION_DESTINATION,
  OPTION_PENDING,
  OPTION_OWNER,
  OPTION_STRIP_OWNER,
  OPTION_MODE,
  OPTION_OVERLAY,
  OPTION_EXTRACT,
  OPTION_PARENTS,
  OPTION_NO_OVERWRITE,
  OPTION_ONE_FILE_SYSTEM,
  OPTION_MAX_BYTES,
  OPTION_MAX_CONTENT,
  OPTION_MAX_ENTRIES,
  OPTION_MAX_RATIO,
  OPTION_RATIO_FROM,
  OPTION_RESERVE,
};

static const struct option long_options[] = {
    {"root", required_argument, NULL, OPTION_ROOT},
    {"pid", required_argument, NULL, OPTION_PID},
    {"lower", required_argument, NULL, OPTION_LOWER},
    {"upper", required_argument, NULL, OPTION_UPPER},
    {"work", required_argument, NULL, OPTION_WORK},
    {"mount", required_argument, NULL, OPTION_MOUNT},
    {"from-lower", required_argument, NULL, OPTION_FROM_LOWER},
    {"source", required_argument, NULL, OPTION_SOURCE},
    {"path", required_argument, NULL, OPTION_PATH},
    {"destination", required_argument, NULL, OPTION_DESTINATION},
    {"pending", required_argument, NULL, OPTION_PENDING},
    {"owner", required_argument, NULL, OPTION_OWNER},
    {"strip-owner", no_argument, NULL, OPTION_STRIP_OWNER},
    {"mode", required_argument, NULL, OPTION_MODE},
    {"overlay", no_argument, NULL, OPTION_OVERLAY},
    {"extract", no_argument, NULL, OPTION_EXTRACT},
    {"parents", no_argument, NULL, OPTION_PARENTS},
    {"no-overwrite-dir-non-dir", no_argument, NULL, OPTION_NO_OVERWRITE},
    {"one-file-system", no_argument, NULL, OPTION_ONE_FILE_SYSTEM},
    {"max-bytes", required_argument, NULL, OPTION_MAX_BYTES},
    {"max-content", required_argument, NULL, OPTION_MAX_CONTENT},
    {"max-entries", required_argument, NULL, OPTION_MAX_ENTRIES},
    {"max-ratio", required_argument, NULL, OPTION_MAX_RATIO},
    {"ratio-from", required_argument, NULL, OPTION_RATIO_FROM},
    {"reserve", required_argument, NULL, OPTION_RESERVE},
    {NULL, 0, NULL, 0},
};

void options_free(struct options *options) {
  str_list_free(&options->stack.lower);
  str_list_free(&options->from.lower);
  str_list_free(&options->paths);
  for (size_t i = 0; i < options->stack.mount_count; i++) {
    free((void *)options->stack.mounts[i].source);
  }
}

static int parse_number(const char *text, uint64_t *ret_value, struct err *err) {
  long long value = 0;
  if (str_to_long(text, 1, INT64_MAX, &value) < 0) {
    return err_set(err, EINVAL, "%s is no positive number", text);
  }
  *ret_value = (uint64_t)value;
  return 0;
}

static int parse_owner(struct options *options, const char *text, struct err *err) {
  long long uid = 0;
  long long gid = 0;
  const char *colon = strchr(text, ':');
  cleanup_free char *user = colon == NULL ? NULL : strndup(text, (size_t)(colon - text));
  if (user == NULL || str_to_long(user, 0, UINT32_MAX - 1, &uid) < 0 ||
      str_to_long(colon + 1, 0, UINT32_MAX - 1, &gid) < 0) {
    return err_set(err, EINVAL, "owner %s: expected UID:GID in numbers", text);
  }
  options->has_owner = true;
  options->owner = (struct owner){(uid_t)uid, (gid_t)gid};
  return 0;
}

static int parse_mode(struct options *options, const char *text, struct err *err) {
  char *end = NULL;
  unsigned long mode = strtoul(text, &end, 8);
  if (*text == '\0' || *end != '\0' || mode > 07777) {
    return err_set(err, EINVAL, "mode %s: expected octal permission bits", text);
  }
  options->has_mode = true;
  options->mode = (mode_t)mode;
  return 0;
}

/* ro|rw, then source and target, each after a colon; the source's own colons are doubled in meaning by nobody: the
 * target is what follows the last one. */
static int parse_mount(struct options *options, const char *text, struct err *err) {
  const char *last = strrchr(text, ':');
  if (options->stack.mount_count == OVERLAY_MOUNTS) {
    return err_set(err, E2BIG, "more than %d mounts", OVERLAY_MOUNTS);
  }
  if ((!str_starts(text, "ro:") && !str_starts(text, "rw:")) || last <= text + 3) {
    return err_set(err, EINVAL, "mount %s: expected ro:SOURCE:TARGET or rw:SOURCE:TARGET", text);
  }
  char *source = strndup(text + 3, (size_t)(last - text - 3));
  if (source == NULL) {
    return err_oom(err);
  }
  options->stack.mounts[options->stack.mount_count++] = (struct overlay_mount){source, last + 1, text[1] == 'o'};
  return 0;
}

static int add_text(struct str_list *list, const char *text, struct err *err) {
  return str_list_add(list, text) < 0 ? err_oom(err) : 0;
}

static int parse_limit(struct limits *limits, enum option_id id, const char *text, struct err *err) {
  uint64_t *field = id == OPTION_MAX_BYTES     ? &limits->bytes
                    : id == OPTION_MAX_CONTENT ? &limits->content
                    : id == OPTION_MAX_ENTRIES ? &limits->entries
                    : id == OPTION_MAX_RATIO   ? &limits->ratio
                                               : &limits->ratio_from;
  return parse_number(text, field, err);
}

/* `PID:START_TIME`: the number alone may be another process's by now. */
static int parse_process(struct options *options, const char *value, struct err *err) {
  char end = '\0';
  return sscanf(value, "%d:%" SCNu64 "%c", &options->pid, &options->start_time, &end) == 2 && options->pid > 0
             ? 0
             : err_set(err, EINVAL, "%s is no process id and start time", value);
}

static int parse_one(struct options *options, enum option_id id, const char *value, struct err *err) {
  switch (id) {
  case OPTION_ROOT:
    options->root = value;
    return 0;
  case OPTION_PID:
    return parse_process(options, value, err);
  case OPTION_LOWER:
    return add_text(&options->stack.lower, value, err);
  case OPTION_UPPER:
    options->stack.upper = value;
    return 0;
  case OPTION_WORK:
    options->stack.work = value;
    return 0;
  case OPTION_MOUNT:
    return parse_mount(options, value, err);
  case OPTION_FROM_LOWER:
    return add_text(&options->from.lower, value, err);
  case OPTION_SOURCE:
    options->source = value;
    return 0;
  case OPTION_PATH:
    return add_text(&options->paths, value, err);
  case OPTION_DESTINATION:
    options->destination = value;
    return 0;
  case OPTION_PENDING:
    options->pending = value;
    return 0;
  case OPTION_OWNER:
    return parse_owner(options, value, err);
  case OPTION_STRIP_OWNER:
    return parse_owner(options, "0:0", err);
  case OPTION_MODE:
    return parse_mode(options, value, err);
  case OPTION_OVERLAY:
    options->overlay = true;
    return 0;
  case OPTION_EXTRACT:
    options->extract = true;
    return 0;
  case OPTION_PARENTS:
    options->parents = true;
    return 0;
  case OPTION_NO_OVERWRITE:
    options->no_overwrite_dir_non_dir = true;
    return 0;
  case OPTION_ONE_FILE_SYSTEM:
    options->one_file_system = true;
    return 0;
  case OPTION_MAX_BYTES:
  case OPTION_MAX_CONTENT:
  case OPTION_MAX_ENTRIES:
  case OPTION_MAX_RATIO:
  case OPTION_RATIO_FROM:
    return parse_limit(&options->limits, id, value, err);
  case OPTION_RESERVE:
    return parse_number(value, &options->reserve, err);
  }
  return err_set(err, EINVAL, "unknown option");
}

int options_parse(int argc, char **argv, struct options *ret_options, struct err *err) {
  *ret_options = (struct options){.limits = LIMITS_DEFAULT};
  opterr = 0;
  int id;
  while ((id = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
    if (id == '?') {
      return err_set(err, EINVAL, "unknown option or missing value: %s", argv[optind - 1]);
    }
    int r = parse_one(ret_options, (enum option_id)id, optarg, err);
    if (r < 0) {
      return r;
    }
  }
  return optind < argc ? err_set(err, EINVAL, "unexpected argument %s", argv[optind]) : 0;
}

int options_open_tree(const struct options *options, struct tree *ret_tree, struct err *err) {
  if (options->pid > 0) {
    return overlay_enter_process(options->pid, options->start_time, ret_tree, err);
  }
  if (options->root != NULL) {
    return tree_open_directory(options->root, ret_tree, err);
  }
  if (options->stack.lower.count == 0 && options->stack.upper == NULL) {
    return err_set(err, EINVAL, "no tree given: --root, --pid, or --lower with --upper and --work");
  }
  return overlay_open(&options->stack, ret_tree, err);
}
