/*
 * A container's record grows: first only the name of its cgroups, so that an interrupted creation can be cleaned up,
 * then all of the state, appended and renamed to state.json. One file, never half a state under that name.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "container/container.h"

#define NAME "incomplete"

int incomplete_start(int directory, const char *cgroup_path, struct err *err) {
  cleanup_str struct str text = STR_INIT;
  cleanup_close int fd = openat(directory, NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) {
    return err_errno(err, "cannot create the container's record");
  }
  int r = str_add(&text, "{\"cgroup\":");
  r = r < 0 ? r : json_add_quoted(&text, cgroup_path);
  r = r < 0 ? r : str_add(&text, "\n");
  return r < 0 ? err_oom(err) : fd_write_all(fd, text.data, text.size, err);
}

int incomplete_finish(int directory, struct str *state, struct err *err) {
  cleanup_close int fd = openat(directory, NAME, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    return err_errno(err, "cannot open the container's record");
  }
  state->data[0] = ','; /* in place of the opening brace */
  int r = fd_write_all(fd, state->data, state->size, err);
  if (r == 0 && renameat(directory, NAME, directory, "state.json") < 0) {
    r = err_errno(err, "cannot rename the container's record to state.json");
  }
  return r;
}

int incomplete_cgroup(int directory, char *path, size_t capacity) {
  cleanup_free char *text = NULL;
  cleanup_json struct json document = {.value = NULL, .path = ""};
  const char *found = NULL;
  int r = file_read(directory, NAME, &text, NULL, NULL);
  char *end = r < 0 ? NULL : strchr(text, '\n');
  if (end == NULL) {
    return -ENOENT;
  }
  *end = '}';
  r = json_parse(text, (size_t)(end - text) + 1, &document, NULL);
  r = r < 0 ? r : json_need_string(&document, "cgroup", &found, NULL);
  if (r < 0 || strlen(found) >= capacity) {
    return -EINVAL;
  }
  strcpy(path, found);
  return 0;
}
