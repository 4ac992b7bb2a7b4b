import { CLONE_NAMESPACE_FLAGS, DENIED, FREE, GATED, GATED_NEW, NUMA } from './syscall-table.ts';

export interface SeccompArgument {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number;
  /** `SCMP_CMP_…` */
  readonly op: string;
}

export interface SeccompRule {
  readonly names: readonly string[];
  /** `SCMP_ACT_…` */
  readonly action: string;
  readonly errnoRet?: number;
  readonly args?: readonly SeccompArgument[];
}

/** `linux.seccomp` of config.json. */
export interface SeccompProfile {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number;
  readonly architectures?: readonly string[];
  readonly flags?: readonly string[];
  readonly listenerPath?: string;
  readonly listenerMetadata?: string;
  readonly syscalls: readonly SeccompRule[];
}

const EPERM = 1;
const ENOSYS = 38;

const ARCHITECTURES: Readonly<Record<string, readonly string[]>> = {
  x64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
  arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
};

/** Call numbers only one architecture has. */
const ARCHITECTURE_CALLS: Readonly<Record<string, readonly string[]>> = {
  // The kernel puts uprobe and uretprobe into traced code; from elsewhere they end the caller.
  x64: ['arch_prctl', 'modify_ldt', 'uprobe', 'uretprobe'],
  arm64: ['arm_fadvise64_64', 'arm_sync_file_range', 'sync_file_range2', 'breakpoint', 'cacheflush', 'set_tls'],
};

/** Values of personality(2) that change nothing of security: Linux, UNAME26 and 32 bit forms, and the query. */
const PERSONALITIES = [0x0, 0x0008, 0x20000, 0x20008, 0xffffffff];

const AF_ALG = 38;
const AF_VSOCK = 40;

/**
 * The default policy for a set of capabilities. Known dangerous calls answer EPERM as users of Docker expect; a call nobody
 * has heard of answers ENOSYS, so that a C library falls back to the older one.
 */
export function defaultSeccompProfile(capabilities: ReadonlySet<string>, architecture = process.arch): SeccompProfile {
  const gates = [GATED, { CAP_SYS_NICE: NUMA }].flatMap((group) => Object.entries(group));
  const allowed = new Set([
    ...[...FREE, ...(ARCHITECTURE_CALLS[architecture] ?? [])],
    ...[...gates, ...Object.entries(GATED_NEW)].flatMap(([gate, names]) => (capabilities.has(gate) ? names : [])),
  ]);
  const denied = new Set([...DENIED, ...gates.flatMap(([, names]) => names)]);
  const admin = capabilities.has('CAP_SYS_ADMIN');
  if (admin) for (const name of ['clone', 'clone3']) allowed.add(name);
  for (const name of allowed) denied.delete(name);
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: ENOSYS,
    architectures: ARCHITECTURES[architecture] ?? [],
    syscalls: [
      { names: [...allowed].sort(), action: 'SCMP_ACT_ALLOW' },
      { names: [...denied].sort(), action: 'SCMP_ACT_ERRNO', errnoRet: EPERM },
      ...personalityRules(),
      ...socketRules(),
      ...(admin ? [] : cloneRules()),
    ],
  };
}

function personalityRules(): SeccompRule[] {
  return PERSONALITIES.map((value) => ({
    names: ['personality'],
    action: 'SCMP_ACT_ALLOW',
    args: [{ index: 0, value, op: 'SCMP_CMP_EQ' }],
  }));
}

/** AF_ALG reaches kernel crypto code that had privilege bugs, AF_VSOCK the hypervisor. */
function socketRules(): SeccompRule[] {
  const rule = (op: SeccompArgument['op'], value: number, allow: boolean): SeccompRule => ({
    names: ['socket'],
    ...(allow ? { action: 'SCMP_ACT_ALLOW' } : { action: 'SCMP_ACT_ERRNO', errnoRet: EPERM }),
    args: [{ index: 0, value, op }],
  });
  return [
    rule('SCMP_CMP_LT', AF_ALG, true),
    rule('SCMP_CMP_EQ', AF_ALG, false),
    rule('SCMP_CMP_EQ', AF_ALG + 1, true),
    rule('SCMP_CMP_EQ', AF_VSOCK, false),
    rule('SCMP_CMP_GT', AF_VSOCK, true),
  ];
}

/** clone without a new namespace; clone3 hides its flags behind a pointer, so it answers ENOSYS (the default) and libc uses clone. */
function cloneRules(): SeccompRule[] {
  const mask = CLONE_NAMESPACE_FLAGS.reduce((all, flag) => all + flag, 0);
  return [
    {
      names: ['clone'],
      action: 'SCMP_ACT_ALLOW',
      args: [{ index: 0, value: mask, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
    },
    ...CLONE_NAMESPACE_FLAGS.map(
      (flag): SeccompRule => ({
        names: ['clone'],
        action: 'SCMP_ACT_ERRNO',
        errnoRet: EPERM,
        args: [{ index: 0, value: flag, valueTwo: flag, op: 'SCMP_CMP_MASKED_EQ' }],
      }),
    ),
  ];
}
