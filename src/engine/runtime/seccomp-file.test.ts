import { describe, expect, it } from 'vitest';
import { resolveSeccompFile } from './seccomp-file.ts';

const facts = { capabilities: new Set(['CAP_CHOWN', 'CAP_SYS_ADMIN']), architecture: 'x64', kernel: '6.1.0-13-amd64' };
const rule = (more: object) => ({ names: ['mount'], action: 'SCMP_ACT_ALLOW', ...more });
const kept = (more: object) =>
  resolveSeccompFile({ defaultAction: 'SCMP_ACT_ERRNO', syscalls: [rule(more)] }, facts).syscalls.length === 1;

describe('a profile file', () => {
  it('passes what the specification has', () => {
    const file = {
      defaultAction: 'SCMP_ACT_ERRNO',
      defaultErrnoRet: 38,
      architectures: ['SCMP_ARCH_X86'],
      flags: ['SECCOMP_FILTER_FLAG_LOG'],
      listenerPath: '/run/agent',
      listenerMetadata: 'note',
      syscalls: [rule({ errnoRet: 5, args: [{ index: 0, value: 1, op: 'SCMP_CMP_EQ' }] })],
    };
    expect(resolveSeccompFile(file, facts)).toEqual(file);
  });

  it('takes the architectures of this machine from archMap', () => {
    const file = {
      defaultAction: 'SCMP_ACT_ERRNO',
      archMap: [
        { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: ['SCMP_ARCH_ARM'] },
        { architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'] },
      ],
      syscalls: null,
    };
    const on = (architecture: string) => resolveSeccompFile(file, { ...facts, architecture }).architectures;
    expect(on('x64')).toEqual(['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32']);
    expect(on('arm64')).toEqual(['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM']);
    expect(on('s390x')).toEqual([]);
  });

  it('keeps a rule when all of its conditions hold', () => {
    expect(kept({ includes: { caps: ['CAP_SYS_ADMIN'] } })).toBe(true);
    expect(kept({ includes: { caps: ['CAP_SYS_ADMIN', 'CAP_BPF'] } })).toBe(false);
    expect(kept({ includes: { arches: ['arm64', 'amd64'] } })).toBe(true);
    expect(kept({ includes: { arches: ['arm64'] } })).toBe(false);
    expect(kept({ includes: { minKernel: '4.8' } })).toBe(true);
    expect(kept({ includes: { minKernel: '6.1' } })).toBe(true);
    expect(kept({ includes: { minKernel: '6.10' } })).toBe(false);
    expect(kept({ includes: { arches: ['amd64'], caps: ['CAP_BPF'] } })).toBe(false);
  });

  it('drops a rule when any exception holds', () => {
    expect(kept({ excludes: { caps: ['CAP_BPF', 'CAP_SYS_ADMIN'] } })).toBe(false);
    expect(kept({ excludes: { caps: ['CAP_BPF'] } })).toBe(true);
    expect(kept({ excludes: { arches: ['amd64'] } })).toBe(false);
    expect(kept({ excludes: { minKernel: '5.0' } })).toBe(false);
    expect(kept({ includes: {}, excludes: {}, comment: 'nothing' })).toBe(true);
  });

  it('knows the older form of one name', () => {
    const file = { defaultAction: 'SCMP_ACT_ERRNO', syscalls: [{ name: 'mkdir', action: 'SCMP_ACT_ALLOW', args: [] }] };
    expect(resolveSeccompFile(file, facts).syscalls).toEqual([{ names: ['mkdir'], action: 'SCMP_ACT_ALLOW' }]);
  });

  it.each([
    [[], 'expected an object'],
    [{ syscalls: [] }, 'defaultAction: expected text'],
    [{ defaultAction: 'x', syscalls: {} }, 'syscalls: expected a list'],
    [{ defaultAction: 'x', syscalls: ['mkdir'] }, 'syscalls[0]: expected an object'],
    [{ defaultAction: 'x', syscalls: [{ names: [1], action: 'x' }] }, 'names: expected text'],
    [{ defaultAction: 'x', syscalls: [rule({ name: 'open' })] }, 'name and names exclude each other'],
    [{ defaultAction: 'x', syscalls: [rule({ include: {} })] }, 'unknown key "include"'],
    [{ defaultAction: 'x', syscalls: [rule({ includes: { kernel: '4' } })] }, 'unknown key "kernel"'],
    [{ defaultAction: 'x', syscalls: [rule({ excludes: { minKernel: 'new' } })] }, 'minKernel: expected a version'],
    [{ defaultAction: 'x', architectures: ['a'], archMap: [{}] }, 'exclude each other'],
  ])('refuses %j', (file, why) => {
    expect(() => resolveSeccompFile(file, facts)).toThrow(why);
  });
});
