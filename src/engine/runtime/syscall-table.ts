/** Calls that every container may make, grouped by what they are for. */
const FREE_TEXT = `
files: access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync flock
 fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 ioctl lchown
 lchown32 link linkat _llseek lseek lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat _newselect open
 openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv rename renameat
 renameat2 rmdir sendfile sendfile64 splice stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range syncfs
 tee truncate truncate64 ugetrlimit umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev
 cachestat statmount listmount
attributes: fgetxattr flistxattr fremovexattr fsetxattr getxattr lgetxattr listxattr llistxattr lremovexattr lsetxattr
 removexattr setxattr getxattrat setxattrat listxattrat removexattrat
memory: brk madvise map_shadow_stack memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap
 mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages membarrier
processes: execve execveat exit exit_group fork getpgid getpgrp getpid getppid getpriority getrusage getsid gettid
 kill pidfd_open pidfd_send_signal prctl prlimit64 rseq set_robust_list get_robust_list set_thread_area get_thread_area
 set_tid_address setpgid setpriority setsid tgkill tkill uname vfork wait4 waitid waitpid times capget capset seccomp
 landlock_add_rule landlock_create_ruleset landlock_restrict_self getcpu sysinfo getrlimit setrlimit getrandom
 ptrace
identities: getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32 getresuid
 getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setregid
 setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32
scheduling: ioprio_get ioprio_set nice sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
 sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
 sched_setparam sched_setscheduler sched_yield
signals: alarm pause restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
 rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaction sigaltstack signal signalfd signalfd4 sigpending
 sigprocmask sigreturn sigsuspend
time: adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
 clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete
 timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
 timerfd_gettime64 timerfd_settime timerfd_settime64
waiting: epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
 eventfd2 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake inotify_add_watch inotify_init inotify_init1
 inotify_rm_watch fanotify_mark io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit poll
 ppoll ppoll_time64 pselect6 pselect6_time64 select
messages: ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64
 mq_unlink msgctl msgget msgrcv msgsnd pipe pipe2 semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt
 shmget
sockets: accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64
 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair
`;

/** Every name of the free table once. */
export const FREE: readonly string[] = [
  ...new Set(
    FREE_TEXT.trim()
      .split(/\s+/)
      .filter((word) => !word.endsWith(':')),
  ),
];

/** Calls that come with a capability. */
export const GATED: Readonly<Record<string, readonly string[]>> = {
  CAP_DAC_READ_SEARCH: ['open_by_handle_at'],
  CAP_SYS_ADMIN: [
    'bpf',
    'fanotify_init',
    'fsconfig',
    'fsmount',
    'fsopen',
    'fspick',
    'lookup_dcookie',
    'mount',
    'mount_setattr',
    'move_mount',
    'open_tree',
    'perf_event_open',
    'quotactl',
    'quotactl_fd',
    'setdomainname',
    'sethostname',
    'setns',
    'syslog',
    'umount',
    'umount2',
    'unshare',
  ],
  CAP_SYS_BOOT: ['reboot'],
  CAP_SYS_CHROOT: ['chroot'],
  CAP_SYS_MODULE: ['delete_module', 'finit_module', 'init_module'],
  CAP_SYS_PACCT: ['acct'],
  CAP_SYS_PTRACE: ['kcmp', 'pidfd_getfd', 'process_madvise', 'process_vm_readv', 'process_vm_writev'],
  CAP_SYS_RAWIO: ['ioperm', 'iopl'],
  CAP_SYS_TIME: ['clock_settime', 'clock_settime64', 'settimeofday', 'stime'],
  CAP_SYS_TTY_CONFIG: ['vhangup'],
  CAP_SYSLOG: ['syslog'],
  CAP_BPF: ['bpf'],
  CAP_PERFMON: ['perf_event_open'],
};

/** New ways that come with a capability; without it they are as unknown as other new calls, so that callers take the old way. */
export const GATED_NEW: Readonly<Record<string, readonly string[]>> = {
  CAP_SYS_ADMIN: ['listns', 'lsm_get_self_attr', 'lsm_list_modules', 'lsm_set_self_attr', 'open_tree_attr'],
};

/** Placement of memory on NUMA nodes. */
export const NUMA: readonly string[] = ['get_mempolicy', 'mbind', 'set_mempolicy', 'set_mempolicy_home_node'];

/** Known, and denied whatever the capabilities. */
export const DENIED: readonly string[] = [
  'add_key',
  'create_module',
  'get_kernel_syms',
  'io_uring_enter',
  'io_uring_register',
  'io_uring_setup',
  'kexec_file_load',
  'kexec_load',
  'keyctl',
  'migrate_pages',
  'move_pages',
  'nfsservctl',
  'pivot_root',
  'query_module',
  'request_key',
  'swapoff',
  'swapon',
  '_sysctl',
  'sysfs',
  'uselib',
  'userfaultfd',
  'ustat',
  'vm86',
  'vm86old',
];

/** NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
export const CLONE_NAMESPACE_FLAGS: readonly number[] = [
  0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000,
];
