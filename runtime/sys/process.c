#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/str.h"
#include "sys/mountfd.h"
#include "sys/syscalls.h"

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

int process_stat_read(pid_t pid, struct process_stat *ret_stat, struct err *err) {
  char path[32];
  char text[1024];
  snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
  int r = file_read_line(AT_FDCWD, path, text, sizeof(text), err);
  if (r < 0) {
    return r;
  }
  /* The name is in parentheses and may hold anything, so fields are counted from the last one. */
  const char *after = strrchr(text, ')');
  struct process_stat stat;
  unsigned long long start = 0;
  int parent = 0;
  if (after == NULL ||
      sscanf(after + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &stat.state,
             &parent, &start) != 3) {
    return err_set(err, EPROTO, "cannot make sense of %s", path);
  }
  stat.parent = parent;
  stat.start_time = start;
  *ret_stat = stat;
  return 0;
}

int process_open(pid_t pid, uint64_t start_time, int *ret_pidfd, struct err *err) {
  cleanup_close int pidfd = sys_pidfd_open(pid);
  if (pidfd < 0) {
    return err_errno(err, "cannot open process %d", (int)pid);
  }
  /* Read after the pidfd is held: what /proc says now is about the pidfd's process or about nobody. */
  struct process_stat stat;
  int r = process_stat_read(pid, &stat, err);
  if (r == -ENOENT || (r == 0 && (stat.start_time != start_time || stat.state == 'Z' || stat.state == 'X'))) {
    return err_code(err, ESRCH, "process %d", (int)pid);
  }
  if (r < 0) {
    return r;
  }
  *ret_pidfd = take_fd(&pidfd);
  return 0;
}

int process_wait_gone(int pidfd, int timeout_ms, struct err *err) {
  struct pollfd entry = {.fd = pidfd, .events = POLLIN};
  int n;
  do {
    n = poll(&entry, 1, timeout_ms);
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    return err_errno(err, "cannot wait for a process");
  }
  return n == 0 ? err_code(err, ETIMEDOUT, "waiting for a process to end") : 0;
}

bool process_has_ended(int pidfd) {
  return process_wait_gone(pidfd, 0, NULL) != -ETIMEDOUT;
}

static int copy_sealed(int source, int *ret_fd, struct err *err) {
  cleanup_close int copy = memfd_create("tscompose-runtime", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  if (copy < 0 && errno == EINVAL) {
    copy = memfd_create("tscompose-runtime", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  }
  struct stat at;
  if (copy < 0 || fstat(source, &at) < 0) {
    return err_errno(err, "cannot make an in-memory copy of the runtime");
  }
  off_t left = at.st_size;
  while (left > 0) {
    ssize_t n = sendfile(copy, source, NULL, (size_t)left);
    if (n <= 0) {
      return err_errno(err, "cannot copy the runtime into memory");
    }
    left -= n;
  }
  if (fchmod(copy, 0555) < 0) {
    return err_errno(err, "cannot make the in-memory copy executable");
  }
  const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  if (fcntl(copy, F_ADD_SEALS, seals | F_SEAL_EXEC) < 0 && fcntl(copy, F_ADD_SEALS, seals) < 0) {
    return err_errno(err, "cannot seal the in-memory copy of the runtime");
  }
  *ret_fd = take_fd(&copy);
  return 0;
}

/* Root of a mount of its own that is read-only: our doing in an earlier life, or as good. */
static bool is_readonly_mount(int self) {
  struct statx about;
  struct statfs file_system;
  return statx(self, "", AT_EMPTY_PATH, 0, &about) == 0 && (about.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0 &&
         fstatfs(self, &file_system) == 0 && (file_system.f_flags & ST_RDONLY) != 0;
}

/* A read-only mount of nothing but the binary, attached nowhere: whoever opens the program through /proc/PID/exe comes
   by it and cannot write, and nobody can reach it to change that. Costs no copy; needs rights over mounts. */
static int clone_readonly(int source) {
  cleanup_close int tree = mountfd_clone(source, "", /* recursive= */ 0);
  if (tree < 0 || mountfd_setattr(tree, 0, MOUNT_ATTR_RDONLY, 0, 0) < 0) {
    return -1;
  }
  return is_readonly_mount(tree) ? take_fd(&tree) : -1;
}

int process_reexec_sealed(char **argv, struct err *err) {
  cleanup_close int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (self < 0) {
    return err_errno(err, "cannot open /proc/self/exe");
  }
  int seals = fcntl(self, F_GET_SEALS);
  const int needed = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
  if ((seals >= 0 && (seals & needed) == needed) || is_readonly_mount(self)) {
    return 0;
  }
  cleanup_close int tree = clone_readonly(self);
  if (tree >= 0) {
    sys_execveat(tree, "", argv, environ, AT_EMPTY_PATH);
  }
  cleanup_close int copy = -1;
  int r = copy_sealed(self, &copy, err);
  if (r < 0) {
    return r;
  }
  sys_execveat(copy, "", argv, environ, AT_EMPTY_PATH);
  return err_errno(err, "cannot execute the in-memory copy of the runtime");
}

void process_clear_environment(void) {
  for (char **word = environ; word != NULL && *word != NULL; word++) {
    memset(*word, 0, strlen(*word));
  }
  environ = NULL;
}

static char *command_line;
static size_t command_line_size;

void process_keep_title(int argc, char **argv) {
  if (argc > 0) {
    command_line = argv[0];
    command_line_size = (size_t)(argv[argc - 1] + strlen(argv[argc - 1]) - argv[0]) + 1;
  }
}

void process_set_title(const char *title) {
  (void)prctl(PR_SET_NAME, title);
  if (command_line_size > 0) {
    memset(command_line, 0, command_line_size);
    (void)snprintf(command_line, command_line_size, "%s", title);
  }
}
