#include <errno.h>
#include <string.h>

#include "spec/plan.h"

struct number_key {
  const char *key;
  long long lowest, highest;
  int64_t *to;
};

static int read_numbers(const struct json *object, const struct number_key *keys, size_t count, struct err *err) {
  for (size_t i = 0; i < count; i++) {
    long long value = 0;
    int r = json_long_at(object, keys[i].key, keys[i].lowest, keys[i].highest, &value, err);
    if (r < 0) {
      return r;
    }
    if (r > 0) {
      *keys[i].to = value;
    }
  }
  return 0;
}

static int read_flag(const struct json *object, const char *key, int64_t *ret_flag, struct err *err) {
  bool on = false;
  int r = json_bool_at(object, key, &on, err);
  if (r > 0) {
    *ret_flag = on;
  }
  return r;
}

static int read_memory(struct plan_resources *to, const struct json *object, struct err *err) {
  const struct number_key keys[] = {
      {"limit", -1, INT64_MAX, &to->memory_limit},
      {"reservation", -1, INT64_MAX, &to->memory_reservation},
      {"swap", -1, INT64_MAX, &to->memory_swap},
      {"kernel", -1, INT64_MAX, &to->memory_kernel},
      {"kernelTCP", -1, INT64_MAX, &to->memory_kernel_tcp},
      {"swappiness", 0, 100, &to->memory_swappiness},
  };
  struct json memory;
  int r = json_object_at(object, "memory", &memory, err);
  if (r <= 0 || (r = read_numbers(&memory, keys, array_length(keys), err)) < 0 ||
      (r = read_flag(&memory, "disableOOMKiller", &to->oom_kill_disable, err)) < 0 ||
      (r = read_flag(&memory, "useHierarchy", &to->memory_hierarchical, err)) < 0 ||
      (r = json_bool_at(&memory, "checkBeforeUpdate", &to->memory_check, err)) < 0) {
    return r;
  }
  if (to->memory_swap >= 0 && to->memory_limit > 0 && to->memory_swap < to->memory_limit) {
    return err_set(err, EINVAL, "%s.swap: memory and swap together must not be below the memory limit", memory.path);
  }
  return 0;
}

static int read_cpu(struct plan_resources *to, const struct json *object, struct err *err) {
  const struct number_key keys[] = {
      {"shares", 0, INT64_MAX, &to->cpu_shares},
      {"quota", -1, INT64_MAX, &to->cpu_quota},
      {"period", 0, INT64_MAX, &to->cpu_period},
      {"burst", 0, INT64_MAX, &to->cpu_burst},
      {"idle", 0, 1, &to->cpu_idle},
      {"realtimeRuntime", -1, INT64_MAX, &to->cpu_rt_runtime},
      {"realtimePeriod", 0, INT64_MAX, &to->cpu_rt_period},
  };
  /* 0 is how callers say "not given" for these. */
  int64_t *const zero_is_unset[] = {&to->cpu_shares, &to->cpu_quota, &to->cpu_period, &to->cpu_rt_runtime,
                                    &to->cpu_rt_period};
  struct json cpu;
  int r = json_object_at(object, "cpu", &cpu, err);
  if (r <= 0 || (r = read_numbers(&cpu, keys, array_length(keys), err)) < 0 ||
      (r = json_string_at(&cpu, "cpus", &to->cpuset_cpus, err)) < 0 ||
      (r = json_string_at(&cpu, "mems", &to->cpuset_mems, err)) < 0) {
    return r;
  }
  for (size_t i = 0; i < array_length(zero_is_unset); i++) {
    *zero_is_unset[i] = *zero_is_unset[i] == 0 ? PLAN_UNSET : *zero_is_unset[i];
  }
  return 0;
}

static int read_hugepages(struct arena *arena, const struct json *object, struct plan_resources *to, struct err *err) {
  struct json array;
  size_t count = 0;
  int r = json_array_at(object, "hugepageLimits", &array, &count, err);
  if (r <= 0) {
    return r;
  }
  to->hugepages = arena_get(arena, (count + 1) * sizeof(*to->hugepages));
  if (to->hugepages == NULL) {
    return err_oom(err);
  }
  for (size_t i = 0; i < count; i++) {
    struct json item;
    struct plan_hugepage_limit *limit = &to->hugepages[i];
    json_item(&array, i, &item);
    if ((r = json_need_string(&item, "pageSize", &limit->page_size, err)) < 0 ||
        (r = json_u64_at(&item, "limit", &limit->limit, err)) < 0) {
      return r;
    }
    if (limit->page_size[0] == '\0' || limit->page_size[strspn(limit->page_size, "0123456789KMGB")] != '\0') {
      return err_set(err, EINVAL, "%s.pageSize: '%s' is not a size like 2MB", item.path, limit->page_size);
    }
  }
  to->hugepage_count = count;
  return 0;
}

/* The text becomes a word of a line in a file of the kernel. */
static bool is_word(const char *text) {
  return text[0] != '\0' && strlen(text) < 64 && text[strcspn(text, " \t\n")] == '\0';
}

static int read_rdma(struct arena *arena, const struct json *object, struct plan_resources *to, struct err *err) {
  struct json rdma, value;
  const char *name = NULL;
  size_t count = 0;
  int r = json_object_at(object, "rdma", &rdma, err);
  for (size_t at = 0; r > 0 && json_next(&rdma, &at, &name, &value);) {
    count++;
  }
  if (r <= 0 || count == 0) {
    return r;
  }
  to->rdma = arena_get(arena, count * sizeof(*to->rdma));
  if (to->rdma == NULL) {
    return err_oom(err);
  }
  for (size_t at = 0; json_next(&rdma, &at, &name, &value);) {
    struct plan_rdma_limit *limit = &to->rdma[to->rdma_count++];
    *limit = (struct plan_rdma_limit){name, PLAN_UNSET, PLAN_UNSET};
    const struct number_key keys[] = {{"hcaHandles", 0, UINT32_MAX, &limit->handles},
                                      {"hcaObjects", 0, UINT32_MAX, &limit->objects}};
    if (!json_is_object(&value) || !is_word(name)) {
      return err_set(err, EINVAL, "%s: expected the limits of a device", value.path);
    }
    r = read_numbers(&value, keys, array_length(keys), err);
    if (r < 0) {
      return r;
    }
    if (limit->handles == PLAN_UNSET && limit->objects == PLAN_UNSET) {
      return err_set(err, EINVAL, "%s: hcaHandles or hcaObjects is needed", value.path);
    }
  }
  return 0;
}

static int read_network(struct arena *arena, const struct json *object, struct plan_resources *to, struct err *err) {
  struct json network, array;
  size_t count = 0;
  int r = json_object_at(object, "network", &network, err);
  const struct number_key class_id = {"classID", 0, UINT32_MAX, &to->net_class};
  if (r <= 0 || (r = read_numbers(&network, &class_id, 1, err)) < 0 ||
      (r = json_array_at(&network, "priorities", &array, &count, err)) < 0 || count == 0) {
    return r < 0 ? r : 0;
  }
  to->net_priorities = arena_get(arena, count * sizeof(*to->net_priorities));
  if (to->net_priorities == NULL) {
    return err_oom(err);
  }
  for (size_t i = 0; i < count; i++) {
    struct plan_net_priority *priority = &to->net_priorities[i];
    struct json item;
    long long number = 0;
    json_item(&array, i, &item);
    if ((r = json_need_string(&item, "name", &priority->interface, err)) < 0 ||
        (r = json_need_long(&item, "priority", 0, UINT32_MAX, &number, err)) < 0) {
      return r;
    }
    if (!is_word(priority->interface)) {
      return err_set(err, EINVAL, "%s.name: '%s' is not the name of an interface", item.path, priority->interface);
    }
    priority->priority = number;
  }
  to->net_priority_count = count;
  return 0;
}

static int read_unified(struct arena *arena, const struct json *object, struct plan_resources *to, struct err *err) {
  int r = plan_read_pairs(arena, object, "unified", &to->unified, &to->unified_count, err);
  for (size_t i = 0; r >= 0 && i < to->unified_count; i++) {
    const char *key = to->unified[i].key;
    if (strchr(key, '/') != NULL || strchr(key, '.') == NULL || key[0] == '.' || strlen(key) > 60) {
      return err_set(err, EINVAL, "linux.resources.unified: '%s' is not the name of a cgroup file", key);
    }
  }
  return r;
}

static void clear(struct plan_resources *to) {
  memset(to, 0, sizeof(*to));
  int64_t *const numbers[] = {
      &to->memory_limit,  &to->memory_reservation, &to->memory_swap,      &to->memory_swappiness,
      &to->memory_kernel, &to->memory_kernel_tcp,  &to->oom_kill_disable, &to->memory_hierarchical,
      &to->cpu_shares,    &to->cpu_quota,          &to->cpu_period,       &to->cpu_burst,
      &to->cpu_idle,      &to->cpu_rt_runtime,     &to->cpu_rt_period,    &to->pids_limit,
      &to->block_weight,  &to->block_leaf_weight,  &to->net_class,
  };
  for (size_t i = 0; i < array_length(numbers); i++) {
    *numbers[i] = PLAN_UNSET;
  }
}

int plan_read_limits(struct arena *arena, const struct json *object, struct plan_resources *ret_resources,
                     struct err *err) {
  struct plan_resources *to = ret_resources;
  struct json pids;
  clear(to);
  const struct number_key limit = {"limit", INT64_MIN + 1, INT64_MAX, &to->pids_limit};
  int r;
  if ((r = read_memory(to, object, err)) < 0 || (r = read_cpu(to, object, err)) < 0 ||
      (r = plan_read_block_io(arena, object, to, err)) < 0 || (r = read_hugepages(arena, object, to, err)) < 0 ||
      (r = read_rdma(arena, object, to, err)) < 0 || (r = read_network(arena, object, to, err)) < 0 ||
      (r = read_unified(arena, object, to, err)) < 0 || (r = json_object_at(object, "pids", &pids, err)) < 0 ||
      (r = read_numbers(&pids, &limit, 1, err)) < 0) {
    return r;
  }
  to->pids_limit = to->pids_limit == 0 ? PLAN_UNSET : to->pids_limit;
  return 0;
}

int plan_read_resources(struct plan *plan, const struct json *linux_object, struct err *err) {
  struct json object;
  int r = json_object_at(linux_object, "resources", &object, err);
  r = r < 0 ? r : plan_read_limits(&plan->arena, &object, &plan->resources, err);
  return r < 0 ? r : plan_read_device_rules(plan, &object, err);
}
