/* Small files, directories. `dirfd` may be AT_FDCWD. Host paths only: container paths go through sys/syscalls.h
 * open_in_root. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

#define FILE_LIMIT ((size_t)16 << 20)

/* Whole file, NUL-terminated, the caller's to free; larger than FILE_LIMIT: -EFBIG. */
int file_read(int dirfd, const char *path, char **ret_data, size_t *ret_size, struct err *err);

/* Into a buffer on the stack, NUL-terminated, trailing newline cut. Longer content: -EFBIG. */
int file_read_line(int dirfd, const char *path, char *buffer, size_t capacity, struct err *err);

/* Writes to an existing file in one write(2) (kernel interfaces: /proc, /sys, cgroups). */
int file_write_existing(int dirfd, const char *path, const char *text, struct err *err);

/* Temporary file beside it, fsync when `sync`, rename. */
int file_write_atomic(int dirfd, const char *path, const void *data, size_t size, mode_t mode, int sync,
                      struct err *err);

/* Directory with its parents; an existing one is fine. */
int file_mkdir_p(int dirfd, const char *path, mode_t mode, struct err *err);

/* Removes a tree below dirfd without following symlinks or leaving the file system. A missing path is fine. */
int file_remove_tree(int dirfd, const char *path, struct err *err);
