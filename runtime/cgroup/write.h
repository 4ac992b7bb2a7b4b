/*
 * Writing the files of one group. With a journal (update on a live container) what stood there before is kept, so that
 * a failure half-way can be taken back.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct cgroup_change {
  int fd;
  char file[72];
  char *before;
};

struct cgroup_journal {
  struct cgroup_change *items;
  size_t count;
};

struct cgroup_writer {
  int fd;                         /* the group's directory */
  struct cgroup_journal *journal; /* NULL: nothing is kept */
};

int cgroup_write(const struct cgroup_writer *to, const char *file, const char *text, struct err *err);

/* For files with one line per device: `none` is what takes the line of `key` away when there was none. */
int cgroup_write_keyed(const struct cgroup_writer *to, const char *file, const char *key, const char *text,
                       const char *none, struct err *err);

/* A number as text; PLAN_UNSET writes nothing. */
int cgroup_write_number(const struct cgroup_writer *to, const char *file, int64_t value, struct err *err);

/* The same where a negative number is the word "max". */
int cgroup_write_max(const struct cgroup_writer *to, const char *file, int64_t value, struct err *err);

/* A number, or PLAN_UNSET when the file cannot be read; "max" is -1. */
int64_t cgroup_read_number(int fd, const char *file);

/* Takes everything back, last first; adds to `report` what was changed and whether that worked. Ends the journal. */
void cgroup_journal_undo(struct cgroup_journal *journal, struct str *report);
void cgroup_journal_free(struct cgroup_journal *journal);
#define cleanup_journal __attribute__((cleanup(cgroup_journal_free)))
