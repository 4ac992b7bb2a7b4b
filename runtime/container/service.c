/* The service manager above us: its notify socket and the sockets it opened. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "container/creation.h"
#include "container/notify.h"

int creation_plan_service(struct creation *creation, struct err *err) {
  const struct create_options *options = creation->options;
  struct plan *plan = &creation->plan;
  if (options->notify_socket != NULL) {
    char root[PATH_MAX], directory[PATH_MAX];
    if (realpath(options->root, root) == NULL) {
      return err_errno(err, "cannot find %s", options->root);
    }
    int n = snprintf(directory, sizeof(directory), "%s/%s", root, options->id);
    int r = n < 0 || (size_t)n >= sizeof(directory)
                ? err_code(err, ENAMETOOLONG, "--root")
                : notify_plan(creation->directory, directory, options->notify_socket, plan, err);
    if (r < 0) {
      return r;
    }
  }
  if (options->listen_fds == 0) {
    return 0;
  }
  /* The process id is only known to the process. */
  size_t names = options->listen_names == NULL ? 0 : strlen(options->listen_names) + 1;
  char *count = arena_get(&plan->arena, 32);
  char *pid = arena_get(&plan->arena, 32);
  char *text = arena_get(&plan->arena, names + 32);
  if (count == NULL || pid == NULL || text == NULL) {
    return err_oom(err);
  }
  snprintf(count, 32, "LISTEN_FDS=%d", options->listen_fds);
  creation->setup.listen_pid = stpcpy(pid, "LISTEN_PID=");
  snprintf(text, names + 32, "LISTEN_FDNAMES=%s", options->listen_names == NULL ? "" : options->listen_names);
  const char *const more[] = {count, pid, text};
  return plan_add_environment(&plan->arena, &plan->process.env, more, options->listen_names == NULL ? 2 : 3, err);
}
