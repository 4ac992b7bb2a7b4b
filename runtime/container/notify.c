#include "container/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "container/container.h"
#include "spec/mount_flags.h"

#define INSIDE "/run/notify"
#define ADDRESS_FILE "notify-address"

static int add_mount(const char *source, struct plan *plan, struct err *err) {
  struct plan_mount *mounts = arena_get(&plan->arena, (plan->mount_count + 1) * sizeof(*mounts));
  char *copy = arena_get(&plan->arena, strlen(source) + 1);
  if (mounts == NULL || copy == NULL) {
    return err_oom(err);
  }
  if (plan->mount_count > 0) {
    memcpy(mounts, plan->mounts, plan->mount_count * sizeof(*mounts));
  }
  mounts[plan->mount_count++] =
      (struct plan_mount){.destination = INSIDE,
                          .source = strcpy(copy, source),
                          .type = "bind",
                          .bind = true,
                          .set = MNT_ATTR_RDONLY | MNT_ATTR_NOSUID | MNT_ATTR_NODEV | MNT_ATTR_NOEXEC};
  plan->mounts = mounts;
  return 0;
}

int notify_plan(int directory, const char *host_directory, const char *manager, struct plan *plan, struct err *err) {
  static const char *const variable[] = {"NOTIFY_SOCKET=" INSIDE "/notify.sock"};
  char source[PATH_MAX];
  if (strlen(manager) >= sizeof(((struct sockaddr_un *)NULL)->sun_path) || (manager[0] != '/' && manager[0] != '@')) {
    return err_set(err, EINVAL, "NOTIFY_SOCKET is not a socket address: %s", manager);
  }
  if (mkdirat(directory, NOTIFY_DIRECTORY, 0755) < 0) {
    return err_errno(err, "cannot make the directory of the notify socket");
  }
  int n = snprintf(source, sizeof(source), "%s/%s", host_directory, NOTIFY_DIRECTORY);
  if (n < 0 || (size_t)n >= sizeof(source)) {
    return err_code(err, ENAMETOOLONG, "--root");
  }
  int r = add_mount(source, plan, err);
  r = r < 0 ? r : plan_add_environment(&plan->arena, &plan->process.env, variable, 1, err);
  return r < 0 ? r : file_write_atomic(directory, ADDRESS_FILE, manager, strlen(manager), 0600, 0, err);
}

int notify_listen(int directory, struct notify *ret_notify, struct err *err) {
  struct notify notify = NOTIFY_INIT;
  struct sockaddr_un own = {.sun_family = AF_UNIX};
  char address[sizeof(own.sun_path)];
  if (file_read_line(directory, ADDRESS_FILE, address, sizeof(address), NULL) < 0) {
    return 0;
  }
  size_t length = strlen(address);
  notify.manager.sun_family = AF_UNIX;
  memcpy(notify.manager.sun_path, address, length);
  notify.manager_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
  if (address[0] == '@') {
    notify.manager.sun_path[0] = '\0';
  }
  cleanup_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  snprintf(own.sun_path, sizeof(own.sun_path), "/proc/self/fd/%d/" NOTIFY_DIRECTORY "/notify.sock", directory);
  if (fd < 0 || bind(fd, (const struct sockaddr *)&own, sizeof(own)) < 0 ||
      fchmodat(directory, NOTIFY_DIRECTORY "/notify.sock", 0777, 0) < 0) {
    return err_errno(err, "cannot make the notify socket");
  }
  notify.socket = take_fd(&fd);
  *ret_notify = notify;
  return 0;
}

static bool may_pass(const char *line) {
  static const char *const known[] = {
      "READY=", "STATUS=", "ERRNO=", "WATCHDOG=", "RELOADING=", "STOPPING=", "BUSERROR=", "EXTEND_TIMEOUT_USEC="};
  for (size_t i = 0; i < array_length(known); i++) {
    if (str_starts(line, known[i])) {
      return true;
    }
  }
  return false;
}

/* Process ids and descriptors are those of another world: only words go on. */
int notify_relay(struct notify *notify, pid_t pid) {
  char message[4096];
  ssize_t n = recv(notify->socket, message, sizeof(message) - 1, 0);
  if (n <= 0) {
    return -EAGAIN;
  }
  message[n] = '\0';
  cleanup_str struct str out = STR_INIT;
  char *rest = message;
  for (const char *line; (line = strsep(&rest, "\n")) != NULL;) {
    if (!may_pass(line) || str_addf(&out, "%s\n", line) < 0) {
      continue;
    }
    if (strcmp(line, "READY=1") == 0) {
      notify->ready = true;
      (void)str_addf(&out, "MAINPID=%d\n", (int)pid);
    }
  }
  if (out.size > 0) {
    (void)sendto(notify->socket, out.data, out.size, MSG_NOSIGNAL, (const struct sockaddr *)&notify->manager,
                 notify->manager_size);
  }
  return 0;
}

void notify_wait_ready(struct notify *notify, pid_t pid, int pidfd) {
  while (notify->socket >= 0 && !notify->ready) {
    struct pollfd entries[] = {{.fd = notify->socket, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};
    if (poll(entries, array_length(entries), -1) < 0 && errno != EINTR) {
      return;
    }
    if (notify_relay(notify, pid) < 0 && entries[1].revents != 0) {
      return;
    }
  }
}

void notify_close(struct notify *notify) {
  if (notify->socket >= 0) {
    close(notify->socket);
    notify->socket = -1;
  }
}
