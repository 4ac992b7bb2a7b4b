/* The systemd scope of a container, whose unit name is kept in the file `scope` beside its state. */
#include <errno.h>

#include "base/file.h"
#include "cgroup/systemd/scope.h"
#include "container/container.h"

int container_stop_scope(int directory, struct err *err) {
  cleanup_bus struct bus bus = BUS_INIT;
  char unit[256];
  if (file_read_line(directory, "scope", unit, sizeof(unit), NULL) < 0) {
    return 0;
  }
  int r = scope_connect(&bus, err);
  return r < 0 ? r : scope_stop(&bus, unit, err);
}

int container_update_scope(int directory, const struct plan_resources *resources, struct err *err) {
  cleanup_bus struct bus bus = BUS_INIT;
  char unit[256];
  if (file_read_line(directory, "scope", unit, sizeof(unit), NULL) < 0) {
    return 0;
  }
  int r = scope_connect(&bus, err);
  r = r < 0 ? r : scope_update(&bus, unit, resources, err);
  return r < 0 ? err_prefix(err, "the limits are set, but systemd sets its own when it reloads") : 0;
}
