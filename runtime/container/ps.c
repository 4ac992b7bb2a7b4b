/* The processes of a container, from its cgroups and the host's /proc: nothing of the container is executed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "container/container.h"

/* Fields of /proc/PID/stat behind the name, from the state (3) on. */
struct stat_line {
  char name[64];
  int parent;
  unsigned terminal;
  unsigned long long ticks, start;
};

static bool read_stat(int proc, struct stat_line *ret_line) {
  char text[1024];
  unsigned long long user = 0, system = 0;
  if (file_read_line(proc, "stat", text, sizeof(text), NULL) < 0) {
    return false;
  }
  const char *open_at = strchr(text, '(');
  const char *close_at = strrchr(text, ')');
  if (open_at == NULL || close_at == NULL ||
      sscanf(close_at + 1, " %*c %d %*d %*d %u %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %llu",
             &ret_line->parent, &ret_line->terminal, &user, &system, &ret_line->start) != 5) {
    return false;
  }
  snprintf(ret_line->name, sizeof(ret_line->name), "%.*s", (int)(close_at - open_at - 1), open_at + 1);
  ret_line->ticks = user + system;
  return true;
}

/* The command line with blanks between the words; what would move the cursor is shown as a question mark. */
static int add_command(int proc, const struct stat_line *line, struct str *out) {
  char text[4096];
  cleanup_close int fd = openat(proc, "cmdline", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
  if (n <= 0) {
    return str_addf(out, "[%s]\n", line->name);
  }
  while (n > 1 && text[n - 1] == '\0') {
    n--;
  }
  for (ssize_t i = 0; i < n; i++) {
    text[i] = text[i] == '\0' ? ' ' : (unsigned char)text[i] < 32 || text[i] == 127 ? '?' : text[i];
  }
  int r = str_append(out, text, (size_t)n);
  return r < 0 ? r : str_add(out, "\n");
}

static void terminal_name(unsigned number, char *buffer, size_t capacity) {
  if (number == 0) {
    snprintf(buffer, capacity, "?");
  } else if (major(number) >= 136 && major(number) <= 143) {
    snprintf(buffer, capacity, "pts/%u", minor(number) + (major(number) - 136) * 256);
  } else {
    snprintf(buffer, capacity, "%u:%u", major(number), minor(number));
  }
}

static int add_row(pid_t pid, struct str *out) {
  char path[32], start[16], terminal[16];
  struct stat owner;
  struct stat_line line;
  struct timespec up, now;
  snprintf(path, sizeof(path), "/proc/%d", (int)pid);
  cleanup_close int proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  /* One that is gone meanwhile is no row. */
  if (proc < 0 || fstat(proc, &owner) < 0 || !read_stat(proc, &line)) {
    return 0;
  }
  unsigned long long hertz = (unsigned long long)sysconf(_SC_CLK_TCK);
  clock_gettime(CLOCK_BOOTTIME, &up);
  clock_gettime(CLOCK_REALTIME, &now);
  time_t started = now.tv_sec - up.tv_sec + (time_t)(line.start / hertz);
  struct tm parts;
  localtime_r(&started, &parts);
  strftime(start, sizeof(start), now.tv_sec - started < 86400 ? "%H:%M" : "%b%d", &parts);
  terminal_name(line.terminal, terminal, sizeof(terminal));
  unsigned long long seconds = line.ticks / hertz;
  int r = str_addf(out, "%-8u %7d %7d %5s %-8s %02llu:%02llu:%02llu ", (unsigned)owner.st_uid, (int)pid, line.parent,
                   start, terminal, seconds / 3600, seconds / 60 % 60, seconds % 60);
  return r < 0 ? r : add_command(proc, &line, out);
}

int container_ps(const char *root, const char *id, bool json, char **ret_text, struct err *err) {
  cleanup_container struct container container = CONTAINER_INIT;
  cleanup_str struct str out = STR_INIT;
  cleanup_free pid_t *pids = NULL;
  size_t count = 0;
  int r = container_open(root, id, false, &container, err);
  r = r < 0 ? r : cgroup_processes(&container.cgroup, &pids, &count, err);
  if (r < 0) {
    return r;
  }
  r = str_add(&out, json ? "[" : "UID          PID    PPID STIME TTY          TIME CMD\n");
  for (size_t i = 0; r == 0 && i < count; i++) {
    r = json ? str_addf(&out, "%s%d", i > 0 ? "," : "", (int)pids[i]) : add_row(pids[i], &out);
  }
  r = r < 0 || !json ? r : str_add(&out, "]\n");
  if (r < 0) {
    return err_oom(err);
  }
  *ret_text = take_ptr(out.data);
  return 0;
}
