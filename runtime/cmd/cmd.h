/* Command line of the OCI verbs: options only, the work is in container/. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Options before the verb, then the verb. Returns the exit status. */
int oci_main(int argc, char **argv);

/* One option of a table: "--name VALUE", "--name=VALUE", "-n VALUE". */
struct option_spec {
  const char *name;
  char letter; /* 0: none */
  enum { OPTION_TEXT, OPTION_FLAG, OPTION_NUMBER, OPTION_LIST, OPTION_REFUSED } kind;
  void *to; /* const char **, bool *, int *, struct str_list *; REFUSED: unused */
};

/* Reads options up to the first argument or "--"; *ret_next is its index. `table` ends with name NULL. */
int options_read(int argc, char **argv, const struct option_spec *table, int *ret_next, struct err *err);

/* The document `features` prints; the caller frees. */
int verb_features_text(char **ret_text, struct err *err);

/* Verbs of limits.c. */
int verb_update(const char *root, int argc, char **argv, struct err *err);
int verb_events(const char *root, int argc, char **argv, struct err *err);
int verb_ps(const char *root, int argc, char **argv, struct err *err);

/* "TERM", "SIGTERM", "15", any case; -1 unknown. */
int signal_number(const char *text);
