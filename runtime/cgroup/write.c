#include "cgroup/write.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "spec/plan.h"

void cgroup_journal_free(struct cgroup_journal *journal) {
  for (size_t i = 0; i < journal->count; i++) {
    free(journal->items[i].before);
  }
  free(journal->items);
  *journal = (struct cgroup_journal){NULL, 0};
}

/* The first line, or the one that starts with the key; as text that can be written again. */
static char *text_before(char *content, const char *key, const char *none) {
  if (key == NULL) {
    content[strcspn(content, "\n")] = '\0';
    /* Writing no byte at all would be no write. */
    return strdup(content[0] == '\0' ? "\n" : content);
  }
  size_t length = strlen(key);
  char *rest = NULL;
  for (char *line = strtok_r(content, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
    if (strncmp(line, key, length) == 0 && line[length] == ' ') {
      return strdup(line);
    }
  }
  return strdup(none);
}

static int keep(const struct cgroup_writer *to, const char *file, const char *key, const char *none, struct err *err) {
  struct cgroup_journal *journal = to->journal;
  cleanup_free char *content = NULL;
  if (journal == NULL) {
    return 0;
  }
  int r = file_read(to->fd, file, &content, NULL, err);
  if (r < 0) {
    return r;
  }
  struct cgroup_change *items = realloc(journal->items, (journal->count + 1) * sizeof(*items));
  if (items == NULL) {
    return err_oom(err);
  }
  journal->items = items;
  struct cgroup_change *change = &items[journal->count];
  change->fd = to->fd;
  snprintf(change->file, sizeof(change->file), "%s", file);
  change->before = text_before(content, key, none);
  if (change->before == NULL) {
    return err_oom(err);
  }
  journal->count++;
  return 0;
}

int cgroup_write_keyed(const struct cgroup_writer *to, const char *file, const char *key, const char *text,
                       const char *none, struct err *err) {
  int r = keep(to, file, key, none, err);
  if (r < 0) {
    return r;
  }
  r = file_write_existing(to->fd, file, text, err);
  if (r < 0 && to->journal != NULL) {
    /* Not changed: nothing to take back. */
    free(to->journal->items[--to->journal->count].before);
  }
  return r;
}

int cgroup_write(const struct cgroup_writer *to, const char *file, const char *text, struct err *err) {
  return cgroup_write_keyed(to, file, /* key= */ NULL, text, /* none= */ NULL, err);
}

int cgroup_write_number(const struct cgroup_writer *to, const char *file, int64_t value, struct err *err) {
  char text[24];
  if (value == PLAN_UNSET) {
    return 0;
  }
  snprintf(text, sizeof(text), "%lld", (long long)value);
  return cgroup_write(to, file, text, err);
}

int cgroup_write_max(const struct cgroup_writer *to, const char *file, int64_t value, struct err *err) {
  return value != PLAN_UNSET && value < 0 ? cgroup_write(to, file, "max", err)
                                          : cgroup_write_number(to, file, value, err);
}

int64_t cgroup_read_number(int fd, const char *file) {
  char text[64];
  long long value = 0;
  if (file_read_line(fd, file, text, sizeof(text), NULL) < 0) {
    return PLAN_UNSET;
  }
  if (strcmp(text, "max") == 0) {
    return -1;
  }
  return str_to_long(text, INT64_MIN + 1, INT64_MAX, &value) < 0 ? PLAN_UNSET : value;
}

void cgroup_journal_undo(struct cgroup_journal *journal, struct str *report) {
  for (size_t i = journal->count; i > 0; i--) {
    const struct cgroup_change *change = &journal->items[i - 1];
    struct err why = ERR_INIT;
    int r = file_write_existing(change->fd, change->file, change->before, &why);
    (void)str_addf(report, "%s%s %s", i == journal->count ? "" : ", ", change->file,
                   r < 0 ? "stays changed" : "was set back");
  }
  cgroup_journal_free(journal);
}
