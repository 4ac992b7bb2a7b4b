/*
 * A process that is born where strangers may look at it and shows them nothing of what its maker knows. It runs on a
 * stack of its own; the maker's heap and stack, command line included, read as zeroes in it. So it has nothing but what
 * it is given in an area, and must not use malloc.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

/* At the very start of the program: what is allocated from here on can be hidden. */
void hidden_begin(void);
/* From here on all of it is in one place. */
void hidden_gather(void);

/* Memory that the new process shall have too, with its stack. No way to free it. */
struct area {
  char *next, *end; /* what is given out grows up from the bottom, the stack down from the end */
};
int area_open(size_t size, struct area *ret_area, struct err *err);
/* Zeroed; NULL when the area is full. */
void *area_get(struct area *area, size_t size);
/* NULL stays NULL. *ret_copy untouched on failure. */
int area_copy_text(struct area *area, const char *text, const char **ret_copy, struct err *err);
/* A NULL-terminated list, or NULL. */
int area_copy_list(struct area *area, const char *const *list, const char ***ret_copy, struct err *err);

/* A child, or with CLONE_PARENT a sibling, that runs `run(argument)`, both in the area, and ends with its result.
   One system call: clone. Returns the process id or -1 and errno. */
pid_t hidden_clone(int flags, const struct area *area, int (*run)(void *argument), void *argument);

/* Flags of that call, for who wants to know whether a filter lets it through. */
#define HIDDEN_CLONE_FLAGS(flags) ((flags) | 17 /* SIGCHLD */)

/* Before it: hides what there is by now. */
int hidden_prepare(struct err *err);
