#include <errno.h>

#include "base/log.h"
#include "container/container.h"

int container_update(const char *root, const char *id, const struct json *resources, struct err *err) {
  cleanup_container struct container container = CONTAINER_INIT;
  struct arena arena = {NULL};
  struct plan_resources limits;
  int r = container_open(root, id, true, &container, err);
  if (r < 0) {
    return r;
  }
  if (container_status(&container) == CONTAINER_STOPPED) {
    return err_set(err, EINVAL, "cannot update container %s: it is stopped", id);
  }
  if (json_get(resources, "devices").value != NULL) {
    log_warn("devices: the device rules of a container stay as it was created with");
  }
  r = plan_read_limits(&arena, resources, &limits, err);
  r = r < 0 ? r : cgroup_update(&container.cgroup, &limits, err);
  r = r < 0 ? r : container_update_scope(container.directory, &limits, err);
  arena_free(&arena);
  return r < 0 ? err_prefix(err, "cannot update container %s", id) : 0;
}
