/** One assertion, or a program that ends without any, that no runtime meets on this kernel or that is wrong in itself. */
export interface Known {
  readonly program: string;
  /** Of the assertion's text, or of what the program says when it gives up. */
  readonly text: RegExp;
  /** What our runtime must have said meanwhile: the program itself only tells that it failed. */
  readonly because?: RegExp;
  /** The program races with what it tests: it must pass in one of three attempts. */
  readonly race?: true;
  readonly reason: string;
}

const absent = (what: string) => `the kernel or host has no ${what}; asking for it is refused`;

export const KNOWN: readonly Known[] = [
  {
    program: 'linux_cgroups_blkio',
    text: /blockIO\.leafWeight: this kernel has no such setting/,
    reason: absent('leaf weights, they went with the CFQ scheduler'),
  },
  {
    program: 'linux_cgroups_relative_blkio',
    text: /^not ok 1 - exit status 1$/,
    because: /blockIO\.leafWeight: this kernel has no such setting/,
    reason: absent('leaf weights'),
  },
  {
    program: 'linux_cgroups_hugetlb',
    text: /^In the case of an absolute path, the runtime MUST take the path to be relative to the cgroups mount point/,
    reason: 'it looks for hugetlb among the v1 hierarchies only; here it is a controller of v2, or of none',
  },
  {
    program: 'linux_cgroups_relative_hugetlb',
    text: /^not ok [24] - get hugetlb cgroup data$/,
    reason: 'as linux_cgroups_hugetlb',
  },
  {
    program: 'linux_cgroups_network',
    text: /this host has no net_cls cgroup controller mounted/,
    reason: absent('net_cls controller'),
  },
  {
    program: 'linux_cgroups_relative_network',
    text: /^not ok 1 - exit status 1$/,
    because: /this host has no net_cls cgroup controller mounted/,
    reason: absent('net_cls controller'),
  },
  {
    program: 'linux_cgroups_memory',
    text: /memory kernel(TCP)? is set correctly/,
    reason: 'kernel memory limits were taken out of Linux 6.1, TCP limits with them where sockets are accounted',
  },
  {
    program: 'linux_cgroups_relative_memory',
    text: /memory kernel(TCP)? is set correctly/,
    reason: 'kernel memory limits were taken out of Linux 6.1',
  },
  { program: 'linux_mount_label', text: /SELinux is not active/, reason: absent('SELinux') },
  {
    program: 'linux_process_apparmor_profile',
    text: /AppArmor profile acme_secure_profile: AppArmor is not active/,
    reason: absent('such AppArmor profile'),
  },
  {
    program: 'linux_ns_itype',
    text: /^not ok 1 - cannot run validation tests: exit status 1$/,
    because: /a mount namespace is needed|is the runtime's own mount namespace/,
    reason: 'it asks for a container in the mount namespace of the runtime, which is refused by name',
  },
  {
    program: 'misc_props',
    text: /^not ok 1 - .*unknown annotation key$/,
    because: /cannot execute \/runtimetest: No such file or directory/,
    reason: 'its bundle lacks the program that its config.json names; runc and crun fail too',
  },
  {
    program: 'pidfile',
    text: /^not ok 1 - create with '--pid-file' option works$/,
    because: /cannot signal container \S+: it is stopped/,
    reason: 'it kills a stopped container and wants no error, against the specification',
  },
  {
    program: 'process_capabilities',
    text: /^not ok \d+ - expected \w+ capability CAP_SYS_RESOURCE set$/,
    reason: 'this machine holds back capabilities from root; what is not held cannot be given and is warned of',
  },
  {
    program: 'process_capabilities_fail',
    text: /cannot be mapped to a relevant kernel interface/,
    reason: 'since version 1.1 of the specification an unknown capability is a warning',
  },
  {
    program: 'process_rlimits',
    text: /^not ok \d+ - has expected soft RLIMIT_NOFILE$/,
    reason: 'the checking program is in Go, which raises its own soft limit when it starts',
  },
  {
    program: 'start',
    text: /^not ok [78] - (`start` operation MUST generate an error if `process` was not set|timeout in waiting for the container status)$/,
    reason: 'it tests the contrary of its own words: start without a process must fail, and does',
  },
  {
    program: 'killsig',
    text: /send the specified signal/,
    race: true,
    reason: 'it does not wait until the shell inside has its trap; a signal to process 1 before that is dropped',
  },
  {
    program: 'kill',
    text: /send the specified signal/,
    race: true,
    reason: 'as killsig',
  },
];
