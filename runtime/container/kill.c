#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "container/container.h"
#include "sys/process.h"
#include "sys/syscalls.h"

int container_kill(const char *root, const char *id, int signal_number, bool all, struct err *err) {
  cleanup_container struct container container = CONTAINER_INIT;
  int r = container_open(root, id, false, &container, err);
  if (r < 0) {
    return r;
  }
  if (all) {
    return cgroup_signal(&container.cgroup, signal_number, err);
  }
  cleanup_close int pidfd = -1;
  r = process_open(container.pid, container.start_time, &pidfd, err);
  if (r < 0) {
    return r == -ESRCH ? err_set(err, ESRCH, "cannot signal container %s: it is stopped", id) : r;
  }
  if (sys_pidfd_send_signal(pidfd, signal_number) < 0) {
    return err_errno(err, "cannot signal container %s", id);
  }
  return 0;
}

/* cgroup.freeze of v2 exists on hybrid hosts too, and frozen processes can still be killed; v1's freezer else. */
int container_pause(const char *root, const char *id, bool pause, struct err *err) {
  cleanup_container struct container container = CONTAINER_INIT;
  int r = container_open(root, id, true, &container, err);
  if (r < 0) {
    return r;
  }
  enum container_status status = container_status(&container);
  if (pause ? status != CONTAINER_RUNNING && status != CONTAINER_CREATED : status != CONTAINER_PAUSED) {
    return err_set(err, EINVAL, "cannot %s container %s: it is %s", pause ? "pause" : "resume", id,
                   container_status_names[status]);
  }
  return cgroup_freeze(&container.cgroup, pause, err);
}
