import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ALL_CAPABILITIES } from './capabilities.ts';
import { defaultSeccompProfile } from './default-seccomp.ts';
import { DENIED, FREE, GATED, GATED_NEW, NUMA } from './syscall-table.ts';

const none = defaultSeccompProfile(new Set(), 'x64');
const allowedBy = (profile: typeof none) =>
  new Set(
    profile.syscalls.filter((rule) => rule.action === 'SCMP_ACT_ALLOW' && !rule.args).flatMap((rule) => rule.names),
  );

describe('default seccomp policy', () => {
  it('allows every call once and denies no allowed one', () => {
    expect(FREE.filter((name, index) => FREE.indexOf(name) !== index)).toEqual([]);
    const denied = new Set([...DENIED, ...NUMA, ...Object.values(GATED).flat()]);
    expect(FREE.filter((name) => denied.has(name))).toEqual([]);
  });

  it('keeps what breaks isolation out of an ordinary container', () => {
    const allowed = allowedBy(none);
    const dangerous =
      'mount umount2 pivot_root unshare setns clone3 bpf perf_event_open keyctl add_key request_key userfaultfd io_uring_setup io_uring_enter open_by_handle_at kexec_load init_module finit_module ptrace_unknown fsopen move_mount open_tree mount_setattr';
    expect(dangerous.split(' ').filter((name) => allowed.has(name))).toEqual([]);
  });

  it('opens groups with their capability only', () => {
    for (const [capability, names] of [...Object.entries(GATED), ...Object.entries(GATED_NEW)]) {
      const allowed = allowedBy(defaultSeccompProfile(new Set([capability]), 'x64'));
      expect(names.filter((name) => !allowed.has(name))).toEqual([]);
    }
    const named = new Set(none.syscalls.flatMap(({ names }) => names));
    expect(
      Object.values(GATED_NEW)
        .flat()
        .filter((name) => named.has(name)),
    ).toEqual([]);
    const all = defaultSeccompProfile(new Set(ALL_CAPABILITIES), 'x64');
    expect(allowedBy(all).has('clone3')).toBe(true);
  });

  it('answers ENOSYS to unknown calls and EPERM to known dangerous ones', () => {
    expect(none).toMatchObject({ defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: 38 });
    expect(none.syscalls.find((rule) => rule.names.includes('mount'))).toMatchObject({ errnoRet: 1 });
  });

  it('has one rule without arguments per call, else libseccomp drops the others', () => {
    const plain = none.syscalls.filter((rule) => !rule.args).flatMap((rule) => rule.names);
    const conditional = none.syscalls.filter((rule) => rule.args).flatMap((rule) => rule.names);
    expect(plain.filter((name) => conditional.includes(name))).toEqual([]);
  });

  it('names only calls that the kernel headers know', () => {
    const headers = ['x86_64-linux-gnu/asm', 'asm-generic', 'asm', 'aarch64-linux-gnu/asm'].flatMap((folder) => {
      const directory = `/usr/include/${folder}`;
      try {
        return readdirSync(directory)
          .filter((name) => name.startsWith('unistd'))
          .map((name) => readFileSync(`${directory}/${name}`, 'utf8'));
      } catch {
        return [];
      }
    });
    const known = new Set(
      headers.flatMap((text) => [...text.matchAll(/#define __NR(?:3264)?_(\w+)/g)].map(([, name]) => name)),
    );
    expect(known.size).toBeGreaterThan(300);
    // Newer than the headers of the oldest system we build on, or of other architectures.
    const extra = new Set(
      'cachestat map_shadow_stack fchmodat2 futex_wake futex_wait futex_requeue statmount listmount mseal setxattrat getxattrat listxattrat removexattrat listns lsm_get_self_attr lsm_set_self_attr lsm_list_modules open_tree_attr arm_fadvise64_64 arm_sync_file_range recv send'.split(
        ' ',
      ),
    );
    const names = [...FREE, ...DENIED, ...NUMA, ...[GATED, GATED_NEW].flatMap((group) => Object.values(group).flat())];
    expect(names.filter((name) => !known.has(name) && !extra.has(name))).toEqual([]);
  });
});
