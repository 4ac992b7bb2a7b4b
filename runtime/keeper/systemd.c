/*
 * As a service of systemd: the listening API socket may come from a socket unit (sd_listen_fds(3)), and the manager is
 * told of our state (sd_notify(3)). Both are a few lines of protocol and no library.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "keeper/state.h"

#define FIRST_FD 3

static int check_socket(int fd, struct err *err) {
  int domain = 0, listening = 0;
  socklen_t size = sizeof(domain);
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0) {
    return err_errno(err, "descriptor %d of the socket unit is no socket", fd);
  }
  size = sizeof(listening);
  if (domain != AF_UNIX || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || listening == 0) {
    return err_set(err, EINVAL,
                   "descriptor %d of the socket unit is no listening unix socket (ListenStream= with a path)", fd);
  }
  return fd_set_nonblock(fd, true, err);
}

int systemd_take_socket(int *ret_fd, struct err *err) {
  const char *whose = getenv("LISTEN_PID");
  const char *count = getenv("LISTEN_FDS");
  long long pid = 0, fds = 0;
  if (whose == NULL || count == NULL || str_to_long(whose, 1, INT32_MAX, &pid) < 0 || pid != getpid()) {
    return 0; /* meant for somebody before us */
  }
  if (str_to_long(count, 0, INT32_MAX, &fds) < 0 || fds != 1) {
    return err_set(err, EINVAL, "the socket unit passes %s sockets; the keeper serves one", count);
  }
  int r = check_socket(FIRST_FD, err);
  if (r == 0) {
    *ret_fd = FIRST_FD;
  }
  return r;
}

void systemd_notify(const char *address, const char *text) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  size_t length = address == NULL ? 0 : strlen(address);
  if (length < 2 || length >= sizeof(to.sun_path) || (address[0] != '/' && address[0] != '@')) {
    return;
  }
  memcpy(to.sun_path, address, length);
  if (address[0] == '@') {
    to.sun_path[0] = '\0'; /* an abstract name */
  }
  cleanup_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
  if (fd >= 0) {
    (void)!sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&to, size);
  }
}
