#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "base/log.h"
#include "cgroup/cgroup.h"
#include "cgroup/v2/devices.h"

/* -1 is "max" in the files of v2. */
static int write_max(int fd, const char *file, int64_t value, struct err *err) {
  if (value != PLAN_UNSET && value < 0) {
    return file_write_existing(fd, file, "max", err);
  }
  return cgroup_write_number(fd, file, value, err);
}

static int memory_apply(int fd, const struct plan_resources *to, struct err *err) {
  int r = write_max(fd, "memory.max", to->memory_limit, err);
  if (r < 0 || (r = write_max(fd, "memory.low", to->memory_reservation, err)) < 0) {
    return r;
  }
  /* What only v1 can do is refused, not forgotten. */
  if (to->memory_swappiness != PLAN_UNSET || to->memory_kernel_tcp != PLAN_UNSET || to->oom_kill_disable) {
    return err_set(err, ENOTSUP,
                   "linux.resources.memory.%s: this host's controllers are on cgroup v2, which has no such setting",
                   to->oom_kill_disable                  ? "disableOOMKiller"
                   : to->memory_swappiness != PLAN_UNSET ? "swappiness"
                                                         : "kernelTCP");
  }
  if (to->memory_swap == PLAN_UNSET) {
    return 0;
  }
  if (to->memory_swap >= 0 && (to->memory_limit == PLAN_UNSET || to->memory_limit < 0)) {
    return err_set(err, EINVAL, "linux.resources.memory.swap: needs a memory limit");
  }
  /* The specification counts memory and swap together, v2 counts swap alone. */
  int64_t swap = to->memory_swap < 0 ? -1 : to->memory_swap - to->memory_limit;
  r = write_max(fd, "memory.swap.max", swap, err);
  if (r == -ENOENT) {
    if (swap > 0) {
      log_warn("linux.resources.memory.swap is not applied: this kernel does not account swap per cgroup");
    }
    return 0;
  }
  return r;
}

static int cpu_apply(int fd, const struct plan_resources *to, struct err *err) {
  char text[64];
  int r = 0;
  if (to->cpu_shares != PLAN_UNSET) {
    int64_t shares = to->cpu_shares < 2 ? 2 : to->cpu_shares > 262144 ? 262144 : to->cpu_shares;
    r = cgroup_write_number(fd, "cpu.weight", 1 + ((shares - 2) * 9999) / 262142, err);
  }
  if (r == 0 && (to->cpu_quota != PLAN_UNSET || to->cpu_period != PLAN_UNSET)) {
    long long period = to->cpu_period == PLAN_UNSET ? 100000 : to->cpu_period;
    if (to->cpu_quota == PLAN_UNSET || to->cpu_quota < 0) {
      snprintf(text, sizeof(text), "max %lld", period);
    } else {
      snprintf(text, sizeof(text), "%lld %lld", (long long)to->cpu_quota, period);
    }
    r = file_write_existing(fd, "cpu.max", text, err);
  }
  if (r == 0) {
    r = cgroup_write_number(fd, "cpu.max.burst", to->cpu_burst, err);
  }
  return r < 0 ? r : cgroup_write_number(fd, "cpu.idle", to->cpu_idle, err);
}

static int cpuset_apply(int fd, const struct plan_resources *to, struct err *err) {
  int r = 0;
  if (to->cpuset_cpus != NULL && to->cpuset_cpus[0] != '\0') {
    r = file_write_existing(fd, "cpuset.cpus", to->cpuset_cpus, err);
  }
  if (r == 0 && to->cpuset_mems != NULL && to->cpuset_mems[0] != '\0') {
    r = file_write_existing(fd, "cpuset.mems", to->cpuset_mems, err);
  }
  return r;
}

static int io_apply(int fd, const struct plan_resources *to, struct err *err) {
  char text[96];
  int r = 0;
  if (to->block_weight != PLAN_UNSET) {
    r = cgroup_write_number(fd, "io.bfq.weight", to->block_weight, err);
    if (r == -ENOENT) {
      snprintf(text, sizeof(text), "default %lld", (long long)(1 + (to->block_weight - 10) * 9999 / 990));
      r = file_write_existing(fd, "io.weight", text, err);
    }
  }
  for (size_t i = 0; r == 0 && i < to->block_limit_count; i++) {
    const struct plan_block_limit *limit = &to->block_limits[i];
    snprintf(text, sizeof(text), "%u:%u %s=%llu", major(limit->number), minor(limit->number), limit->v2_key,
             (unsigned long long)limit->rate);
    r = file_write_existing(fd, "io.max", text, err);
  }
  return r;
}

static int hugetlb_apply(int fd, const struct plan_resources *to, struct err *err) {
  int r = 0;
  for (size_t i = 0; r == 0 && i < to->hugepage_count; i++) {
    char file[64];
    snprintf(file, sizeof(file), "hugetlb.%.20s.max", to->hugepages[i].page_size);
    r = cgroup_write_number(fd, file, (int64_t)to->hugepages[i].limit, err);
  }
  return r;
}

static int unified_apply(int fd, const struct plan_resources *to, struct err *err) {
  int r = 0;
  for (size_t i = 0; r == 0 && i < to->unified_count; i++) {
    r = file_write_existing(fd, to->unified[i].key, to->unified[i].value, err);
  }
  return r;
}

static int pids_apply(int fd, const struct plan_resources *to, struct err *err) {
  return write_max(fd, "pids.max", to->pids_limit, err);
}

int cgroup_v2_apply(int fd, const struct plan_resources *resources, struct err *err) {
  static int (*const parts[])(int, const struct plan_resources *, struct err *) = {
      memory_apply, cpu_apply,     cpuset_apply,  pids_apply,
      io_apply,     hugetlb_apply, unified_apply, cgroup_v2_devices_apply,
  };
  for (size_t i = 0; i < array_length(parts); i++) {
    int r = parts[i](fd, resources, err);
    if (r < 0) {
      return r;
    }
  }
  return 0;
}

static bool has_word(const char *words, const char *word) {
  size_t length = strlen(word);
  for (const char *at = strstr(words, word); at != NULL; at = strstr(at + 1, word)) {
    if ((at == words || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0')) {
      return true;
    }
  }
  return false;
}

void cgroup_v2_delegate(int fd) {
  char available[512], passed[512];
  if (file_read_line(fd, "cgroup.controllers", available, sizeof(available), NULL) < 0 ||
      file_read_line(fd, "cgroup.subtree_control", passed, sizeof(passed), NULL) < 0) {
    return;
  }
  /* One by one: a controller that cannot be passed on must not keep the others back. A limit that then has no file
   * fails by name. */
  char *saved = NULL;
  for (char *name = strtok_r(available, " ", &saved); name != NULL; name = strtok_r(NULL, " ", &saved)) {
    char text[80];
    if (has_word(passed, name)) {
      continue;
    }
    snprintf(text, sizeof(text), "+%.70s", name);
    (void)file_write_existing(fd, "cgroup.subtree_control", text, NULL);
  }
}
