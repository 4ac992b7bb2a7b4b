#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "spec/plan.h"

static int read_device_rule(const struct json *item, struct plan_device_rule *rule, struct err *err) {
  const char *type = "a";
  const char *access = "rwm";
  long long major = -1, minor = -1;
  if (json_bool_at(item, "allow", &rule->allow, err) < 0 || json_string_at(item, "type", &type, err) < 0 ||
      json_string_at(item, "access", &access, err) < 0 ||
      json_long_at(item, "major", -1, UINT32_MAX, &major, err) < 0 ||
      json_long_at(item, "minor", -1, UINT32_MAX, &minor, err) < 0) {
    return -EINVAL;
  }
  if (strlen(type) > 1 || strchr("abcu", type[0]) == NULL) {
    return err_set(err, EINVAL, "%s.type: expected a, b, c or u, got '%s'", item->path, type);
  }
  if (access[0] == '\0' || strspn(access, "rwm") != strlen(access)) {
    return err_set(err, EINVAL, "%s.access: expected letters of rwm, got '%s'", item->path, access);
  }
  rule->type = type[0] == '\0' ? 'a' : type[0] == 'u' ? 'c' : type[0];
  rule->major = major;
  rule->minor = minor;
  rule->read = strchr(access, 'r') != NULL;
  rule->write = strchr(access, 'w') != NULL;
  rule->make = strchr(access, 'm') != NULL;
  return 0;
}

/* What every container has: making nodes is harmless, opening them is what counts. */
static const struct plan_device_rule always[] = {
    {true, 'c', -1, -1, false, false, true}, {true, 'b', -1, -1, false, false, true},
    {true, 'c', 1, 3, true, true, true},     {true, 'c', 1, 5, true, true, true},
    {true, 'c', 1, 7, true, true, true},     {true, 'c', 1, 8, true, true, true},
    {true, 'c', 1, 9, true, true, true},     {true, 'c', 5, 0, true, true, true},
    {true, 'c', 5, 1, true, true, true},     {true, 'c', 5, 2, true, true, true},
    {true, 'c', 136, -1, true, true, true},
};

/* Everything is denied first, whatever the list says or does not say: a missing leading "deny" must not mean "all
 * allowed". */
static int read_devices(struct plan *plan, const struct json *object, struct err *err) {
  struct json array;
  size_t count = 0;
  int r = json_array_at(object, "devices", &array, &count, err);
  if (r < 0) {
    return r;
  }
  struct plan_device_rule *rules = arena_get(&plan->arena, (count + 1 + array_length(always)) * sizeof(*rules));
  if (rules == NULL) {
    return err_oom(err);
  }
  size_t n = 0;
  rules[n++] = (struct plan_device_rule){false, 'a', -1, -1, true, true, true};
  for (size_t i = 0; i < count; i++) {
    struct json item;
    json_item(&array, i, &item);
    r = read_device_rule(&item, &rules[n], err);
    if (r < 0) {
      return r;
    }
    /* Naming neither number nor kind while allowing part of the access would be widened by v1 to everything. */
    if (rules[n].type == 'a' &&
        (rules[n].major >= 0 || rules[n].minor >= 0 || !(rules[n].read && rules[n].write && rules[n].make))) {
      return err_set(err, EINVAL, "%s: type a takes neither numbers nor part of rwm", item.path);
    }
    n++;
  }
  bool everything = rules[n - 1].type == 'a' && rules[n - 1].allow;
  for (size_t i = 0; !everything && i < array_length(always); i++) {
    rules[n++] = always[i];
  }
  plan->resources.devices = rules;
  plan->resources.device_count = n;
  return 0;
}

static int read_memory(struct plan_resources *to, const struct json *object, struct err *err) {
  struct json memory;
  int r = json_object_at(object, "memory", &memory, err);
  if (r <= 0) {
    return r;
  }
  long long limit = PLAN_UNSET, reservation = PLAN_UNSET, swap = PLAN_UNSET, swappiness = PLAN_UNSET, tcp = PLAN_UNSET;
  if (json_long_at(&memory, "limit", -1, INT64_MAX, &limit, err) < 0 ||
      json_long_at(&memory, "reservation", -1, INT64_MAX, &reservation, err) < 0 ||
      json_long_at(&memory, "swap", -1, INT64_MAX, &swap, err) < 0 ||
      json_long_at(&memory, "kernelTCP", -1, INT64_MAX, &tcp, err) < 0 ||
      json_long_at(&memory, "swappiness", 0, 100, &swappiness, err) < 0 ||
      json_bool_at(&memory, "disableOOMKiller", &to->oom_kill_disable, err) < 0) {
    return -EINVAL;
  }
  if (swap != PLAN_UNSET && swap >= 0 && limit > 0 && swap < limit) {
    return err_set(err, EINVAL, "%s.swap: memory and swap together must not be below the memory limit", memory.path);
  }
  to->memory_limit = limit;
  to->memory_reservation = reservation;
  to->memory_swap = swap;
  to->memory_swappiness = swappiness;
  to->memory_kernel_tcp = tcp;
  return 0;
}

static int read_cpu(struct plan_resources *to, const struct json *object, struct err *err) {
  struct json cpu;
  int r = json_object_at(object, "cpu", &cpu, err);
  if (r <= 0) {
    return r;
  }
  long long shares = PLAN_UNSET, quota = PLAN_UNSET, period = PLAN_UNSET, burst = PLAN_UNSET, idle = PLAN_UNSET, rt = 0;
  if (json_long_at(&cpu, "shares", 0, INT64_MAX, &shares, err) < 0 ||
      json_long_at(&cpu, "quota", -1, INT64_MAX, &quota, err) < 0 ||
      json_long_at(&cpu, "period", 0, INT64_MAX, &period, err) < 0 ||
      json_long_at(&cpu, "burst", 0, INT64_MAX, &burst, err) < 0 || json_long_at(&cpu, "idle", 0, 1, &idle, err) < 0 ||
      json_long_at(&cpu, "realtimeRuntime", 0, INT64_MAX, &rt, err) < 0 ||
      json_string_at(&cpu, "cpus", &to->cpuset_cpus, err) < 0 ||
      json_string_at(&cpu, "mems", &to->cpuset_mems, err) < 0) {
    return -EINVAL;
  }
  if (rt != 0) {
    return err_set(err, ENOTSUP, "%s.realtimeRuntime is not supported", cpu.path);
  }
  to->cpu_shares = shares == 0 ? PLAN_UNSET : shares;
  to->cpu_quota = quota == 0 ? PLAN_UNSET : quota;
  to->cpu_period = period == 0 ? PLAN_UNSET : period;
  to->cpu_burst = burst;
  to->cpu_idle = idle;
  return 0;
}

static const struct {
  const char *key, *v1_file, *v2_key;
} throttles[] = {
    {"throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps"},
    {"throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps"},
    {"throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops"},
    {"throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops"},
};

static int read_block_io(struct plan *plan, const struct json *object, struct err *err) {
  struct json block;
  int r = json_object_at(object, "blockIO", &block, err);
  if (r <= 0) {
    return r;
  }
  long long weight = PLAN_UNSET;
  struct json arrays[array_length(throttles)];
  size_t counts[array_length(throttles)];
  size_t total = 0;
  if (json_long_at(&block, "weight", 0, 1000, &weight, err) < 0) {
    return -EINVAL;
  }
  plan->resources.block_weight = weight == 0 ? PLAN_UNSET : weight;
  struct json weights;
  size_t weight_count = 0;
  r = json_array_at(&block, "weightDevice", &weights, &weight_count, err);
  if (r < 0 || weight_count > 0) {
    return r < 0 ? r : err_set(err, ENOTSUP, "%s is not supported", weights.path);
  }
  for (size_t i = 0; i < array_length(throttles); i++) {
    r = json_array_at(&block, throttles[i].key, &arrays[i], &counts[i], err);
    if (r < 0) {
      return r;
    }
    total += counts[i];
  }
  plan->resources.block_limits = arena_get(&plan->arena, (total + 1) * sizeof(struct plan_block_limit));
  if (plan->resources.block_limits == NULL) {
    return err_oom(err);
  }
  for (size_t i = 0; i < array_length(throttles); i++) {
    for (size_t k = 0; k < counts[i]; k++) {
      struct json item;
      long long major = 0, minor = 0;
      struct plan_block_limit *limit = &plan->resources.block_limits[plan->resources.block_limit_count];
      json_item(&arrays[i], k, &item);
      if (json_need_long(&item, "major", 0, UINT32_MAX, &major, err) < 0 ||
          json_need_long(&item, "minor", 0, UINT32_MAX, &minor, err) < 0 ||
          json_u64_at(&item, "rate", &limit->rate, err) < 0) {
        return -EINVAL;
      }
      limit->number = makedev((unsigned)major, (unsigned)minor);
      limit->v1_file = throttles[i].v1_file;
      limit->v2_key = throttles[i].v2_key;
      plan->resources.block_limit_count++;
    }
  }
  return 0;
}

static int read_hugepages(struct plan *plan, const struct json *object, struct err *err) {
  struct json array;
  size_t count = 0;
  int r = json_array_at(object, "hugepageLimits", &array, &count, err);
  if (r <= 0) {
    return r;
  }
  plan->resources.hugepages = arena_get(&plan->arena, (count + 1) * sizeof(struct plan_hugepage_limit));
  if (plan->resources.hugepages == NULL) {
    return err_oom(err);
  }
  for (size_t i = 0; i < count; i++) {
    struct json item;
    struct plan_hugepage_limit *limit = &plan->resources.hugepages[i];
    json_item(&array, i, &item);
    if (json_need_string(&item, "pageSize", &limit->page_size, err) < 0 ||
        json_u64_at(&item, "limit", &limit->limit, err) < 0) {
      return -EINVAL;
    }
    if (limit->page_size[strspn(limit->page_size, "0123456789KMGB")] != '\0') {
      return err_set(err, EINVAL, "%s.pageSize: '%s' is not a size like 2MB", item.path, limit->page_size);
    }
  }
  plan->resources.hugepage_count = count;
  return 0;
}

static int refuse_others(const struct json *object, struct err *err) {
  static const char *const keys[] = {"network", "rdma"};
  for (size_t i = 0; i < array_length(keys); i++) {
    struct json value = json_get(object, keys[i]);
    size_t position = 0;
    const char *key = NULL;
    struct json child;
    if (json_next(&value, &position, &key, &child)) {
      return err_set(err, ENOTSUP, "%s is not supported", value.path);
    }
  }
  return 0;
}

int plan_read_resources(struct plan *plan, const struct json *linux_object, struct err *err) {
  struct plan_resources *to = &plan->resources;
  to->memory_limit = to->memory_reservation = to->memory_swap = to->memory_swappiness = to->memory_kernel_tcp =
      PLAN_UNSET;
  to->cpu_shares = to->cpu_quota = to->cpu_period = to->cpu_burst = to->cpu_idle = PLAN_UNSET;
  to->pids_limit = to->block_weight = PLAN_UNSET;
  struct json object;
  int r = json_object_at(linux_object, "resources", &object, err);
  if (r < 0) {
    return r;
  }
  if (read_devices(plan, &object, err) < 0 || read_memory(to, &object, err) < 0 || read_cpu(to, &object, err) < 0 ||
      read_block_io(plan, &object, err) < 0 || read_hugepages(plan, &object, err) < 0 ||
      refuse_others(&object, err) < 0 ||
      plan_read_pairs(&plan->arena, &object, "unified", &to->unified, &to->unified_count, err) < 0) {
    return err == NULL ? -EINVAL : -err->code;
  }
  struct json pids;
  long long limit = PLAN_UNSET;
  r = json_object_at(&object, "pids", &pids, err);
  if (r < 0 || json_long_at(&pids, "limit", INT64_MIN + 1, INT64_MAX, &limit, err) < 0) {
    return -EINVAL;
  }
  to->pids_limit = limit == 0 ? PLAN_UNSET : limit;
  for (size_t i = 0; i < to->unified_count; i++) {
    if (strchr(to->unified[i].key, '/') != NULL || to->unified[i].key[0] == '.') {
      return err_set(err, EINVAL, "linux.resources.unified: '%s' is not the name of a cgroup file", to->unified[i].key);
    }
  }
  return 0;
}
