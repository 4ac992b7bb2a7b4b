#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "cgroup/cgroup.h"

/* A v1 cpuset starts empty and takes no process until it is filled: the parent's is passed on. */
static int cpuset_level(int parent_fd, int fd, struct err *err) {
  static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
  for (size_t i = 0; i < array_length(files); i++) {
    char text[4096];
    int r = file_read_line(fd, files[i], text, sizeof(text), err);
    if (r == 0 && text[0] == '\0') {
      r = file_read_line(parent_fd, files[i], text, sizeof(text), err);
      r = r < 0 ? r : file_write_existing(fd, files[i], text, err);
    }
    if (r < 0) {
      return r;
    }
  }
  return 0;
}

static int cpuset_apply(int fd, const struct plan_resources *resources, struct err *err) {
  if (resources->cpuset_cpus != NULL && resources->cpuset_cpus[0] != '\0') {
    int r = file_write_existing(fd, "cpuset.cpus", resources->cpuset_cpus, err);
    if (r < 0) {
      return r;
    }
  }
  if (resources->cpuset_mems != NULL && resources->cpuset_mems[0] != '\0') {
    return file_write_existing(fd, "cpuset.mems", resources->cpuset_mems, err);
  }
  return 0;
}

static int memory_apply(int fd, const struct plan_resources *to, struct err *err) {
  int r = cgroup_write_number(fd, "memory.limit_in_bytes", to->memory_limit, err);
  if (r == 0) {
    r = cgroup_write_number(fd, "memory.memsw.limit_in_bytes", to->memory_swap, err);
    if (r == -ENOENT) {
      if (to->memory_swap >= 0) {
        log_warn("linux.resources.memory.swap is not applied: this kernel does not account swap per cgroup");
      }
      r = 0;
    }
  }
  if (r < 0 || (r = cgroup_write_number(fd, "memory.soft_limit_in_bytes", to->memory_reservation, err)) < 0 ||
      (r = cgroup_write_number(fd, "memory.kmem.tcp.limit_in_bytes", to->memory_kernel_tcp, err)) < 0 ||
      (r = cgroup_write_number(fd, "memory.swappiness", to->memory_swappiness, err)) < 0) {
    return r;
  }
  return to->oom_kill_disable ? file_write_existing(fd, "memory.oom_control", "1", err) : 0;
}

static int cpu_apply(int fd, const struct plan_resources *to, struct err *err) {
  int r = cgroup_write_number(fd, "cpu.shares", to->cpu_shares, err);
  if (r < 0 || (r = cgroup_write_number(fd, "cpu.cfs_period_us", to->cpu_period, err)) < 0 ||
      (r = cgroup_write_number(fd, "cpu.cfs_quota_us", to->cpu_quota, err)) < 0 ||
      (r = cgroup_write_number(fd, "cpu.cfs_burst_us", to->cpu_burst, err)) < 0) {
    return r;
  }
  return cgroup_write_number(fd, "cpu.idle", to->cpu_idle, err);
}

static int pids_apply(int fd, const struct plan_resources *to, struct err *err) {
  if (to->pids_limit != PLAN_UNSET && to->pids_limit < 0) {
    return file_write_existing(fd, "pids.max", "max", err);
  }
  return cgroup_write_number(fd, "pids.max", to->pids_limit, err);
}

static void device_number(int64_t value, char *buffer, size_t capacity) {
  if (value < 0) {
    snprintf(buffer, capacity, "*");
  } else {
    snprintf(buffer, capacity, "%lld", (long long)value);
  }
}

static int devices_apply(int fd, const struct plan_resources *to, struct err *err) {
  cleanup_close int allow = openat(fd, "devices.allow", O_WRONLY | O_CLOEXEC);
  cleanup_close int deny = openat(fd, "devices.deny", O_WRONLY | O_CLOEXEC);
  if (allow < 0 || deny < 0) {
    return err_errno(err, "cannot open devices.allow and devices.deny");
  }
  for (size_t i = 0; i < to->device_count; i++) {
    const struct plan_device_rule *rule = &to->devices[i];
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

static int blkio_apply(int fd, const struct plan_resources *to, struct err *err) {
  if (to->block_weight != PLAN_UNSET) {
    int r = cgroup_write_number(fd, "blkio.weight", to->block_weight, err);
    if (r == -ENOENT) {
      r = cgroup_write_number(fd, "blkio.bfq.weight", to->block_weight, err);
    }
    if (r < 0) {
      return r;
    }
  }
  for (size_t i = 0; i < to->block_limit_count; i++) {
    const struct plan_block_limit *limit = &to->block_limits[i];
    char line[64];
    snprintf(line, sizeof(line), "%u:%u %llu", major(limit->number), minor(limit->number),
             (unsigned long long)limit->rate);
    int r = file_write_existing(fd, limit->v1_file, line, err);
    if (r < 0) {
      return r;
    }
  }
  return 0;
}

static int hugetlb_apply(int fd, const struct plan_resources *to, struct err *err) {
  for (size_t i = 0; i < to->hugepage_count; i++) {
    char file[64];
    snprintf(file, sizeof(file), "hugetlb.%.20s.limit_in_bytes", to->hugepages[i].page_size);
    int r = cgroup_write_number(fd, file, (int64_t)to->hugepages[i].limit, err);
    if (r < 0) {
      return r;
    }
  }
  return 0;
}

static const struct cgroup_controller controllers[] = {
    {"cpuset", cpuset_level, cpuset_apply},
    {"memory", NULL, memory_apply},
    {"cpu", NULL, cpu_apply},
    {"pids", NULL, pids_apply},
    {"devices", NULL, devices_apply},
    {"blkio", NULL, blkio_apply},
    {"hugetlb", NULL, hugetlb_apply},
};

const struct cgroup_controller *cgroup_v1_controller(const char *name) {
  for (size_t i = 0; i < array_length(controllers); i++) {
    if (strcmp(controllers[i].name, name) == 0) {
      return &controllers[i];
    }
  }
  return NULL;
}
