#include "cgroup/systemd/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "cgroup/cgroup.h"
#include "cgroup/systemd/property.h"
#include "cgroup/v2/controllers.h"

#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"

static bool ends_with(const char *text, const char *end) {
  size_t length = strlen(text), tail = strlen(end);
  return length > tail && strcmp(text + length - tail, end) == 0;
}

int scope_name_parse(const char *path, const char *id, bool user, struct scope_name *ret_name, struct err *err) {
  struct scope_name name;
  char copy[400];
  if (path == NULL || path[0] == '\0') {
    snprintf(copy, sizeof(copy), ":tscompose:%s", id);
  } else if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy)) {
    return err_code(err, ENAMETOOLONG, "linux.cgroupsPath");
  }
  char *prefix = strchr(copy, ':');
  char *own = prefix == NULL ? NULL : strchr(prefix + 1, ':');
  if (own == NULL || own[1] == '\0' || strchr(own + 1, ':') != NULL || strchr(copy, '/') != NULL) {
    return err_set(err, EINVAL,
                   "linux.cgroupsPath: with --systemd-cgroup it is SLICE:PREFIX:NAME, such as "
                   "system.slice:tscompose:web, not '%s'",
                   path);
  }
  *prefix++ = '\0';
  *own++ = '\0';
  const char *slice = copy[0] != '\0' ? copy : user ? "user.slice" : "system.slice";
  if (!ends_with(slice, ".slice")) {
    return err_set(err, EINVAL, "linux.cgroupsPath: '%s' is not the name of a slice, which ends with .slice", slice);
  }
  if (ends_with(own, ".slice")) {
    return err_set(err, EINVAL, "linux.cgroupsPath: '%s' is a slice; a container needs a scope", own);
  }
  int n = snprintf(name.slice, sizeof(name.slice), "%s", slice);
  int m = snprintf(name.unit, sizeof(name.unit), "%s%s%s%s", prefix, prefix[0] == '\0' ? "" : "-", own,
                   ends_with(own, ".scope") ? "" : ".scope");
  if (n >= (int)sizeof(name.slice) || m >= (int)sizeof(name.unit)) {
    return err_code(err, ENAMETOOLONG, "linux.cgroupsPath");
  }
  *ret_name = name;
  return 0;
}

/* Where systemd may be asked, best first. The first socket that exists is the one; its refusal is final. */
struct candidate {
  char path[108];
  bool direct;
};

/* "unix:path=/run/user/1000/bus,guid=…" */
static void add_address(struct candidate *list, size_t *count, const char *variable) {
  const char *address = getenv(variable);
  const char *path = address == NULL ? NULL : strstr(address, "unix:path=");
  if (path != NULL) {
    path += strlen("unix:path=");
    snprintf(list[*count].path, sizeof(list[*count].path), "%.*s", (int)strcspn(path, ",;"), path);
    list[(*count)++].direct = false;
  }
}

int scope_connect(struct bus *ret_bus, struct err *err) {
  struct candidate list[4];
  size_t count = 0;
  if (!cgroup_user_is_confined()) {
    snprintf(list[count].path, sizeof(list[count].path), "/run/systemd/private");
    list[count++].direct = true;
    add_address(list, &count, "DBUS_SYSTEM_BUS_ADDRESS");
    snprintf(list[count].path, sizeof(list[count].path), "/run/dbus/system_bus_socket");
    list[count++].direct = false;
  } else {
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char fallback[40];
    snprintf(fallback, sizeof(fallback), "/run/user/%u", (unsigned)geteuid());
    runtime = runtime == NULL ? fallback : runtime;
    snprintf(list[count].path, sizeof(list[count].path), "%.80s/systemd/private", runtime);
    list[count++].direct = true;
    add_address(list, &count, "DBUS_SESSION_BUS_ADDRESS");
    snprintf(list[count].path, sizeof(list[count].path), "%.80s/bus", runtime);
    list[count++].direct = false;
  }
  int r = -ENOENT;
  for (size_t i = 0; i < count && (r == -ENOENT || r == -ECONNREFUSED); i++) {
    r = bus_connect(list[i].path, list[i].direct, ret_bus, err);
  }
  if (r == -ENOENT || r == -ECONNREFUSED) {
    return err_set(err, ENOENT,
                   "--systemd-cgroup: systemd does not run here (nobody listens at %s); leave the option out",
                   list[0].path);
  }
  return r < 0 ? err_prefix(err, "--systemd-cgroup") : 0;
}

static void put_name(struct bus_body *body, const char *name, const char *type) {
  bus_put_align(body, 8);
  bus_put_text(body, name);
  bus_put_signature(body, type);
}

static void put_text(struct bus_body *body, const char *name, const char *value) {
  put_name(body, name, "s");
  bus_put_text(body, value);
}

static void put_flag(struct bus_body *body, const char *name, bool value) {
  put_name(body, name, "b");
  bus_put_u32(body, value);
}

/* Negative: no limit, which is the largest number there. */
static void put_number(struct bus_body *body, const char *name, int64_t value) {
  if (value != PLAN_UNSET) {
    put_name(body, name, "t");
    bus_put_u64(body, value < 0 ? UINT64_MAX : (uint64_t)value);
  }
}

/* "0-2,5" as bits. */
static void put_set(struct bus_body *body, const char *name, const char *list) {
  uint8_t bits[1024] = {0};
  size_t size = 0;
  if (list == NULL || list[0] == '\0') {
    return;
  }
  for (const char *at = list; *at != '\0'; at += strcspn(at, ","), at += *at == ',') {
    unsigned low = 0, high = 0;
    int n = sscanf(at, "%u-%u", &low, &high);
    high = n == 1 ? low : high;
    for (unsigned i = low; n >= 1 && i <= high && i < sizeof(bits) * 8; i++) {
      bits[i / 8] = (uint8_t)(bits[i / 8] | 1 << i % 8);
      size = i / 8 + 1 > size ? i / 8 + 1 : size;
    }
  }
  put_name(body, name, "ay");
  size_t array = bus_array_begin(body, 1);
  body->failed = body->failed || str_append(&body->data, bits, size) < 0;
  bus_array_end(body, array, 1);
}

/* What systemd itself knows; the rest stands in the files of the group, which are ours. */
static void put_limits(struct bus_body *body, const struct plan_resources *from) {
  put_number(body, "MemoryMax", from->memory_limit);
  put_number(body, "MemoryLow", from->memory_reservation);
  if (from->memory_swap != PLAN_UNSET && (from->memory_swap < 0 || from->memory_limit > 0)) {
    put_number(body, "MemorySwapMax", from->memory_swap < 0 ? -1 : from->memory_swap - from->memory_limit);
  }
  put_number(body, "TasksMax", from->pids_limit);
  if (from->cpu_shares != PLAN_UNSET) {
    put_number(body, "CPUWeight", cgroup_v2_weight(from->cpu_shares));
  }
  if (from->cpu_quota != PLAN_UNSET) {
    int64_t period = from->cpu_period == PLAN_UNSET ? 100000 : from->cpu_period;
    /* systemd counts per second, in steps of 10 ms. */
    int64_t per_second = from->cpu_quota < 0 || from->cpu_quota > INT64_MAX / 1000000
                             ? -1
                             : (from->cpu_quota * 1000000 / period + 9999) / 10000 * 10000;
    put_number(body, "CPUQuotaPerSecUSec", per_second);
    put_number(body, "CPUQuotaPeriodUSec", from->cpu_period);
  }
  put_set(body, "AllowedCPUs", from->cpuset_cpus);
  put_set(body, "AllowedMemoryNodes", from->cpuset_mems);
}

static int put_scope(const struct scope_name *name, const struct scope_request *request, pid_t pid,
                     struct bus_body *ret_body, struct err *err) {
  static const char *const on[] = {"Delegate", "CPUAccounting", "MemoryAccounting", "IOAccounting", "TasksAccounting"};
  struct bus_body *body = ret_body;
  bus_put_text(body, name->unit);
  bus_put_text(body, "fail");
  size_t properties = bus_array_begin(body, 8);
  put_text(body, "Description", request->description);
  put_text(body, "Slice", name->slice);
  put_name(body, "PIDs", "au");
  size_t pids = bus_array_begin(body, 4);
  bus_put_u32(body, (uint32_t)pid);
  bus_array_end(body, pids, 4);
  put_flag(body, "DefaultDependencies", false);
  for (size_t i = 0; i < array_length(on); i++) {
    put_flag(body, on[i], true);
  }
  put_limits(body, request->resources);
  /* Behind ours: systemd takes the last. */
  int r = request->annotations == NULL ? 0 : property_put_all(body, request->annotations, err);
  bus_array_end(body, properties, 8);
  size_t others = bus_array_begin(body, 8);
  bus_array_end(body, others, 8);
  return r;
}

static int manager_call(struct bus *bus, const char *member, const char *signature, const struct bus_body *body,
                        struct bus_answer *ret_answer, struct err *err) {
  const struct bus_call call = {MANAGER_PATH, MANAGER, member, signature, body};
  return bus_call(bus, &call, ret_answer, err);
}

static int wait_for(struct bus *bus, struct bus_answer *answer, struct err *err) {
  const char *job = NULL;
  int r = bus_get_text(answer, &job, err);
  return r < 0 ? r : bus_wait_job(bus, job, err);
}

static int ask_group(struct bus *bus, const char *unit, char *path, size_t capacity, struct err *err) {
  cleanup_bus_answer struct bus_answer found = {.message = NULL}, answer = {.message = NULL};
  cleanup_bus_body struct bus_body by_name = {.failed = false}, property = {.failed = false};
  const char *object = NULL, *group = NULL;
  bus_put_text(&by_name, unit);
  int r = manager_call(bus, "GetUnit", "s", &by_name, &found, err);
  r = r < 0 ? r : bus_get_text(&found, &object, err);
  if (r < 0) {
    return r;
  }
  bus_put_text(&property, "org.freedesktop.systemd1.Scope");
  bus_put_text(&property, "ControlGroup");
  const struct bus_call call = {object, "org.freedesktop.DBus.Properties", "Get", "ss", &property};
  r = bus_call(bus, &call, &answer, err);
  r = r < 0 ? r : bus_get_text(&answer, &group, err);
  if (r == 0 && (group[0] != '/' || group[1] == '\0' || strlen(group) >= capacity)) {
    return err_set(err, EPROTO, "systemd names '%s' as the group of %s", group, unit);
  }
  if (r == 0) {
    strcpy(path, group);
  }
  return r;
}

void scope_release(struct scope *scope) {
  if (scope->holder > 0) {
    (void)kill(scope->holder, SIGKILL);
    (void)waitpid(scope->holder, NULL, 0);
    scope->holder = 0;
  }
}

int scope_start(struct bus *bus, const struct scope_name *name, const struct scope_request *request,
                struct scope *ret_scope, struct err *err) {
  cleanup_bus_answer struct bus_answer answer = {.message = NULL};
  cleanup_bus_body struct bus_body body = {.failed = false};
  struct scope scope = {.path = "", .holder = fork()};
  if (scope.holder < 0) {
    return err_errno(err, "cannot make a process to hold the scope");
  }
  if (scope.holder == 0) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)fd_close_from(0, NULL);
    for (;;) {
      pause();
    }
  }
  int r = put_scope(name, request, scope.holder, &body, err);
  r = r < 0 ? r : manager_call(bus, "StartTransientUnit", "ssa(sv)a(sa(sv))", &body, &answer, err);
  r = r < 0 ? r : wait_for(bus, &answer, err);
  r = r < 0 ? r : ask_group(bus, name->unit, scope.path, sizeof(scope.path), err);
  if (r < 0) {
    scope_release(&scope);
    return err_prefix(err, "cannot start scope %s in %s", name->unit, name->slice);
  }
  *ret_scope = scope;
  return 0;
}

int scope_update(struct bus *bus, const char *unit, const struct plan_resources *resources, struct err *err) {
  cleanup_bus_answer struct bus_answer answer = {.message = NULL};
  cleanup_bus_body struct bus_body body = {.failed = false};
  bus_put_text(&body, unit);
  bus_put_u32(&body, true); /* only until the next boot */
  size_t properties = bus_array_begin(&body, 8);
  put_limits(&body, resources);
  bus_array_end(&body, properties, 8);
  int r = manager_call(bus, "SetUnitProperties", "sba(sv)", &body, &answer, err);
  return r < 0 ? err_prefix(err, "cannot change scope %s", unit) : 0;
}

int scope_stop(struct bus *bus, const char *unit, struct err *err) {
  cleanup_bus_answer struct bus_answer answer = {.message = NULL}, other = {.message = NULL};
  cleanup_bus_body struct bus_body body = {.failed = false}, name = {.failed = false};
  bus_put_text(&body, unit);
  bus_put_text(&body, "replace");
  bus_put_text(&name, unit);
  int r = manager_call(bus, "StopUnit", "ss", &body, &answer, err);
  r = r < 0 ? r : wait_for(bus, &answer, err);
  if (r < 0 && r != -ENOENT) {
    return err_prefix(err, "cannot stop scope %s", unit);
  }
  /* A scope whose last process was killed counts as failed and would keep its name. */
  r = manager_call(bus, "ResetFailedUnit", "s", &name, &other, err);
  return r == -ENOENT ? 0 : r;
}
