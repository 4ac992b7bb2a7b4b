/*
 * Kernel calls without a portable libc wrapper. Plain kernel convention: -1 and errno.
 * Nothing else in the runtime calls syscall(2).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sys_clone_args {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

/* Like fork: returns twice. `cgroup_fd` -1: stay; `ret_pidfd` may be NULL. */
pid_t sys_clone3(uint64_t flags, int exit_signal, int cgroup_fd, int *ret_pidfd);

int sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
int sys_pivot_root(const char *new_root, const char *put_old);
int sys_pidfd_open(pid_t pid);
int sys_pidfd_send_signal(int pidfd, int signal);
int sys_join_session_keyring(const char *name);
int sys_capset(const uint64_t *effective, const uint64_t *permitted, const uint64_t *inheritable);
int sys_capget(uint64_t *effective, uint64_t *permitted, uint64_t *inheritable);
int sys_seccomp_load(unsigned flags, const void *filters, size_t count);
/* Whether this kernel takes these flags of a filter. */
bool sys_seccomp_knows(unsigned flags);
int sys_bpf(int command, void *attr, unsigned size);
int sys_execveat(int dirfd, const char *path, char *const argv[], char *const envp[], int flags);

/* Plain ids of the single thread; libc's wrappers would signal other threads. */
int sys_setresuid(uid_t uid);
int sys_setresgid(gid_t gid);
int sys_setgroups(size_t count, const gid_t *gids);

/* Scheduling of one process. */
struct sys_sched_attributes {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
};
int sys_sched_setattr(pid_t pid, const struct sys_sched_attributes *attributes);
int sys_sched_setaffinity(pid_t pid, const void *mask, size_t size);
/* One process; 0: the calling thread. */
int sys_ioprio_set(pid_t pid, int priority);
