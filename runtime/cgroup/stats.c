#include "cgroup/stats.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "cgroup/cgroup.h"

uint64_t stats_number(int fd, const char *file, uint64_t otherwise) {
  char text[64];
  if (file_read_line(fd, file, text, sizeof(text), NULL) < 0) {
    return otherwise;
  }
  return strcmp(text, "max") == 0 ? UINT64_MAX : strtoull(text, NULL, 10);
}

uint64_t stats_key(int fd, const char *file, const char *key, uint64_t otherwise) {
  cleanup_free char *text = NULL;
  size_t length = strlen(key);
  if (file_read(fd, file, &text, NULL, NULL) < 0) {
    return otherwise;
  }
  for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
    line += *line == '\n';
    if (strncmp(line, key, length) == 0 && line[length] == ' ') {
      return strtoull(line + length, NULL, 10);
    }
  }
  return otherwise;
}

static int add_number(struct str *out, const char *name, uint64_t value) {
  char last = out->size > 0 ? out->data[out->size - 1] : '{';
  return str_addf(out, "%s\"%s\":%llu", last == '{' ? "" : ",", name, (unsigned long long)value);
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" of both lines. */
static int add_pressure(int fd, const char *file, struct str *out) {
  cleanup_free char *text = NULL;
  char *rest = NULL;
  int r = 0;
  bool first = true;
  if (file_read(fd, file, &text, NULL, NULL) < 0) {
    return 0;
  }
  r = str_add(out, ",\"psi\":{");
  for (char *line = strtok_r(text, "\n", &rest); r == 0 && line != NULL; line = strtok_r(NULL, "\n", &rest)) {
    char kind[8];
    double ten = 0, sixty = 0, longer = 0;
    unsigned long long total = 0;
    if (sscanf(line, "%7s avg10=%lf avg60=%lf avg300=%lf total=%llu", kind, &ten, &sixty, &longer, &total) == 5) {
      r = str_addf(out, "%s\"%s\":{\"avg10\":%.2f,\"avg60\":%.2f,\"avg300\":%.2f,\"total\":%llu}", first ? "" : ",",
                   kind, ten, sixty, longer, total);
      first = false;
    }
  }
  return r < 0 ? r : str_add(out, "}");
}

/* "1 2 3" as members of an array. */
static int add_numbers(int fd, const char *file, const char *name, struct str *out) {
  cleanup_free char *text = NULL;
  char *rest = NULL;
  if (file_read(fd, file, &text, NULL, NULL) < 0) {
    return 0;
  }
  int r = str_addf(out, ",\"%s\":[", name);
  bool first = true;
  for (char *word = strtok_r(text, " \n", &rest); r == 0 && word != NULL; word = strtok_r(NULL, " \n", &rest)) {
    r = str_addf(out, "%s%llu", first ? "" : ",", strtoull(word, NULL, 10));
    first = false;
  }
  return r < 0 ? r : str_add(out, "]");
}

static int cpu_usage_v1(int fd, struct str *out) {
  /* cpuacct.stat counts in clock ticks. */
  uint64_t tick = UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK);
  int r = add_number(out, "total", stats_number(fd, "cpuacct.usage", 0));
  r = r < 0 ? r : add_numbers(fd, "cpuacct.usage_percpu", "percpu", out);
  r = r < 0 ? r : add_numbers(fd, "cpuacct.usage_percpu_sys", "percpu_kernel", out);
  r = r < 0 ? r : add_numbers(fd, "cpuacct.usage_percpu_user", "percpu_user", out);
  r = r < 0 ? r : add_number(out, "kernel", stats_key(fd, "cpuacct.stat", "system", 0) * tick);
  return r < 0 ? r : add_number(out, "user", stats_key(fd, "cpuacct.stat", "user", 0) * tick);
}

int stats_cpu(int fd, bool v2, int accounting_fd, struct str *out) {
  int r = str_add(out, "\"cpu\":{\"usage\":{");
  if (v2) {
    r = r < 0 ? r : add_number(out, "total", stats_key(fd, "cpu.stat", "usage_usec", 0) * 1000);
    r = r < 0 ? r : add_number(out, "kernel", stats_key(fd, "cpu.stat", "system_usec", 0) * 1000);
    r = r < 0 ? r : add_number(out, "user", stats_key(fd, "cpu.stat", "user_usec", 0) * 1000);
  } else {
    r = r < 0 ? r : cpu_usage_v1(accounting_fd, out);
  }
  r = r < 0 ? r : str_add(out, "},\"throttling\":{");
  r = r < 0 ? r : add_number(out, "periods", stats_key(fd, "cpu.stat", "nr_periods", 0));
  r = r < 0 ? r : add_number(out, "throttledPeriods", stats_key(fd, "cpu.stat", "nr_throttled", 0));
  r = r < 0 ? r
            : add_number(out, "throttledTime",
                         v2 ? stats_key(fd, "cpu.stat", "throttled_usec", 0) * 1000
                            : stats_key(fd, "cpu.stat", "throttled_time", 0));
  r = r < 0 ? r : str_add(out, "}");
  r = r < 0 || !v2 ? r : add_pressure(fd, "cpu.pressure", out);
  return r < 0 ? r : str_add(out, "}");
}

/* "0-2,5" as 0,1,2,5. */
static int add_list(int fd, const char *file, const char *name, struct str *out) {
  char text[4096] = "";
  char *rest = NULL;
  (void)file_read_line(fd, file, text, sizeof(text), NULL);
  int r = str_addf(out, "\"%s\":[", name);
  bool first = true;
  for (char *range = strtok_r(text, ",", &rest); r == 0 && range != NULL; range = strtok_r(NULL, ",", &rest)) {
    unsigned low = 0, high = 0;
    int n = sscanf(range, "%u-%u", &low, &high);
    high = n == 1 ? low : high;
    for (unsigned i = low; r == 0 && n >= 1 && i <= high && i < 8192; i++) {
      r = str_addf(out, "%s%u", first ? "" : ",", i);
      first = false;
    }
  }
  return r < 0 ? r : str_add(out, "]");
}

int stats_cpuset(int fd, bool v2, struct str *out) {
  int r = str_add(out, "\"cpuset\":{");
  r = r < 0 ? r : add_list(fd, v2 ? "cpuset.cpus.effective" : "cpuset.effective_cpus", "cpus", out);
  r = r < 0 ? r : str_add(out, ",");
  r = r < 0 ? r : add_list(fd, v2 ? "cpuset.mems.effective" : "cpuset.effective_mems", "mems", out);
  return r < 0 ? r : str_add(out, "}");
}

static int add_entry(struct str *out, const char *name, uint64_t limit, uint64_t usage, uint64_t most,
                     uint64_t failures) {
  int r = str_addf(out, ",\"%s\":{", name);
  r = r < 0 ? r : add_number(out, "limit", limit);
  r = r < 0 ? r : add_number(out, "usage", usage);
  r = r < 0 ? r : add_number(out, "max", most);
  r = r < 0 ? r : add_number(out, "failcnt", failures);
  return r < 0 ? r : str_add(out, "}");
}

static int add_raw(int fd, struct str *out) {
  cleanup_free char *text = NULL;
  char *rest = NULL;
  int r = str_add(out, ",\"raw\":{");
  if (file_read(fd, "memory.stat", &text, NULL, NULL) == 0) {
    for (char *line = strtok_r(text, "\n", &rest); r == 0 && line != NULL; line = strtok_r(NULL, "\n", &rest)) {
      char *space = strchr(line, ' ');
      if (space != NULL) {
        *space = '\0';
        r = add_number(out, line, strtoull(space + 1, NULL, 10));
      }
    }
  }
  return r < 0 ? r : str_add(out, "}");
}

int stats_memory_v1(int fd, struct str *out) {
  static const struct {
    const char *name, *prefix;
  } kinds[] = {
      {"usage", "memory"}, {"swap", "memory.memsw"}, {"kernel", "memory.kmem"}, {"kernelTCP", "memory.kmem.tcp"}};
  int r = str_add(out, "\"memory\":{");
  r = r < 0 ? r : add_number(out, "cache", stats_key(fd, "memory.stat", "cache", 0));
  for (size_t i = 0; r == 0 && i < array_length(kinds); i++) {
    static const char *const files[] = {"limit_in_bytes", "usage_in_bytes", "max_usage_in_bytes", "failcnt"};
    uint64_t values[array_length(files)];
    for (size_t f = 0; f < array_length(files); f++) {
      char file[64];
      snprintf(file, sizeof(file), "%s.%s", kinds[i].prefix, files[f]);
      values[f] = stats_number(fd, file, 0);
    }
    r = add_entry(out, kinds[i].name, values[0], values[1], values[2], values[3]);
  }
  r = r < 0 ? r : add_raw(fd, out);
  return r < 0 ? r : str_add(out, "}");
}

int stats_memory_v2(int fd, struct str *out) {
  uint64_t limit = stats_number(fd, "memory.max", UINT64_MAX), usage = stats_number(fd, "memory.current", 0);
  uint64_t swap_limit = stats_number(fd, "memory.swap.max", UINT64_MAX);
  uint64_t swap_usage = stats_number(fd, "memory.swap.current", 0);
  /* Readers expect memory and swap together, as v1 counts. */
  swap_limit = swap_limit == UINT64_MAX || limit == UINT64_MAX ? UINT64_MAX : swap_limit + limit;
  int r = str_add(out, "\"memory\":{");
  r = r < 0 ? r : add_number(out, "cache", stats_key(fd, "memory.stat", "file", 0));
  r = r < 0 ? r
            : add_entry(out, "usage", limit, usage, stats_number(fd, "memory.peak", 0),
                        stats_key(fd, "memory.events", "max", 0));
  r = r < 0 ? r
            : add_entry(out, "swap", swap_limit, swap_usage + usage, stats_number(fd, "memory.swap.peak", 0),
                        stats_key(fd, "memory.swap.events", "max", 0));
  r = r < 0 ? r : add_entry(out, "kernel", UINT64_MAX, stats_key(fd, "memory.stat", "kernel", 0), 0, 0);
  r = r < 0 ? r : add_entry(out, "kernelTCP", UINT64_MAX, stats_key(fd, "memory.stat", "sock", 0), 0, 0);
  r = r < 0 ? r : add_raw(fd, out);
  r = r < 0 ? r : add_pressure(fd, "memory.pressure", out);
  return r < 0 ? r : str_add(out, "}");
}

int stats_pids(int fd, struct str *out) {
  uint64_t limit = stats_number(fd, "pids.max", UINT64_MAX);
  int r = str_add(out, "\"pids\":{");
  r = r < 0 ? r : add_number(out, "current", stats_number(fd, "pids.current", 0));
  /* No limit is 0. */
  r = r < 0 ? r : add_number(out, "limit", limit == UINT64_MAX ? 0 : limit);
  return r < 0 ? r : str_add(out, "}");
}

static int add_block_entry(struct str *out, unsigned major, unsigned minor, const char *operation, uint64_t value) {
  return str_addf(out, "%s{\"major\":%u,\"minor\":%u,\"op\":\"%s\",\"value\":%llu}",
                  out->data[out->size - 1] == '[' ? "" : ",", major, minor, operation, (unsigned long long)value);
}

/* "8:0 Read 123" a line. */
static int block_v1(int fd, const char *const files[], struct str *out) {
  cleanup_free char *text = NULL;
  char *rest = NULL;
  int r = -ENOENT;
  for (size_t i = 0; r < 0 && files[i] != NULL; i++) {
    r = file_read(fd, files[i], &text, NULL, NULL);
  }
  if (r < 0) {
    return 0;
  }
  for (char *line = strtok_r(text, "\n", &rest); r == 0 && line != NULL; line = strtok_r(NULL, "\n", &rest)) {
    unsigned major = 0, minor = 0;
    char operation[16];
    unsigned long long value = 0;
    if (sscanf(line, "%u:%u %15[A-Za-z] %llu", &major, &minor, operation, &value) == 4) {
      r = add_block_entry(out, major, minor, operation, value);
    }
  }
  return r;
}

/* "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6" a line. */
static int block_v2(int fd, const char *unit, struct str *out) {
  static const struct {
    char letter;
    const char *name;
  } operations[] = {{'r', "Read"}, {'w', "Write"}, {'d', "Discard"}};
  cleanup_free char *text = NULL;
  char *rest = NULL;
  int r = 0;
  if (file_read(fd, "io.stat", &text, NULL, NULL) < 0) {
    return 0;
  }
  for (char *line = strtok_r(text, "\n", &rest); r == 0 && line != NULL; line = strtok_r(NULL, "\n", &rest)) {
    unsigned major = 0, minor = 0;
    if (sscanf(line, "%u:%u", &major, &minor) != 2) {
      continue;
    }
    for (size_t i = 0; r == 0 && i < array_length(operations); i++) {
      char key[16];
      snprintf(key, sizeof(key), " %c%s=", operations[i].letter, unit);
      const char *at = strstr(line, key);
      if (at != NULL) {
        r = add_block_entry(out, major, minor, operations[i].name, strtoull(at + strlen(key), NULL, 10));
      }
    }
  }
  return r;
}

int stats_block_io(int fd, bool v2, struct str *out) {
  static const char *const bytes[] = {"blkio.bfq.io_service_bytes_recursive",
                                      "blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes",
                                      NULL};
  static const char *const counts[] = {"blkio.bfq.io_serviced_recursive", "blkio.throttle.io_serviced_recursive",
                                       "blkio.throttle.io_serviced", NULL};
  int r = str_add(out, "\"blkio\":{\"ioServiceBytesRecursive\":[");
  r = r < 0 ? r : v2 ? block_v2(fd, "bytes", out) : block_v1(fd, bytes, out);
  r = r < 0 ? r : str_add(out, "],\"ioServicedRecursive\":[");
  r = r < 0 ? r : v2 ? block_v2(fd, "ios", out) : block_v1(fd, counts, out);
  r = r < 0 ? r : str_add(out, "]");
  r = r < 0 || !v2 ? r : add_pressure(fd, "io.pressure", out);
  return r < 0 ? r : str_add(out, "}");
}

int stats_hugetlb(int fd, bool v2, struct str *out) {
  const char *ending = v2 ? ".current" : ".usage_in_bytes";
  cleanup_close int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  cleanup_dir DIR *dir = copy < 0 ? NULL : fdopendir(copy);
  if (dir != NULL) {
    (void)take_fd(&copy);
  }
  const struct dirent *entry;
  int r = str_add(out, "\"hugetlb\":{");
  bool first = true;
  while (r == 0 && dir != NULL && (entry = readdir(dir)) != NULL) {
    char size[32], file[96];
    const char *dot = str_starts(entry->d_name, "hugetlb.") ? strchr(entry->d_name + 8, '.') : NULL;
    if (dot == NULL || strcmp(dot, ending) != 0 || dot - entry->d_name - 8 >= (int)sizeof(size)) {
      continue;
    }
    snprintf(size, sizeof(size), "%.*s", (int)(dot - entry->d_name - 8), entry->d_name + 8);
    snprintf(file, sizeof(file), "hugetlb.%s.max_usage_in_bytes", size);
    uint64_t most = v2 ? 0 : stats_number(fd, file, 0);
    snprintf(file, sizeof(file), v2 ? "hugetlb.%s.events" : "hugetlb.%s.failcnt", size);
    uint64_t failures = v2 ? stats_key(fd, file, "max", 0) : stats_number(fd, file, 0);
    r = str_addf(out, "%s\"%s\":{\"usage\":%llu,\"max\":%llu,\"failcnt\":%llu}", first ? "" : ",", size,
                 (unsigned long long)stats_number(fd, entry->d_name, 0), (unsigned long long)most,
                 (unsigned long long)failures);
    first = false;
  }
  return r < 0 ? r : str_add(out, "}");
}

static int open_place(const struct cgroup *cgroup, const char *controller, bool *ret_v2) {
  const struct cgroup_place *place = cgroup_place_of(cgroup, controller);
  *ret_v2 = place != NULL && place->v2;
  return place == NULL ? -1 : open(place->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int cgroup_stats_text(const struct cgroup *cgroup, struct str *out, struct err *err) {
  bool cpu_v2, accounting_v2, set_v2, memory_v2, pids_v2, block_v2_place, huge_v2;
  cleanup_close int cpu = open_place(cgroup, "cpu", &cpu_v2);
  cleanup_close int accounting = open_place(cgroup, "cpuacct", &accounting_v2);
  cleanup_close int set = open_place(cgroup, "cpuset", &set_v2);
  cleanup_close int memory = open_place(cgroup, "memory", &memory_v2);
  cleanup_close int pids = open_place(cgroup, "pids", &pids_v2);
  cleanup_close int block = open_place(cgroup, "blkio", &block_v2_place);
  cleanup_close int huge = open_place(cgroup, "hugetlb", &huge_v2);
  int r = str_add(out, "{");
  r = r < 0 ? r : stats_cpu(cpu, cpu_v2, accounting, out);
  r = r < 0 ? r : str_add(out, ",");
  r = r < 0 ? r : stats_cpuset(set, set_v2, out);
  r = r < 0 ? r : str_add(out, ",");
  r = r < 0 ? r : memory_v2 ? stats_memory_v2(memory, out) : stats_memory_v1(memory, out);
  r = r < 0 ? r : str_add(out, ",");
  r = r < 0 ? r : stats_pids(pids, out);
  r = r < 0 ? r : str_add(out, ",");
  r = r < 0 ? r : stats_block_io(block, block_v2_place, out);
  r = r < 0 ? r : str_add(out, ",");
  r = r < 0 ? r : stats_hugetlb(huge, huge_v2, out);
  r = r < 0 ? r : str_add(out, ",\"intel_rdt\":{},\"network_interfaces\":null}");
  return r < 0 ? err_oom(err) : 0;
}
