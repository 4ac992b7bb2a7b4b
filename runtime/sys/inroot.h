/*
 * The only way to a path inside a container: every component is resolved by the kernel below one root descriptor
 * (openat2 with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS), so neither symbolic links nor races lead outside.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

/* Opens an existing path. `flags` as for open; O_CLOEXEC is added. A missing path is -ENOENT. */
int inroot_open(int root, const char *path, int flags, int *ret_fd, struct err *err);

/* The same, refusing symbolic links in any component. */
int inroot_open_plain(int root, const char *path, int flags, int *ret_fd, struct err *err);

/* What is made: a symbolic link to nothing on the way is followed, below the root as ever, and what it names is made.
 */

/* A directory, made with its parents (mode `mode`) when missing. O_PATH descriptor. */
int inroot_make_directory(int root, const char *path, mode_t mode, int *ret_fd, struct err *err);

/* The same for a directory that must be reached without any symbolic link. */
int inroot_make_plain_directory(int root, const char *path, mode_t mode, int *ret_fd, struct err *err);

/* A file to mount on: an empty one is made, with its parent directories, when missing. O_PATH descriptor. */
int inroot_make_file(int root, const char *path, int *ret_fd, struct err *err);
