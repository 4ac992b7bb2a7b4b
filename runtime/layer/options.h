/* The command line of every verb: one set of options, each verb says which it needs. */
#pragma once

#include <stdbool.h>

#include "layer/confine.h"
#include "layer/copy.h"
#include "layer/overlay.h"
#include "layer/source.h"

struct options {
  const char *root;
  int pid; /* --pid, with the start time that makes it the one */
  uint64_t start_time;
  struct overlay stack;  /* --lower, --upper, --work, --mount */
  struct overlay from;   /* --from-lower */
  const char *source;    /* --source */
  struct str_list paths; /* --path */
  const char *destination;
  const char *pending;
  bool has_owner;
  struct owner owner;
  bool has_mode;
  mode_t mode;
  bool overlay;
  bool extract;
  bool parents;
  bool no_overwrite_dir_non_dir;
  bool one_file_system;
  struct limits limits;
  uint64_t reserve; /* 0: the verb's own */
};

int options_parse(int argc, char **argv, struct options *ret_options, struct err *err);
void options_free(struct options *options);
#define cleanup_options __attribute__((cleanup(options_free)))

/* The tree that --pid, --root or --lower/--upper/--work name. */
int options_open_tree(const struct options *options, struct tree *ret_tree, struct err *err);
