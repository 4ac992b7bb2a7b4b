/* New limits for a living container: every write is kept in a journal, so that a failure half-way is taken back. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cgroup/apply.h"
#include "cgroup/cgroup.h"

static int apply_all(const struct cgroup *cgroup, const int fds[], struct cgroup_journal *journal,
                     const struct plan_resources *resources, struct err *err) {
  for (size_t i = 0; i < cgroup->count; i++) {
    const struct cgroup_place *place = &cgroup->places[i];
    const struct cgroup_writer to = {.fd = fds[i], .journal = journal};
    if (place->directory[0] == '\0') {
      const char *limit = cgroup_first_need(cgroup, place, resources);
      if (limit != NULL) {
        return err_set(err, ENOTSUP, "the container has no group of its own for the %s controller", limit);
      }
      continue;
    }
    int r = cgroup_apply(cgroup, place, &to, resources, err);
    if (r < 0) {
      return r;
    }
  }
  return 0;
}

int cgroup_update(const struct cgroup *cgroup, const struct plan_resources *resources, struct err *err) {
  cleanup_journal struct cgroup_journal journal = {NULL, 0};
  struct cgroup_layout layout;
  int fds[CGROUP_HIERARCHIES];
  memset(fds, -1, sizeof(fds));
  int r = cgroup_layout_read(&layout, err);
  r = r < 0 ? r : cgroup_check_needs(cgroup, &layout, resources, err);
  for (size_t i = 0; r == 0 && i < cgroup->count; i++) {
    const char *directory = cgroup->places[i].directory;
    fds[i] = directory[0] == '\0' ? -1 : open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fds[i] < 0 && directory[0] != '\0') {
      r = err_errno(err, "cannot open cgroup %s", directory);
    }
  }
  r = r < 0 ? r : apply_all(cgroup, fds, &journal, resources, err);
  if (r < 0 && journal.count > 0) {
    cleanup_str struct str report = STR_INIT;
    cgroup_journal_undo(&journal, &report);
    if (err != NULL && report.data != NULL) {
      size_t length = strlen(err->text);
      snprintf(err->text + length, sizeof(err->text) - length, " (of what had been changed, %s)", report.data);
    }
  }
  for (size_t i = 0; i < cgroup->count; i++) {
    if (fds[i] >= 0) {
      close(fds[i]);
    }
  }
  return r;
}
