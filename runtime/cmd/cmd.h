/* Command line of the OCI verbs: options only, the work is in container/. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Options before the verb, then the verb. Returns the exit status. */
int oci_main(int argc, char **argv);

/* One option of a table: "--name VALUE", "--name=VALUE", "-n VALUE"; flags also "--name=false" and, by letter,
   together ("-it"). */
struct option_spec {
  const char *name;
  char letter; /* 0: none */
  enum { OPTION_TEXT, OPTION_FLAG, OPTION_NUMBER, OPTION_LIST, OPTION_REFUSED } kind;
  void *to; /* const char **, bool *, int *, struct str_list *; REFUSED: unused */
};

/* Reads options up to the first argument or "--"; *ret_next is its index. `table` ends with name NULL.
   --help that is not in the table: -ECANCELED, and the text is what the table has. */
int options_read(int argc, char **argv, const struct option_spec *table, int *ret_next, struct err *err);

/* What stands before the verb. */
struct call {
  const char *root;
  bool systemd_cgroup;
  char **argv; /* of the whole program, for re-execution */
};

/* A verb's own words: argv[0] is its name. *ret_status: exit status when it succeeds. */
typedef int verb_run(const struct call *call, int argc, char **argv, int *ret_status, struct err *err);
verb_run verb_create, verb_run_container, verb_start, verb_kill, verb_delete, verb_pause, verb_resume;
verb_run verb_exec, verb_state, verb_list, verb_spec, verb_features;

/* The one argument of most verbs. */
int need_id(int argc, char **argv, int next, const char **ret_id, struct err *err);

/* Before the container's side is touched: no inherited descriptor but the first of 3 and up that are asked for goes
   along, nobody looks into us, and the binary the container could see is a sealed copy. */
int harden(const struct call *call, int preserve_fds, struct err *err);

/* Text to standard output; takes it over. */
int print_text(char *text, struct err *err);

/* The document `features` prints; the caller frees. */
int verb_features_text(char **ret_text, struct err *err);

/* Verbs of limits.c. */
int verb_update(const char *root, int argc, char **argv, struct err *err);
int verb_events(const char *root, int argc, char **argv, struct err *err);
int verb_ps(const char *root, int argc, char **argv, struct err *err);

/* "TERM", "SIGTERM", "15", any case; -1 unknown. */
int signal_number(const char *text);
