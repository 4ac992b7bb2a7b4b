/* linux.seccomp to the program the kernel loads, by libseccomp. Pure but for a memory file. */
#pragma once

#include <linux/filter.h>
#include <stddef.h>

#include "base/err.h"
#include "base/json.h"

struct seccomp_program {
  struct sock_filter *filters; /* malloc'ed */
  size_t count;
  unsigned flags; /* SECCOMP_FILTER_FLAG_… */
};

int seccomp_compile(const struct json *profile, struct seccomp_program *ret_program, struct err *err);
/* The flags alone: they are not part of the compiled program. Also refuses what compile would refuse cheaply. */
int seccomp_read_flags(const struct json *profile, unsigned *ret_flags, struct err *err);
/* "2.5.4" of the library, part of a cached program's key. */
void seccomp_library_version(char *buffer, size_t capacity);
