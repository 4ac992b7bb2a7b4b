#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "container/container.h"
#include "container/notify.h"
#include "sys/process.h"
#include "sys/syscalls.h"

int container_run_poststart(const struct plan_hooks *hooks, const char *oci_version, const char *state,
                            struct err *err) {
  if (plan_version_from(oci_version, 3)) {
    return hooks_run(hooks, hook_names[HOOK_POSTSTART], state, err);
  }
  hooks_run_all(hooks, hook_names[HOOK_POSTSTART], state);
  return 0;
}

/* Leaves it stopped, for the caller's `delete`. */
static void stop(const struct container *container) {
  cleanup_close int pidfd = -1;
  if (process_open(container->pid, container->start_time, &pidfd, NULL) == 0) {
    (void)sys_pidfd_send_signal(pidfd, SIGKILL);
    (void)process_wait_gone(pidfd, 10000, NULL);
  }
}

static int run_poststart(const struct container *container, struct err *err) {
  struct plan plan;
  memset(&plan, 0, sizeof(plan));
  cleanup_free char *text = NULL;
  const char *version = NULL;
  int r = plan_read_hooks(&plan, &container->document, err);
  if (r == 0 && plan.hooks[HOOK_POSTSTART].count > 0) {
    r = json_need_string(&container->document, "ociVersion", &version, err);
    r = r < 0 ? r : container_state_text(container, CONTAINER_RUNNING, &text, err);
    r = r < 0 ? r : container_run_poststart(&plan.hooks[HOOK_POSTSTART], version, text, err);
  }
  arena_free(&plan.arena);
  if (r < 0) {
    stop(container);
  }
  return r;
}

int container_start(const char *root, const char *id, struct err *err) {
  cleanup_container struct container container = CONTAINER_INIT;
  int r = container_open(root, id, true, &container, err);
  if (r < 0) {
    return r;
  }
  if (container.process.value == NULL) {
    return err_set(err, EINVAL, "cannot start container %s: its config.json has no process", id);
  }
  enum container_status status = container_status(&container);
  if (status != CONTAINER_CREATED) {
    return err_set(err, EINVAL, "cannot start container %s: it is %s, not created", id, container_status_names[status]);
  }
  /* The waiting process holds the reading end: nobody there means it has died meanwhile. */
  cleanup_close int fifo = openat(container.directory, "start", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
  if (fifo < 0) {
    return err_set(err, ESRCH, "cannot start container %s: its process is gone", id);
  }
  struct notify notify = NOTIFY_INIT;
  (void)signal(SIGPIPE, SIG_IGN);
  r = notify_listen(container.directory, &notify, err);
  r = r < 0 ? r : fd_write_all(fifo, "s", 1, err);
  if (r < 0) {
    return r;
  }
  /* Execution closes the process's end: then it either runs or has left word why not. */
  struct pollfd entry = {.fd = fifo, .events = 0};
  while (poll(&entry, 1, 30000) < 0 && errno == EINTR) {
  }
  (void)unlinkat(container.directory, "start", 0);
  char why[512];
  if (file_read_line(container.directory, "start-error", why, sizeof(why), NULL) == 0 && why[0] != '\0') {
    return err_set(err, ENOEXEC, "%s", why);
  }
  r = run_poststart(&container, err);
  if (r < 0) {
    notify_close(&notify);
    return r;
  }
  cleanup_close int pidfd = -1;
  if (notify.socket >= 0 && process_open(container.pid, container.start_time, &pidfd, NULL) == 0) {
    notify_wait_ready(&notify, container.pid, pidfd);
  }
  notify_close(&notify);
  return 0;
}
