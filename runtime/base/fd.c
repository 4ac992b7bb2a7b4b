#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int fd_write_all(int fd, const void *data, size_t size, struct err *err) {
  const char *at = data;
  while (size > 0) {
    ssize_t n = write(fd, at, size);
    if (n < 0) {
      if (errno == EINTR) {
        continue;
      }
      return err_errno(err, "cannot write to descriptor %d", fd);
    }
    at += n;
    size -= (size_t)n;
  }
  return 0;
}

int fd_read_all(int fd, size_t limit, char **ret_data, size_t *ret_size, struct err *err) {
  size_t capacity = limit < 4096 ? limit + 1 : 4096;
  size_t size = 0;
  cleanup_free char *data = malloc(capacity + 1);
  if (data == NULL) {
    return err_oom(err);
  }
  for (;;) {
    ssize_t n = read(fd, data + size, capacity - size);
    if (n < 0) {
      if (errno == EINTR) {
        continue;
      }
      return err_errno(err, "cannot read from descriptor %d", fd);
    }
    if (n == 0) {
      break;
    }
    size += (size_t)n;
    if (size > limit) {
      return err_set(err, EFBIG, "more than %zu bytes", limit);
    }
    if (size == capacity) {
      capacity = capacity * 2 > limit ? limit + 1 : capacity * 2;
      char *grown = realloc(data, capacity + 1);
      if (grown == NULL) {
        return err_oom(err);
      }
      data = grown;
    }
  }
  data[size] = '\0';
  *ret_data = take_ptr(data);
  if (ret_size != NULL) {
    *ret_size = size;
  }
  return 0;
}

int fd_read_exact(int fd, void *data, size_t size, struct err *err) {
  char *at = data;
  while (size > 0) {
    ssize_t n = read(fd, at, size);
    if (n < 0) {
      if (errno == EINTR) {
        continue;
      }
      return err_errno(err, "cannot read from descriptor %d", fd);
    }
    if (n == 0) {
      return err_set(err, EPIPE, "descriptor %d ended early", fd);
    }
    at += n;
    size -= (size_t)n;
  }
  return 0;
}

int fd_close_from(int first, struct err *err) {
  if (close_range((unsigned)first, UINT_MAX, 0) < 0) {
    return err_errno(err, "cannot close descriptors from %d on", first);
  }
  return 0;
}

int fd_close_but(int first, int *keep, size_t count, struct err *err) {
  for (size_t i = 1; i < count; i++) {
    for (size_t k = i; k > 0 && keep[k] < keep[k - 1]; k--) {
      int swap = keep[k];
      keep[k] = keep[k - 1];
      keep[k - 1] = swap;
    }
  }
  for (size_t i = 0; i < count; i++) {
    if (keep[i] >= first) {
      if (keep[i] > first && close_range((unsigned)first, (unsigned)keep[i] - 1, 0) < 0) {
        return err_errno(err, "cannot close descriptors");
      }
      first = keep[i] + 1;
    }
  }
  return fd_close_from(first, err);
}

int fd_cloexec_from(int first, struct err *err) {
  if (close_range((unsigned)first, UINT_MAX, CLOSE_RANGE_CLOEXEC) == 0) {
    return 0;
  }
  if (errno != EINVAL && errno != ENOSYS) {
    return err_errno(err, "cannot mark descriptors close-on-exec from %d on", first);
  }
  /* Before Linux 5.11 there is no CLOSE_RANGE_CLOEXEC. */
  cleanup_dir DIR *dir = opendir("/proc/self/fd");
  if (dir == NULL) {
    return err_errno(err, "cannot list open descriptors");
  }
  const struct dirent *entry;
  while ((entry = readdir(dir)) != NULL) {
    int fd = atoi(entry->d_name);
    if (entry->d_name[0] != '.' && fd >= first) {
      (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
  }
  return 0;
}

int fd_set_cloexec(int fd, bool on, struct err *err) {
  if (fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) < 0) {
    return err_errno(err, "cannot set close-on-exec of descriptor %d", fd);
  }
  return 0;
}

int fd_set_nonblock(int fd, bool on, struct err *err) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0) {
    return err_errno(err, "cannot set blocking mode of descriptor %d", fd);
  }
  return 0;
}

union control {
  struct cmsghdr align;
  char bytes[CMSG_SPACE(sizeof(int) * FD_PASS_MAX)];
};

int fd_send(int socket, const void *data, size_t size, const int *fds, size_t count, struct err *err) {
  if (count > FD_PASS_MAX) {
    return err_set(err, E2BIG, "cannot pass %zu descriptors, at most %d", count, FD_PASS_MAX);
  }
  union control control;
  memset(&control, 0, sizeof(control));
  struct iovec iov = {.iov_base = (void *)data, .iov_len = size};
  struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
  if (count > 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
  }
  ssize_t n;
  do {
    n = sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    return err_errno(err, "cannot send on socket %d", socket);
  }
  /* Descriptors went with the first byte; the rest of a stream follows plainly. */
  if ((size_t)n < size) {
    return fd_write_all(socket, (const char *)data + n, size - (size_t)n, err);
  }
  return 0;
}

static size_t keep_descriptors(const struct cmsghdr *header, int *fds, size_t capacity, size_t kept) {
  size_t total = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (size_t i = 0; i < total; i++) {
    int fd;
    memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
    if (kept < capacity) {
      fds[kept++] = fd;
    } else {
      close(fd);
    }
  }
  return kept;
}

int fd_receive(int socket, void *data, size_t capacity, size_t *ret_size, int *fds, size_t count, size_t *ret_count,
               struct err *err) {
  union control control;
  struct iovec iov = {.iov_base = data, .iov_len = capacity};
  struct msghdr message = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
  ssize_t n;
  do {
    n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    return err_errno(err, "cannot receive on socket %d", socket);
  }
  size_t kept = 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
      kept = keep_descriptors(header, fds, count, kept);
    }
  }
  *ret_size = (size_t)n;
  if (ret_count != NULL) {
    *ret_count = kept;
  }
  return 0;
}

int fd_report_errors(int socket, int family, struct err *err) {
  static const int on = 1;
  bool six = family == AF_INET6;
  if (setsockopt(socket, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_RECVERR : IP_RECVERR, &on, sizeof(on)) < 0) {
    return err_errno(err, "cannot have errors reported on a socket");
  }
  return 0;
}
