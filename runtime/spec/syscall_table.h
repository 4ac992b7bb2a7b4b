/* System calls newer than the oldest libseccomp we build with knows: name to number, for every architecture. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The last Linux release whose calls the table has; part of a compiled filter's key. */
#define SYSCALL_TABLE_VERSION "6.19"

/* `architecture` is a SCMP_ARCH_ token. -1: not in the table, or not a call of that architecture. */
int64_t syscall_number(uint32_t architecture, const char *name);

/* The entries one after the other, for tests; NULL at the end. *ret_number: without the architecture's offset. */
const char *syscall_entry(size_t index, unsigned *ret_number);
