/* linux.seccomp as structures, checked; between the reader, the compiler and the part for newer calls. */
#pragma once

#include <seccomp.h>
#include <stdbool.h>

#include "base/json.h"
#include "spec/plan.h"
#include "spec/seccomp.h"

struct seccomp_rule {
  struct json source; /* for messages */
  struct plan_text_list names;
  uint32_t action;
  struct scmp_arg_cmp *args;
  size_t arg_count;
};

struct seccomp_profile {
  uint32_t default_action;
  uint32_t *architectures; /* the machine's own first, which every filter has */
  size_t architecture_count;
  struct seccomp_rule *rules;
  size_t rule_count;
  unsigned flags;
};

/* Strings are borrowed from the document, arrays belong to the arena. */
int seccomp_read_profile(struct arena *arena, const struct json *source, struct seccomp_profile *ret_profile,
                         struct err *err);

/* The part before libseccomp's program: rules for calls that it does not know, and ENOSYS for calls newer than all the
   profile names, where the default is another errno. Nothing to say: no instructions. */
int seccomp_compile_newer(const struct seccomp_profile *profile, struct str *ret_filters, struct err *err);
