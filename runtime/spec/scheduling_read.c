#include <errno.h>
#include <string.h>

#include "spec/plan.h"

/* Kernel numbers (sched.h, ioprio.h); libc has some of them only. */
static const struct {
  const char *name;
  uint32_t policy;
} policies[] = {
    {"SCHED_OTHER", 0}, {"SCHED_FIFO", 1}, {"SCHED_RR", 2},
    {"SCHED_BATCH", 3}, {"SCHED_IDLE", 5}, {"SCHED_DEADLINE", 6},
};

static const struct {
  const char *name;
  uint64_t flag;
} flag_names[] = {
    {"SCHED_FLAG_RESET_ON_FORK", 0x01},  {"SCHED_FLAG_RECLAIM", 0x02},     {"SCHED_FLAG_DL_OVERRUN", 0x04},
    {"SCHED_FLAG_KEEP_POLICY", 0x08},    {"SCHED_FLAG_KEEP_PARAMS", 0x10}, {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40},
};

static int read_flags(const struct json *object, uint64_t *ret_flags, struct err *err) {
  struct json array;
  size_t count = 0;
  int r = json_array_at(object, "flags", &array, &count, err);
  for (size_t i = 0; r >= 0 && i < count; i++) {
    struct json item;
    const char *name = NULL;
    json_item(&array, i, &item);
    r = json_as_string(&item, &name, err);
    size_t at = 0;
    while (r >= 0 && at < array_length(flag_names) && strcmp(flag_names[at].name, name) != 0) {
      at++;
    }
    if (r >= 0 && at == array_length(flag_names)) {
      return err_set(err, EINVAL, "%s: unknown flag %s", item.path, name);
    }
    *ret_flags |= r < 0 ? 0 : flag_names[at].flag;
  }
  return r < 0 ? r : 0;
}

static int read_scheduler(const struct json *object, struct plan_scheduler *scheduler, struct err *err) {
  struct json item;
  const char *name = NULL;
  long long nice = 0, priority = 0;
  int r = json_object_at(object, "scheduler", &item, err);
  if (r <= 0) {
    return r;
  }
  if (json_need_string(&item, "policy", &name, err) < 0 || json_long_at(&item, "nice", -20, 19, &nice, err) < 0 ||
      json_long_at(&item, "priority", 0, 99, &priority, err) < 0 || read_flags(&item, &scheduler->flags, err) < 0 ||
      json_u64_at(&item, "runtime", &scheduler->runtime, err) < 0 ||
      json_u64_at(&item, "deadline", &scheduler->deadline, err) < 0 ||
      json_u64_at(&item, "period", &scheduler->period, err) < 0) {
    return -EINVAL;
  }
  size_t at = 0;
  while (at < array_length(policies) && strcmp(policies[at].name, name) != 0) {
    at++;
  }
  if (at == array_length(policies)) {
    return err_set(err, EINVAL, "%s.policy: Linux has no %s", item.path, name);
  }
  scheduler->given = true;
  scheduler->policy = policies[at].policy;
  scheduler->nice = (int32_t)nice;
  scheduler->priority = (uint32_t)priority;
  return 0;
}

static int read_io_priority(const struct json *object, struct plan_process *process, struct err *err) {
  static const char *const classes[] = {"", "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"};
  struct json item;
  const char *name = NULL;
  int priority = 0;
  process->io_priority = -1;
  int r = json_object_at(object, "ioPriority", &item, err);
  if (r <= 0) {
    return r;
  }
  if (json_need_string(&item, "class", &name, err) < 0 || json_int_at(&item, "priority", 0, 7, &priority, err) < 0) {
    return -EINVAL;
  }
  for (size_t i = 1; i < array_length(classes); i++) {
    if (strcmp(classes[i], name) == 0) {
      process->io_priority = (int)i << 13 | priority;
      return 0;
    }
  }
  return err_set(err, EINVAL, "%s.class: unknown class %s", item.path, name);
}

/* "0-3,7" */
static int parse_cpus(const char *text, struct plan_cpus *cpus) {
  const char *at = text;
  for (;;) {
    unsigned bounds[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
      size_t digits = strspn(at, "0123456789");
      if (digits == 0 || digits > 4) {
        return -EINVAL;
      }
      for (size_t k = 0; k < digits; k++) {
        bounds[i] = bounds[i] * 10 + (unsigned)(at[k] - '0');
      }
      at += digits;
      if (i == 0 && *at != '-') {
        bounds[1] = bounds[0];
        break;
      }
      at += i == 0;
    }
    if (bounds[0] > bounds[1] || bounds[1] >= PLAN_CPU_WORDS * 64) {
      return -EINVAL;
    }
    for (unsigned cpu = bounds[0]; cpu <= bounds[1]; cpu++) {
      cpus->words[cpu / 64] |= UINT64_C(1) << cpu % 64;
    }
    if (*at == '\0') {
      return 0;
    }
    if (*at++ != ',') {
      return -EINVAL;
    }
  }
}

static int read_cpus(struct arena *arena, const struct json *object, const char *key, const struct plan_cpus **ret_cpus,
                     struct err *err) {
  const char *text = "";
  int r = json_string_at(object, key, &text, err);
  if (r < 0 || text[0] == '\0') {
    return r < 0 ? r : 0;
  }
  struct plan_cpus *cpus = arena_get(arena, sizeof(*cpus));
  if (cpus == NULL) {
    return err_oom(err);
  }
  if (parse_cpus(text, cpus) < 0) {
    return err_set(err, EINVAL, "%s.%s: '%s' is not a list of processors such as 0-3,7", object->path, key, text);
  }
  *ret_cpus = cpus;
  return 0;
}

int plan_read_scheduling(struct arena *arena, const struct json *object, struct plan_process *process,
                         struct err *err) {
  struct json affinity;
  int r = read_scheduler(object, &process->scheduler, err);
  r = r < 0 ? r : read_io_priority(object, process, err);
  r = r < 0 ? r : json_object_at(object, "execCPUAffinity", &affinity, err);
  if (r <= 0) {
    return r;
  }
  r = read_cpus(arena, &affinity, "initial", &process->initial_cpus, err);
  return r < 0 ? r : read_cpus(arena, &affinity, "final", &process->final_cpus, err);
}
