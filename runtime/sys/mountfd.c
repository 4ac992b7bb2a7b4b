#include "sys/mountfd.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALL_PATHS_EMPTY 0x1000 /* AT_EMPTY_PATH */
#define ALL_RECURSIVE 0x8000   /* AT_RECURSIVE */
#define TREE_CLONE 1           /* OPEN_TREE_CLONE */
#define PICK_FLAGS 0x9u        /* FSPICK_CLOEXEC | FSPICK_EMPTY_PATH */
#define MAP_IDS 0x00100000     /* MOUNT_ATTR_IDMAP */
#define MOVE_BOTH_EMPTY 0x44   /* MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH */

int mountfd_open(const char *type) {
  return (int)syscall(SYS_fsopen, type, 1u /* FSOPEN_CLOEXEC */);
}

int mountfd_config(int fs, enum mountfd_config command, const char *key, const char *value) {
  return (int)syscall(SYS_fsconfig, fs, (unsigned)command, key, value, 0);
}

int mountfd_config_fd(int fs, const char *key, int fd) {
  return (int)syscall(SYS_fsconfig, fs, (unsigned)MOUNTFD_FD, key, NULL, fd);
}

int mountfd_mount(int fs, unsigned attributes) {
  return (int)syscall(SYS_fsmount, fs, 1u /* FSMOUNT_CLOEXEC */, attributes);
}

int mountfd_clone(int dirfd, const char *path, int recursive) {
  unsigned flags = TREE_CLONE | O_CLOEXEC | ALL_PATHS_EMPTY | (recursive ? ALL_RECURSIVE : 0u);
  return (int)syscall(SYS_open_tree, dirfd, path, flags);
}

int mountfd_attach(int mount, int target) {
  return (int)syscall(SYS_move_mount, mount, "", target, "", (unsigned)MOVE_BOTH_EMPTY);
}

struct attributes {
  uint64_t set, clear, propagation, users;
};

static int set_attributes(int mount, int recursive, const struct attributes *attributes) {
  unsigned flags = ALL_PATHS_EMPTY | (recursive ? ALL_RECURSIVE : 0u);
  return (int)syscall(SYS_mount_setattr, mount, "", flags, attributes, sizeof(*attributes));
}

int mountfd_setattr(int mount, int recursive, uint64_t set, uint64_t clear, uint64_t propagation) {
  const struct attributes attributes = {set, clear, propagation, 0};
  return set_attributes(mount, recursive, &attributes);
}

int mountfd_map_ids(int mount, int recursive, int users) {
  const struct attributes attributes = {MAP_IDS, 0, 0, (uint64_t)(unsigned)users};
  return set_attributes(mount, recursive, &attributes);
}

int mountfd_pick(int target) {
  return (int)syscall(SYS_fspick, target, "", PICK_FLAGS);
}
