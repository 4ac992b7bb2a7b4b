#include "sys/syscalls.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

pid_t sys_clone3(uint64_t flags, int exit_signal, int cgroup_fd, int *ret_pidfd) {
  int pidfd = -1;
  struct sys_clone_args args;
  memset(&args, 0, sizeof(args));
  args.flags = flags;
  args.exit_signal = (uint64_t)exit_signal;
  if (ret_pidfd != NULL) {
    args.flags |= CLONE_PIDFD;
    args.pidfd = (uint64_t)(uintptr_t)&pidfd;
  }
  if (cgroup_fd >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = (uint64_t)cgroup_fd;
  }
  pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
  if (pid > 0 && ret_pidfd != NULL) {
    *ret_pidfd = pidfd;
  }
  return pid;
}

int sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
  struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
  return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
}

int sys_pivot_root(const char *new_root, const char *put_old) {
  return (int)syscall(SYS_pivot_root, new_root, put_old);
}

int sys_pidfd_open(pid_t pid) {
  return (int)syscall(SYS_pidfd_open, pid, 0);
}

int sys_pidfd_send_signal(int pidfd, int signal) {
  return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

int sys_join_session_keyring(const char *name) {
  return (int)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name);
}

int sys_capset(const uint64_t *effective, const uint64_t *permitted, const uint64_t *inheritable) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  struct __user_cap_data_struct data[2];
  for (int i = 0; i < 2; i++) {
    data[i].effective = (uint32_t)(*effective >> (32 * i));
    data[i].permitted = (uint32_t)(*permitted >> (32 * i));
    data[i].inheritable = (uint32_t)(*inheritable >> (32 * i));
  }
  return (int)syscall(SYS_capset, &header, data);
}

int sys_capget(uint64_t *effective, uint64_t *permitted, uint64_t *inheritable) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &header, data) < 0) {
    return -1;
  }
  *effective = data[0].effective | (uint64_t)data[1].effective << 32;
  *permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
  *inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
  return 0;
}

int sys_seccomp_load(unsigned flags, const void *filters, size_t count) {
  struct sock_fprog program = {.len = (unsigned short)count, .filter = (struct sock_filter *)filters};
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

bool sys_seccomp_knows(unsigned flags) {
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, NULL) < 0 && errno == EFAULT;
}

int sys_bpf(int command, void *attr, unsigned size) {
  return (int)syscall(SYS_bpf, command, attr, size);
}

int sys_execveat(int dirfd, const char *path, char *const argv[], char *const envp[], int flags) {
  return (int)syscall(SYS_execveat, dirfd, path, argv, envp, flags);
}

int sys_setresuid(uid_t uid) {
  return (int)syscall(SYS_setresuid, uid, uid, uid);
}

int sys_setresgid(gid_t gid) {
  return (int)syscall(SYS_setresgid, gid, gid, gid);
}

int sys_setgroups(size_t count, const gid_t *gids) {
  return (int)syscall(SYS_setgroups, count, gids);
}

int sys_sched_setattr(pid_t pid, const struct sys_sched_attributes *attributes) {
  return (int)syscall(SYS_sched_setattr, pid, attributes, 0u);
}

int sys_sched_setaffinity(pid_t pid, const void *mask, size_t size) {
  return (int)syscall(SYS_sched_setaffinity, pid, size, mask);
}

int sys_ioprio_set(pid_t pid, int priority) {
  return (int)syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, pid, priority);
}
