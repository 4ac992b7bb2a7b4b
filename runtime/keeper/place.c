#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/file.h"
#include "keeper/state.h"
#include "sys/syscalls.h"

#define API_BACKLOG 4096
/* How long the daemon of a keeper that was killed may take to go, and the programs it had run. */
#define OLD_DAEMON_MS 5000
#define OLD_PROGRAMS_MS 30000
#define LOOK_MS 5

static int refuse_second(struct keeper *keeper, struct err *err) {
  char holder[32] = "unknown";
  (void)file_read_line(keeper->run_fd, "lock", holder, sizeof(holder), /* err= */ NULL);
  return err_set(
      err, EBUSY,
      "%s is held by another keeper, pid %s: its daemon serves already (end it first, or give this one a run "
      "directory, data directory and instance of its own)",
      keeper->options.run_dir, holder);
}

static int take_lock(struct keeper *keeper, struct err *err) {
  for (;;) {
    cleanup_close int fd = openat(keeper->run_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat ours, named;
    if (fd < 0) {
      return err_errno(err, "cannot open %s/lock", keeper->options.run_dir);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
      return errno == EWOULDBLOCK ? refuse_second(keeper, err)
                                  : err_errno(err, "cannot lock %s/lock", keeper->options.run_dir);
    }
    /* A keeper that leaves removes the file: a lock on a file without name protects nothing. */
    if (fstat(fd, &ours) < 0 || fstatat(keeper->run_fd, "lock", &named, AT_SYMLINK_NOFOLLOW) < 0 ||
        ours.st_ino != named.st_ino) {
      continue;
    }
    char text[16];
    int length = snprintf(text, sizeof(text), "%d\n", getpid());
    int r = ftruncate(fd, 0) < 0 ? -errno : fd_write_all(fd, text, (size_t)length, err);
    if (r < 0) {
      return err_code(err, r, "cannot write %s/lock", keeper->options.run_dir);
    }
    keeper->lock_fd = take_fd(&fd);
    return 0;
  }
}

/* Programs run for the daemon keep the directory locked until they end: one that outlives a killed keeper may still
   change the host (it waits for a lock of the kernel, for one), and whoever looks at the host before that misses it. */
int place_await_programs(const struct keeper *keeper, struct err *err) {
  const int64_t deadline = now_ms() + OLD_PROGRAMS_MS;
  while (flock(keeper->run_fd, LOCK_EX | LOCK_NB) < 0) {
    if (errno != EWOULDBLOCK) {
      return err_errno(err, "cannot lock %s", keeper->options.run_dir);
    }
    if (now_ms() > deadline) {
      return err_set(err, EBUSY,
                     "programs of the keeper that had %s before do not end (those that have this directory open): end "
                     "them first",
                     keeper->options.run_dir);
    }
    (void)poll(NULL, 0, LOOK_MS);
  }
  return 0;
}

/* Nothing there, or a socket nobody listens on. The daemon of a keeper that was killed still has the socket for a
   moment: with our lock held no other keeper stands behind it, so its end is waited for, as the end of a connection to
   it. */
static int wait_free(const char *path, struct err *err) {
  struct stat info;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (lstat(path, &info) < 0) {
    return errno == ENOENT ? 0 : err_errno(err, "cannot look at %s", path);
  }
  if (!S_ISSOCK(info.st_mode)) {
    return err_set(err, EEXIST, "%s exists and is not a socket", path);
  }
  if (strlen(path) >= sizeof(address.sun_path)) {
    return 0;
  }
  strcpy(address.sun_path, path);
  const int64_t deadline = now_ms() + OLD_DAEMON_MS;
  for (;;) {
    cleanup_close int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool answered =
        probe >= 0 && (connect(probe, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN);
    if (!answered) {
      return 0;
    }
    struct pollfd end = {.fd = probe, .events = POLLIN};
    int64_t left = deadline - now_ms();
    if (left <= 0 || poll(&end, 1, (int)left) == 0) {
      return err_set(err, EBUSY, "%s is served by another engine", path);
    }
  }
}

/* Read by hand: getgrnam would load libraries, which a static binary must not. 1: found. */
static int find_group(const char *name, gid_t *ret_group) {
  cleanup_free char *text = NULL;
  size_t size = 0, length = strlen(name);
  if (file_read(AT_FDCWD, "/etc/group", &text, &size, /* err= */ NULL) < 0) {
    return 0;
  }
  char *rest = NULL;
  for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
    const char *number =
        strncmp(line, name, length) == 0 && line[length] == ':' ? strchr(line + length + 1, ':') : NULL;
    if (number != NULL && number[1] >= '0' && number[1] <= '9') {
      *ret_group = (gid_t)strtoul(number + 1, NULL, 10);
      return 1;
    }
  }
  return 0;
}

static int open_to_group(const char *name, const char *group, struct err *err) {
  gid_t number = 0;
  if (group == NULL || !find_group(group, &number)) {
    return 0; /* stays 0600: without the group only root may drive the engine */
  }
  if (chown(name, (uid_t)-1, number) < 0 || chmod(name, 0660) < 0) {
    return err_errno(err, "cannot give the API socket to group %s", group);
  }
  return 0;
}

/* In the staging directory, where nobody else may look, under short names that fit an address. */
static int bind_staged(struct keeper *keeper, struct err *err) {
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "s"};
  cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) {
    return err_errno(err, "cannot make a socket");
  }
  mode_t old = umask(0177);
  int r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? err_errno(err, "cannot bind the API socket") : 0;
  umask(old);
  r = r < 0 ? r : open_to_group("s", keeper->options.group, err);
  if (r < 0) {
    return r;
  }
  struct stat info;
  if (listen(fd, API_BACKLOG) < 0 || stat("s", &info) < 0 || rename("s", keeper->options.socket) < 0) {
    return err_errno(err, "cannot put the API socket at %s", keeper->options.socket);
  }
  keeper->api_inode = info.st_ino;
  keeper->api_fd = take_fd(&fd);
  return 0;
}

static int bind_api(struct keeper *keeper, struct err *err) {
  const char *path = keeper->options.socket;
  int r = wait_free(path, err);
  if (r < 0) {
    return r;
  }
  cleanup_free char *folder = strndup(path, (size_t)(strrchr(path, '/') - path));
  cleanup_free char *stage = folder == NULL ? NULL : str_format("%s/.tscompose-XXXXXX", folder);
  if (stage == NULL) {
    return err_oom(err);
  }
  r = folder[0] == '\0' ? 0 : file_mkdir_p(AT_FDCWD, folder, 0755, err);
  if (r < 0) {
    return r;
  }
  if (mkdtemp(stage) == NULL || chdir(stage) < 0) {
    return err_errno(err, "cannot make a directory beside %s", path);
  }
  r = bind_staged(keeper, err);
  (void)unlink("s");
  (void)rmdir(stage);
  return chdir("/") < 0 ? err_errno(err, "cannot enter /") : r;
}

int place_take(struct keeper *keeper, struct err *err) {
  int r = file_mkdir_p(AT_FDCWD, keeper->options.run_dir, 0711, err);
  if (r < 0) {
    return r;
  }
  keeper->run_fd = open(keeper->options.run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (keeper->run_fd < 0) {
    return err_errno(err, "cannot open %s", keeper->options.run_dir);
  }
  r = take_lock(keeper, err);
  r = r < 0 ? r : place_await_programs(keeper, err);
  return r < 0 || keeper->api_fd >= 0 ? r : bind_api(keeper, err);
}

/* Children run from a copy nobody can change: an upgrade in place or a hostile container cannot reach it. */
int place_seal(int *ret_fd, struct err *err) {
  cleanup_close int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  struct stat info;
  if (from < 0 || fstat(from, &info) < 0) {
    return err_errno(err, "cannot open our own binary");
  }
  /* 0x10 is MFD_EXEC (Linux 6.3): asked for so that hosts with vm.memfd_noexec let it run. */
  cleanup_close int copy = memfd_create("tscompose-runtime", MFD_CLOEXEC | MFD_ALLOW_SEALING | 0x10U);
  if (copy < 0) {
    copy = memfd_create("tscompose-runtime", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  }
  if (copy < 0) {
    return err_errno(err, "cannot make a memory file");
  }
  for (off_t left = info.st_size; left > 0;) {
    ssize_t n = sendfile(copy, from, NULL, (size_t)left);
    if (n <= 0) {
      return err_errno(err, "cannot copy our own binary");
    }
    left -= n;
  }
  if (fchmod(copy, 0500) < 0 ||
      fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
    return err_errno(err, "cannot seal the copy of our binary");
  }
  /* A writable descriptor makes execve fail (ETXTBSY): keep one that only reads. */
  char path[40];
  snprintf(path, sizeof(path), "/proc/self/fd/%d", copy);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return err_errno(err, "cannot reopen the copy of our binary");
  }
  *ret_fd = fd;
  return 0;
}

/* Ours, and what decides how registries are reached. */
static bool keeps(const char *entry) {
  static const char *const kept[] = {
      "TSCOMPOSE_",   "HTTP_PROXY=", "HTTPS_PROXY=",   "NO_PROXY=",           "http_proxy=",
      "https_proxy=", "no_proxy=",   "SSL_CERT_FILE=", "NODE_EXTRA_CA_CERTS="};
  for (size_t i = 0; i < array_length(kept); i++) {
    if (str_starts(entry, kept[i])) {
      return true;
    }
  }
  return false;
}

int place_clean_environment(struct err *err) {
  cleanup_str_list struct str_list kept = {NULL, 0};
  for (char **entry = environ; *entry != NULL; entry++) {
    if (keeps(*entry) && str_list_add(&kept, *entry) < 0) {
      return err_oom(err);
    }
  }
  if (clearenv() != 0 || setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1) < 0 ||
      setenv("LANG", "C.UTF-8", 1) < 0) {
    return err_errno(err, "cannot set the environment");
  }
  for (size_t i = 0; i < kept.count; i++) {
    char *equals = strchr(kept.items[i], '=');
    if (equals != NULL) {
      *equals = '\0';
      if (setenv(kept.items[i], equals + 1, 1) < 0) {
        return err_errno(err, "cannot set the environment");
      }
    }
  }
  return 0;
}

#define BARE_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define BARE_LANG "LANG=C.UTF-8"

char *const place_bare_environment[] = {BARE_PATH, BARE_LANG, NULL};

void place_hide_memory(void) {
  uint64_t effective = 0, permitted = 0, inheritable = 0;
  /* The runtime opens the namespaces we hold by way of /proc/<keeper>/fd, which then takes CAP_SYS_PTRACE. */
  if (sys_capget(&effective, &permitted, &inheritable) == 0 && (effective >> CAP_SYS_PTRACE & 1) != 0) {
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  }
}

/* Best effort: the end of a login session or a CI step kills its cgroup, containers must not be in it. */
void place_leave_cgroups(void) {
  cleanup_free char *text = NULL;
  size_t size = 0;
  if (file_read(AT_FDCWD, "/proc/self/mountinfo", &text, &size, /* err= */ NULL) < 0) {
    return;
  }
  char *rest = NULL;
  for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
    char point[1024];
    const char *type = strstr(line, " - ");
    if (type == NULL || !str_starts(type + 3, "cgroup") || sscanf(line, "%*s %*s %*s %*s %1023s", point) != 1) {
      continue;
    }
    cleanup_free char *procs = str_format("%s/cgroup.procs", point);
    if (procs != NULL) {
      (void)file_write_existing(AT_FDCWD, procs, "0", /* err= */ NULL);
    }
  }
}

void place_release(struct keeper *keeper) {
  struct stat info;
  if (keeper->api_fd >= 0 && keeper->api_inode != 0 && lstat(keeper->options.socket, &info) == 0 &&
      info.st_ino == keeper->api_inode) {
    (void)unlink(keeper->options.socket);
  }
  if (keeper->lock_fd >= 0) {
    (void)unlinkat(keeper->run_fd, "lock", 0);
  }
}
