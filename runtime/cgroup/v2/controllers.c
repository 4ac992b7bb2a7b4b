#include "cgroup/v2/controllers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cgroup/v1/controllers.h"

static int hugetlb_apply(const struct cgroup_writer *to, const struct plan_resources *from, struct err *err) {
  int r = 0;
  for (size_t i = 0; r == 0 && i < from->hugepage_count; i++) {
    const struct plan_hugepage_limit *limit = &from->hugepages[i];
    char file[64];
    snprintf(file, sizeof(file), "hugetlb.%.20s.max", limit->page_size);
    r = cgroup_write_max(to, file, limit->limit > INT64_MAX ? -1 : (int64_t)limit->limit, err);
    if (r == 0) {
      /* Reservations are counted apart since 5.7; an older kernel counts only use. */
      snprintf(file, sizeof(file), "hugetlb.%.20s.rsvd.max", limit->page_size);
      r = cgroup_write_max(to, file, limit->limit > INT64_MAX ? -1 : (int64_t)limit->limit, err);
      r = r == -ENOENT ? 0 : r;
    }
  }
  return r;
}

static const struct cgroup_v2_controller controllers[] = {
    {"memory", cgroup_v2_memory}, {"cpu", cgroup_v2_cpu}, {"cpuset", cgroup_cpuset_apply},
    {"pids", cgroup_pids_apply},  {"io", cgroup_v2_io},   {"hugetlb", hugetlb_apply},
    {"rdma", cgroup_rdma_apply},
};

const struct cgroup_v2_controller *cgroup_v2_controller(size_t index) {
  return index < array_length(controllers) ? &controllers[index] : NULL;
}

/* One write per line: files with a line per device take one at a time. */
static int write_lines(const struct cgroup_writer *to, const char *file, const char *value, struct err *err) {
  cleanup_free char *copy = strdup(value);
  char *rest = NULL;
  int r = 0;
  if (copy == NULL) {
    return err_oom(err);
  }
  for (char *line = strtok_r(copy, "\n", &rest); r == 0 && line != NULL; line = strtok_r(NULL, "\n", &rest)) {
    size_t length = strcspn(line, " ");
    char key[64], none[80];
    if (line[length] != ' ' || memchr(line, ':', length) == NULL || length >= sizeof(key)) {
      r = cgroup_write(to, file, line, err);
      continue;
    }
    snprintf(key, sizeof(key), "%.*s", (int)length, line);
    snprintf(none, sizeof(none),
             strcmp(file, "io.max") == 0 ? "%s rbps=max wbps=max riops=max wiops=max" : "%s default", key);
    r = cgroup_write_keyed(to, file, key, line, none, err);
  }
  return r;
}

int cgroup_v2_unified(const struct cgroup_writer *to, const struct plan_resources *from, struct err *err) {
  int r = 0;
  for (size_t i = 0; r == 0 && i < from->unified_count; i++) {
    const char *file = from->unified[i].key;
    r = write_lines(to, file, from->unified[i].value, err);
    if (r < 0) {
      return r == -ENOENT ? err_set(err, ENOTSUP,
                                    "linux.resources.unified: %s is no file of this group: unknown to this kernel, or "
                                    "its controller is not passed on by a group above",
                                    file)
                          : err_prefix(err, "linux.resources.unified");
    }
  }
  return r;
}

static bool has_word(const char *words, const char *word, char separator) {
  size_t length = strlen(word);
  for (const char *at = strstr(words, word); at != NULL; at = strstr(at + 1, word)) {
    if ((at == words || at[-1] == separator) && (at[length] == separator || at[length] == '\0')) {
      return true;
    }
  }
  return false;
}

/* The root excepted, a group with processes cannot pass memory or io on; passing cpu on would make it threaded. */
static bool is_occupied(int fd) {
  char text[32];
  cleanup_close int procs = openat(fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
  return faccessat(fd, "cgroup.type", F_OK, 0) == 0 && procs >= 0 && read(procs, text, sizeof(text)) > 0;
}

void cgroup_v2_delegate(int fd, const char *only) {
  char available[512], passed[512];
  if (file_read_line(fd, "cgroup.controllers", available, sizeof(available), NULL) < 0 ||
      file_read_line(fd, "cgroup.subtree_control", passed, sizeof(passed), NULL) < 0 || is_occupied(fd)) {
    return;
  }
  /* One by one: a controller that cannot be passed on must not keep the others back. A limit that then has no file
   * fails by name. */
  char *saved = NULL;
  for (char *name = strtok_r(available, " ", &saved); name != NULL; name = strtok_r(NULL, " ", &saved)) {
    char text[80];
    if (has_word(passed, name, ' ') || (only != NULL && !has_word(only, name, ','))) {
      continue;
    }
    snprintf(text, sizeof(text), "+%.70s", name);
    (void)file_write_existing(fd, "cgroup.subtree_control", text, NULL);
  }
}
