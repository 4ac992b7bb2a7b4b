/* Owner, mode, times and extended attributes of what is written, by descriptor. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/err.h"
#include "layer/confine.h"

/* Attributes that a layer may carry: everything but overlay's own controls, and of security.* only file capabilities
 * (labels of another host's security module mean nothing here). */
bool meta_xattr_allowed(const char *name);

int meta_set_xattr(int fd, const char *name, const void *value, size_t size, const char *path, struct err *err);

/* Calls `each` for every allowed attribute, sorted by name. A file system without attributes has none. */
typedef int (*xattr_fn)(void *context, const char *name, const void *value, size_t size, struct err *err);
int meta_each_xattr(int fd, const char *path, xattr_fn each, void *context, struct err *err);

/* Value of one attribute in a small buffer: its size, 0 when absent. */
ssize_t meta_get_xattr(int fd, const char *name, void *buffer, size_t capacity);

/* Owner first: chown clears the set-id bits. `fd` is a file or directory, not O_PATH. */
int meta_set_owner_mode(int fd, struct owner owner, mode_t mode, const char *path, struct err *err);
int meta_set_mtime(int fd, const struct timespec *mtime, const char *path, struct err *err);
/* For links and special files: never follows. */
int meta_set_at(int parent, const char *leaf, struct owner owner, const struct timespec *mtime, const char *path,
                struct err *err);

/* Set-id bits of a special file, which setting its owner has cleared: by descriptor, whatever has its name by now. */
int meta_restore_special_mode(const struct tree *tree, int parent, const char *leaf, mode_t mode, const char *path,
                              struct err *err);
