/*
 * The descriptor-based mount calls (Linux 5.2, mount_setattr 5.12), numbers and flags included so that any libc will
 * do. Plain kernel convention: -1 and errno.
 */
#pragma once

#include <stdint.h>

enum mountfd_config {
  MOUNTFD_FLAG = 0,
  MOUNTFD_STRING = 1,
  MOUNTFD_FD = 5,
  MOUNTFD_CREATE = 6,
  MOUNTFD_RECONFIGURE = 7
};

int mountfd_open(const char *type);
int mountfd_config(int fs, enum mountfd_config command, const char *key, const char *value);
int mountfd_config_fd(int fs, const char *key, int fd);
int mountfd_mount(int fs, unsigned attributes);

/* A detached copy of the mount at dirfd/path (path "": dirfd itself). */
int mountfd_clone(int dirfd, const char *path, int recursive);

/* Attaches `mount` at the file `target` refers to. */
int mountfd_attach(int mount, int target);

/* `set` and `clear` are MOUNT_ATTR_* numbers, `propagation` one of MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE or 0.
 */
int mountfd_setattr(int mount, int recursive, uint64_t set, uint64_t clear, uint64_t propagation);

/* Ids of the files as `users`, a user namespace, maps them. */
int mountfd_map_ids(int mount, int recursive, int users);

/* The file system mounted at `target`, to be configured anew. */
int mountfd_pick(int target);
