/*
 * tscompose-layer VERB [OPTION…]. Result: one JSON line on stdout, or the archive. Failure: exit status 1 and one line
 * {"error":{"code","message"}} on stderr; codes are the kinds of the engine's errors.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/json.h"
#include "layer/verbs.h"

static const struct {
  const char *name;
  int (*run)(const struct options *options, struct err *err);
} verbs[] = {
    {"sync", verb_sync}, {"apply", verb_apply},     {"fixup", verb_fixup},     {"diff", verb_diff}, {"pack", verb_pack},
    {"copy", verb_copy}, {"extract", verb_extract}, {"archive", verb_archive}, {"stat", verb_stat},
};

static const struct {
  int code;
  const char *kind;
} kinds[] = {
    {EINVAL, "invalid"},      {ENAMETOOLONG, "invalid"}, {ELOOP, "invalid"},    {ENOENT, "not-found"},
    {ENOTDIR, "conflict"},    {EISDIR, "conflict"},      {EEXIST, "conflict"},  {EROFS, "denied"},
    {EFBIG, "exhausted"},     {E2BIG, "exhausted"},      {ENOSPC, "exhausted"}, {EDQUOT, "exhausted"},
    {ENOTSUP, "unsupported"}, {ESRCH, "not-found"},
};

static int report(const struct err *err) {
  const char *kind = "failed";
  for (size_t i = 0; i < array_length(kinds); i++) {
    if (kinds[i].code == err->code) {
      kind = kinds[i].kind;
    }
  }
  cleanup_str struct str line = STR_INIT;
  if (str_addf(&line, "{\"error\":{\"code\":\"%s\",\"message\":", kind) == 0 &&
      json_add_quoted(&line, err->text) == 0 && str_add(&line, "}}\n") == 0) {
    (void)fd_write_all(STDERR_FILENO, line.data, line.size, NULL);
  }
  return 1;
}

int main(int argc, char **argv) {
  struct err err = ERR_INIT;
  cleanup_options struct options options = {.root = NULL};
  tzset(); /* the first use of a time reads /etc/localtime: not that of a container */
  (void)umask(0);
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
  }
  const char *name = argc > 1 ? argv[1] : "";
  for (size_t i = 0; i < array_length(verbs); i++) {
    if (strcmp(verbs[i].name, name) == 0) {
      int r = options_parse(argc - 1, argv + 1, &options, &err);
      if (r == 0) {
        r = verbs[i].run(&options, &err);
      }
      return r < 0 ? report(&err) : 0;
    }
  }
  (void)err_set(&err, EINVAL,
                "unknown verb '%s'; known are apply, fixup, sync, diff, pack, copy, extract, archive, stat", name);
  return report(&err);
}
