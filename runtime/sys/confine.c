#include "sys/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/str.h"
#include "sys/syscalls.h"

#define NOBODY 65534
#define SCORE "/proc/self/oom_score_adj"
#define SCORE_ALIVE (-500)
#define CAPABILITIES_MAX 64

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
/* Numbers from here on are the x32 ABI's. */
#define NUMBERS_END 0x40000000U
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#define NUMBERS_END 0x40000000U
#else
#error "the architecture's audit number is not known here"
#endif

/* With what memory, events and the end of a process need. */
static const int always_allowed[] = {
    SCMP_SYS(read),      SCMP_SYS(write),        SCMP_SYS(close),           SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_ctl), SCMP_SYS(getrandom),    SCMP_SYS(clock_gettime),   SCMP_SYS(brk),        SCMP_SYS(munmap),
    SCMP_SYS(mremap),    SCMP_SYS(madvise),      SCMP_SYS(exit_group),      SCMP_SYS(exit),       SCMP_SYS(futex),
    SCMP_SYS(gettid),    SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall), SCMP_SYS(getpid),
};

static int allow(scmp_filter_ctx filter, const int *calls, size_t count) {
  int r = 0;
  for (size_t i = 0; r == 0 && i < count; i++) {
    r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
  }
  return r;
}

static int load_allowed(const int *allowed, size_t count) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
  if (filter == NULL) {
    return -ENOMEM;
  }
  int r = allow(filter, always_allowed, array_length(always_allowed));
  r = r != 0 ? r : allow(filter, allowed, count);
  /* Memory for data, never for code. */
  static const int mapping[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
  for (size_t i = 0; r == 0 && i < array_length(mapping); i++) {
    r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, mapping[i], 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  }
  r = r != 0 ? r : seccomp_load(filter);
  seccomp_release(filter);
  return r;
}

int confine_to(const int *allowed, size_t count, struct err *err) {
  int r = load_allowed(allowed, count);
  return r < 0 ? err_code(err, r, "cannot load a system call filter") : 0;
}

int confine_server(const int *allowed, size_t count, const char *name, struct err *err) {
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
  }
  if (chdir("/") < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
    return err_errno(err, "cannot confine the %s", name);
  }
  /* Leaving id 0 clears every capability set but the bounding one, which nothing without privileges can use. */
  if (geteuid() == 0 &&
      (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)) {
    return err_errno(err, "cannot drop the privileges of the %s", name);
  }
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
    return err_errno(err, "cannot confine the %s", name);
  }
  int r = load_allowed(allowed, count);
  return r < 0 ? err_code(err, r, "cannot load the system call filter of the %s", name) : 0;
}

/* Nothing that watches, logs, signals and removes directories calls these. */
static const int denied[] = {
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_setns,
    SYS_unshare,
    SYS_open_tree,
    SYS_move_mount,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
    SYS_syslog,
    SYS_open_by_handle_at,
    SYS_personality,
    SYS_mknodat,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_vhangup,
    SYS_pidfd_getfd,
    SYS_process_madvise,
    SYS_memfd_create,
    SYS_execve,
    SYS_execveat,
    SYS_setuid,
    SYS_setgid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_capset,
#if defined(__x86_64__)
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
    SYS_mknod,
#endif
};

static const int denied_without_children[] = {SYS_clone,
#if defined(__x86_64__)
                                              SYS_fork, SYS_vfork
#endif
};

#define NEW_NAMESPACES                                                                                                 \
  (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

struct filter {
  struct sock_filter code[256];
  size_t count;
};

static void add(struct filter *filter, struct sock_filter instruction) {
  filter->code[filter->count++] = instruction;
}

static void give(struct filter *filter, uint32_t verdict) {
  add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict));
}

static void refuse(struct filter *filter, int call, int reason) {
  add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1));
  give(filter, SECCOMP_RET_ERRNO | (uint32_t)reason);
}

/* Refused when one of `bits` is set in argument `at` (its low half; all our machines are little-endian). */
static void refuse_bits(struct filter *filter, int call, size_t at, uint32_t bits) {
  uint32_t offset = (uint32_t)(offsetof(struct seccomp_data, args) + at * sizeof(uint64_t));
  add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 4));
  add(filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
  add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1));
  give(filter, SECCOMP_RET_ERRNO | EPERM);
  give(filter, SECCOMP_RET_ALLOW);
}

/* Made by hand: every monitor loads it, and it must not cost each of them a library's memory. */
static int load_denied(bool children) {
  struct filter filter = {.count = 0};
  add(&filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
  add(&filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0));
  give(&filter, SECCOMP_RET_KILL_PROCESS);
  add(&filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
  add(&filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, NUMBERS_END, 0, 1));
  give(&filter, SECCOMP_RET_KILL_PROCESS);
  for (size_t i = 0; i < array_length(denied); i++) {
    refuse(&filter, denied[i], EPERM);
  }
  /* Its flags are in memory, out of our sight; libc goes on with clone. */
  refuse(&filter, SYS_clone3, ENOSYS);
  for (size_t i = 0; !children && i < array_length(denied_without_children); i++) {
    refuse(&filter, denied_without_children[i], EPERM);
  }
  refuse_bits(&filter, SYS_clone, 0, NEW_NAMESPACES);
  refuse_bits(&filter, SYS_mmap, 2, PROT_EXEC);
  refuse_bits(&filter, SYS_mprotect, 2, PROT_EXEC);
  give(&filter, SECCOMP_RET_ALLOW);
  return sys_seccomp_load(0, filter.code, filter.count) < 0 ? -errno : 0;
}

static int keep_capabilities(uint64_t kept) {
  uint64_t effective, permitted, inheritable;
  const uint64_t none = 0;
  if (sys_capget(&effective, &permitted, &inheritable) < 0) {
    return -errno;
  }
  (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  /* Without the right to change the bounding set it stays: no program is executed any more. */
  for (int capability = 0; capability < CAPABILITIES_MAX; capability++) {
    if ((kept >> capability & 1) == 0 && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) {
      break; /* the kernel knows no more, or refuses */
    }
  }
  kept &= permitted;
  return sys_capset(&kept, &kept, &none) < 0 ? -errno : 0;
}

int confine_watcher(uint64_t capabilities, bool children, struct err *err) {
  int r = keep_capabilities(capabilities);
  if (r == 0 && (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)) {
    r = -errno;
  }
  r = r < 0 ? r : load_denied(children);
  return r < 0 ? err_code(err, r, "cannot give up privileges") : 0;
}

static void set_score(int score) {
  char text[16];
  snprintf(text, sizeof(text), "%d", score);
  (void)file_write_existing(AT_FDCWD, SCORE, text, /* err= */ NULL);
}

static long long score_now(void) {
  char text[16];
  long long score = 0;
  return file_read_line(AT_FDCWD, SCORE, text, sizeof(text), /* err= */ NULL) < 0 ||
                 str_to_long(text, -1000, 1000, &score) < 0
             ? 0
             : score;
}

void confine_prefer_alive(void) {
  if (score_now() > SCORE_ALIVE) {
    set_score(SCORE_ALIVE);
  }
}

void confine_usual_score(void) {
  if (score_now() < 0) {
    set_score(0);
  }
}
