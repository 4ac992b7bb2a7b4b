/* The containers of a root: for people in columns, for programs as JSON. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "container/container.h"

struct row {
  char *id, *bundle, *created, *owner;
  pid_t pid;
  enum container_status status;
};

struct rows {
  struct row *items;
  size_t count;
};

static void rows_free(struct rows *rows) {
  for (size_t i = 0; i < rows->count; i++) {
    free(rows->items[i].id);
    free(rows->items[i].bundle);
    free(rows->items[i].created);
    free(rows->items[i].owner);
  }
  free(rows->items);
}

/* From the file alone: a static program has no other name services. */
static char *owner_name(int directory) {
  struct stat at;
  if (fstat(directory, &at) < 0) {
    return NULL;
  }
  cleanup_file FILE *file = fopen("/etc/passwd", "re");
  const struct passwd *entry;
  while (file != NULL && (entry = fgetpwent(file)) != NULL) {
    if (entry->pw_uid == at.st_uid) {
      return strdup(entry->pw_name);
    }
  }
  return str_format("%u", at.st_uid);
}

static int add_row(struct rows *rows, const struct container *container, struct err *err) {
  struct row *items = reallocarray(rows->items, rows->count + 1, sizeof(*items));
  if (items == NULL) {
    return err_oom(err);
  }
  rows->items = items;
  enum container_status status = container_status(container);
  struct row *row = &items[rows->count++];
  *row = (struct row){.id = strdup(container->id),
                      .bundle = strdup(container->bundle),
                      .created = strdup(container->created),
                      .owner = owner_name(container->directory),
                      .pid = status == CONTAINER_STOPPED ? 0 : container->pid,
                      .status = status};
  return row->id == NULL || row->bundle == NULL || row->created == NULL || row->owner == NULL ? err_oom(err) : 0;
}

static int wider(int width, const char *text) {
  int length = (int)strlen(text);
  return length > width ? length : width;
}

static int print_table(const struct rows *rows, struct str *out) {
  int id = 2, bundle = 6, created = 7;
  for (size_t i = 0; i < rows->count; i++) {
    id = wider(id, rows->items[i].id);
    bundle = wider(bundle, rows->items[i].bundle);
    created = wider(created, rows->items[i].created);
  }
  int r = str_addf(out, "%-*s  %-8s  %-8s  %-*s  %-*s  %s\n", id, "ID", "PID", "STATUS", bundle, "BUNDLE", created,
                   "CREATED", "OWNER");
  for (size_t i = 0; r == 0 && i < rows->count; i++) {
    const struct row *row = &rows->items[i];
    r = str_addf(out, "%-*s  %-8d  %-8s  %-*s  %-*s  %s\n", id, row->id, (int)row->pid,
                 container_status_names[row->status], bundle, row->bundle, created, row->created, row->owner);
  }
  return r;
}

static int print_ids(const struct rows *rows, struct str *out) {
  int r = str_add(out, "");
  for (size_t i = 0; r == 0 && i < rows->count; i++) {
    r = str_addf(out, "%s\n", rows->items[i].id);
  }
  return r;
}

/* The state as `state` prints it, with the owner as one more member: its closing brace is left out for that. */
static int add_state(const struct container *container, bool first, struct str *out, struct err *err) {
  cleanup_free char *text = NULL;
  cleanup_free char *owner = owner_name(container->directory);
  int r = container_state_text(container, container_status(container), &text, err);
  if (r < 0) {
    return r;
  }
  r = str_addf(out, "%s%.*s,\"owner\":", first ? "" : ",", (int)strlen(text) - 2, text);
  r = r < 0 ? r : json_add_quoted(out, owner == NULL ? "" : owner);
  r = r < 0 ? r : str_add(out, "}");
  return r < 0 ? err_oom(err) : 0;
}

int container_list(const char *root, bool json, bool quiet, char **ret_text, struct err *err) {
  cleanup_str struct str out = STR_INIT;
  cleanup_dir DIR *dir = opendir(root);
  const struct dirent *entry;
  struct rows rows = {NULL, 0};
  int r = json ? str_add(&out, "[") : 0;
  bool first = true;
  while (r == 0 && dir != NULL && (entry = readdir(dir)) != NULL) {
    cleanup_container struct container container = CONTAINER_INIT;
    if (entry->d_name[0] == '.' || container_open(root, entry->d_name, false, &container, NULL) < 0) {
      continue; /* being made, or gone meanwhile */
    }
    r = json ? add_state(&container, first, &out, err) : add_row(&rows, &container, err);
    first = false;
  }
  if (r == 0) {
    r = json ? str_add(&out, "]\n") : quiet ? print_ids(&rows, &out) : print_table(&rows, &out);
    r = r < 0 ? err_oom(err) : 0;
  }
  rows_free(&rows);
  if (r == 0) {
    *ret_text = take_ptr(out.data);
  }
  return r;
}
