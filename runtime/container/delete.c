#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "container/container.h"
#include "sys/process.h"
#include "sys/syscalls.h"

static void run_poststop(const struct container *container) {
  struct plan plan;
  memset(&plan, 0, sizeof(plan));
  struct err err = ERR_INIT;
  cleanup_free char *text = NULL;
  int r = plan_read_hooks(&plan, &container->document, &err);
  if (r == 0 && plan.hooks[HOOK_POSTSTOP].count > 0) {
    r = container_state_text(container, CONTAINER_STOPPED, &text, &err);
    if (r == 0) {
      hooks_run_all(&plan.hooks[HOOK_POSTSTOP], hook_names[HOOK_POSTSTOP], text);
    }
  }
  arena_free(&plan.arena);
  if (r < 0) {
    log_warn("%s", err.text);
  }
}

static int stop(const struct container *container, struct err *err) {
  cleanup_close int pidfd = -1;
  int opened = process_open(container->pid, container->start_time, &pidfd, err);
  if (opened < 0) {
    return opened == -ESRCH ? 0 : opened;
  }
  if (sys_pidfd_send_signal(pidfd, SIGKILL) < 0 && errno != ESRCH) {
    return err_errno(err, "cannot kill container %s", container->id);
  }
  /* Process 1 of a pid namespace ends after every other one has been reaped. One that was executed into it and whose
     parent, outside, does not reap holds it back; it does nothing any more then, and the cgroups tell whether anybody
     still does. */
  int r = process_wait_gone(pidfd, 3000, err);
  if (r == -ETIMEDOUT) {
    log_warn("process 1 of container %s waits for a process whose parent does not reap it", container->id);
    return 0;
  }
  return r;
}

/* What an interrupted create left: no state yet, only the name of its cgroups. Whatever is in them goes too. */
static int remove_incomplete(const char *root, const char *id, struct err *err) {
  char path[PATH_MAX], group[512];
  int r = container_check_id(id, err);
  if (r < 0) {
    return r;
  }
  snprintf(path, sizeof(path), "%s/%s", root, id);
  cleanup_close int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (directory >= 0 && incomplete_cgroup(directory, group, sizeof(group)) == 0) {
    struct cgroup_layout layout;
    struct cgroup cgroup;
    r = cgroup_layout_read(&layout, err);
    r = r < 0 ? r : cgroup_find(&layout, group, &cgroup, err);
    r = r < 0 ? r : cgroup_destroy(&cgroup, err);
  }
  if (directory >= 0) {
    (void)container_stop_scope(directory, NULL);
  }
  return r < 0 ? r : file_remove_tree(AT_FDCWD, path, err);
}

int container_delete(const char *root, const char *id, bool force, struct err *err) {
  cleanup_container struct container container = CONTAINER_INIT;
  int r = container_open(root, id, true, &container, err);
  if (r == -ENOENT && force) {
    return remove_incomplete(root, id, err);
  }
  if (r < 0) {
    return r;
  }
  enum container_status status = container_status(&container);
  if (status != CONTAINER_STOPPED) {
    if (!force) {
      return err_set(err, EBUSY, "cannot delete container %s: it is %s; stop it first, or use --force", id,
                     container_status_names[status]);
    }
    if (status == CONTAINER_PAUSED) {
      (void)cgroup_freeze(&container.cgroup, false, NULL);
    }
    r = stop(&container, err);
    if (r < 0) {
      return r;
    }
  }
  r = cgroup_destroy(&container.cgroup, err);
  if (r < 0) {
    return r;
  }
  struct err why = ERR_INIT;
  if (container_stop_scope(container.directory, &why) < 0) {
    log_warn("%s", why.text);
  }
  char path[PATH_MAX];
  snprintf(path, sizeof(path), "%s/%s", root, id);
  r = file_remove_tree(AT_FDCWD, path, err);
  run_poststop(&container);
  return r;
}
