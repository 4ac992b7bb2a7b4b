/*
 * Since Linux 5.1 a new call gets one number on all architectures (of those that count from an offset: plus that), so
 * one list serves them all. The numbers are those of Linux's system call tables and uapi asm/unistd headers;
 * tests/test_seccomp.c compares them with the headers at hand.
 */
#include "spec/syscall_table.h"

#include <seccomp.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"

enum where { EVERYWHERE, X86_64_ONLY, SECRET_MEMORY, RISCV_ONLY };

static const struct {
  const char *name;
  unsigned short number;
  enum where where;
} calls[] = {
    {"riscv_hwprobe", 258, RISCV_ONLY},
    {"uretprobe", 335, X86_64_ONLY},
    {"uprobe", 336, X86_64_ONLY},
    {"pidfd_send_signal", 424, EVERYWHERE},
    {"io_uring_setup", 425, EVERYWHERE},
    {"io_uring_enter", 426, EVERYWHERE},
    {"io_uring_register", 427, EVERYWHERE},
    {"open_tree", 428, EVERYWHERE},
    {"move_mount", 429, EVERYWHERE},
    {"fsopen", 430, EVERYWHERE},
    {"fsconfig", 431, EVERYWHERE},
    {"fsmount", 432, EVERYWHERE},
    {"fspick", 433, EVERYWHERE},
    {"pidfd_open", 434, EVERYWHERE},
    {"clone3", 435, EVERYWHERE},
    {"close_range", 436, EVERYWHERE},
    {"openat2", 437, EVERYWHERE},
    {"pidfd_getfd", 438, EVERYWHERE},
    {"faccessat2", 439, EVERYWHERE},
    {"process_madvise", 440, EVERYWHERE},
    {"epoll_pwait2", 441, EVERYWHERE},
    {"mount_setattr", 442, EVERYWHERE},
    {"quotactl_fd", 443, EVERYWHERE},
    {"landlock_create_ruleset", 444, EVERYWHERE},
    {"landlock_add_rule", 445, EVERYWHERE},
    {"landlock_restrict_self", 446, EVERYWHERE},
    {"memfd_secret", 447, SECRET_MEMORY},
    {"process_mrelease", 448, EVERYWHERE},
    {"futex_waitv", 449, EVERYWHERE},
    {"set_mempolicy_home_node", 450, EVERYWHERE},
    {"cachestat", 451, EVERYWHERE},
    {"fchmodat2", 452, EVERYWHERE},
    {"map_shadow_stack", 453, EVERYWHERE},
    {"futex_wake", 454, EVERYWHERE},
    {"futex_wait", 455, EVERYWHERE},
    {"futex_requeue", 456, EVERYWHERE},
    {"statmount", 457, EVERYWHERE},
    {"listmount", 458, EVERYWHERE},
    {"lsm_get_self_attr", 459, EVERYWHERE},
    {"lsm_set_self_attr", 460, EVERYWHERE},
    {"lsm_list_modules", 461, EVERYWHERE},
    {"mseal", 462, EVERYWHERE},
    {"setxattrat", 463, EVERYWHERE},
    {"getxattrat", 464, EVERYWHERE},
    {"listxattrat", 465, EVERYWHERE},
    {"removexattrat", 466, EVERYWHERE},
    {"open_tree_attr", 467, EVERYWHERE},
    {"file_getattr", 468, EVERYWHERE},
    {"file_setattr", 469, EVERYWHERE},
    {"listns", 470, EVERYWHERE},
};

static bool has(uint32_t architecture, enum where where) {
  bool x86_64 = architecture == SCMP_ARCH_X86_64 || architecture == SCMP_ARCH_X32;
  switch (where) {
  case EVERYWHERE:
    return true;
  case X86_64_ONLY:
    return x86_64;
  case SECRET_MEMORY:
    return x86_64 || architecture == SCMP_ARCH_X86 || architecture == SCMP_ARCH_AARCH64 ||
           architecture == SCMP_ARCH_RISCV64;
  case RISCV_ONLY:
    return architecture == SCMP_ARCH_RISCV64;
  }
  return false;
}

static uint32_t offset_of(uint32_t architecture) {
  switch (architecture) {
  case SCMP_ARCH_X32:
    return 0x40000000;
  case SCMP_ARCH_MIPS:
  case SCMP_ARCH_MIPSEL:
    return 4000;
  case SCMP_ARCH_MIPS64:
  case SCMP_ARCH_MIPSEL64:
    return 5000;
  case SCMP_ARCH_MIPS64N32:
  case SCMP_ARCH_MIPSEL64N32:
    return 6000;
  default:
    return 0;
  }
}

int64_t syscall_number(uint32_t architecture, const char *name) {
  for (size_t i = 0; i < array_length(calls); i++) {
    if (strcmp(calls[i].name, name) == 0) {
      return has(architecture, calls[i].where) ? (int64_t)offset_of(architecture) + calls[i].number : -1;
    }
  }
  return -1;
}

const char *syscall_entry(size_t index, unsigned *ret_number) {
  if (index >= array_length(calls)) {
    return NULL;
  }
  *ret_number = calls[index].number;
  return calls[index].name;
}
