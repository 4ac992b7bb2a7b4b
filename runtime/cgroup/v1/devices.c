#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cgroup/v1/controllers.h"

static void device_number(int64_t value, char *buffer, size_t capacity) {
  if (value < 0) {
    snprintf(buffer, capacity, "*");
  } else {
    snprintf(buffer, capacity, "%lld", (long long)value);
  }
}

int cgroup_v1_devices(const struct cgroup_writer *to, const struct plan_resources *from, struct err *err) {
  cleanup_close int allow = openat(to->fd, "devices.allow", O_WRONLY | O_CLOEXEC);
  cleanup_close int deny = openat(to->fd, "devices.deny", O_WRONLY | O_CLOEXEC);
  if (allow < 0 || deny < 0) {
    return err_errno(err, "cannot open devices.allow and devices.deny");
  }
  for (size_t i = 0; i < from->device_count; i++) {
    const struct plan_device_rule *rule = &from->devices[i];
    char line[64], major[24], minor[24];
    device_number(rule->major, major, sizeof(major));
    device_number(rule->minor, minor, sizeof(minor));
    int n = rule->type == 'a' ? snprintf(line, sizeof(line), "a")
                              : snprintf(line, sizeof(line), "%c %s:%s %s%s%s", rule->type, major, minor,
                                         rule->read ? "r" : "", rule->write ? "w" : "", rule->make ? "m" : "");
    if (write(rule->allow ? allow : deny, line, (size_t)n) < 0) {
      return err_errno(err, "cannot write '%s' to devices.%s", line, rule->allow ? "allow" : "deny");
    }
  }
  return 0;
}
