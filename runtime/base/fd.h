/* Descriptors: whole reads and writes, passing over sockets, closing the rest. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/err.h"

/* Writes all of it, across short writes and EINTR. */
int fd_write_all(int fd, const void *data, size_t size, struct err *err);

/* Reads to end of file or `limit` bytes; the buffer is NUL-terminated (not counted) and the caller's to free. More than
 * `limit`: -EFBIG. */
int fd_read_all(int fd, size_t limit, char **ret_data, size_t *ret_size, struct err *err);

/* Reads exactly `size` bytes; -EPIPE when the stream ends before. */
int fd_read_exact(int fd, void *data, size_t size, struct err *err);

/* Closes every descriptor from `first` on. */
int fd_close_from(int first, struct err *err);

/* The same but those of `keep`, of which any may be -1; sorts them. */
int fd_close_but(int first, int *keep, size_t count, struct err *err);

/* Marks every descriptor from `first` on close-on-exec. */
int fd_cloexec_from(int first, struct err *err);

int fd_set_cloexec(int fd, bool on, struct err *err);
int fd_set_nonblock(int fd, bool on, struct err *err);

#define FD_PASS_MAX 8

/* One message: `size` bytes (at least 1) with up to FD_PASS_MAX descriptors. */
int fd_send(int socket, const void *data, size_t size, const int *fds, size_t count, struct err *err);

/* Receives one message. *ret_size 0: the other end closed. Descriptors arrive close-on-exec; at most `count` are kept
   in `fds` (the rest are closed by the kernel or here), *ret_count says how many. */
int fd_receive(int socket, void *data, size_t capacity, size_t *ret_size, int *fds, size_t count, size_t *ret_count,
               struct err *err);

/* A UDP socket that learns what the network says of its packets (IP_RECVERR): EPOLLERR, then recvmsg MSG_ERRQUEUE. */
int fd_report_errors(int socket, int family, struct err *err);
