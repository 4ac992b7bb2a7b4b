/* linux.seccomp to the program the kernel loads, by libseccomp and our own table of newer calls. Pure but for a memory
 * file. */
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

struct seccomp_program {
  struct sock_filter *filters; /* malloc'ed */
  size_t count;
  unsigned flags; /* SECCOMP_FILTER_FLAG_…; NEW_LISTENER when a rule notifies */
};

/* `skipped`, when not NULL, takes the names of calls that nobody here knows: no rule is made for them. */
int seccomp_compile(const struct json *profile, struct seccomp_program *ret_program, struct str *skipped,
                    struct err *err);

/* What the kernel would answer to this call, running the program; what is not understood kills. Pure. */
uint32_t seccomp_decide(const struct seccomp_program *program, const struct seccomp_data *data);

/* Whether it lets this call of the machine's own architecture through. */
struct seccomp_call {
  int number;
  uint64_t args[6];
};
bool seccomp_allows(const struct seccomp_program *program, const struct seccomp_call *call);

/* Whom the kernel's notifications go to; path NULL: nobody. Borrowed. */
struct seccomp_listener {
  const char *path, *metadata;
};
int seccomp_read_listener(const struct json *profile, struct seccomp_listener *ret_listener, struct err *err);

/* "2.5.4" of the library and "6.19" of the table, parts of a cached program's key. */
void seccomp_library_version(char *buffer, size_t capacity);
const char *seccomp_table_version(void);

/* Names for `features`, by index; NULL at the end. */
const char *seccomp_action_name(size_t index);
const char *seccomp_operator_name(size_t index);
const char *seccomp_architecture_name(size_t index);
const char *seccomp_flag_name(size_t index);
unsigned seccomp_flag_value(size_t index);
