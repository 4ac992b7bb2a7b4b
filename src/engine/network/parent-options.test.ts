import { describe, expect, it } from 'vitest';
import type { NetworkSpec } from './network.ts';
import { findParentConflict, readParentOptions } from './parent-options.ts';

const host = { exists: (name: string) => ['eth0', 'br.5'].includes(name), dummy: 'tscm1234567' };
const read = (driver: 'ipvlan' | 'macvlan', options: Record<string, string>, rest: Partial<NetworkSpec> = {}) =>
  readParentOptions(driver, { name: 'n', options, ...rest }, host);

describe('options of networks on an interface of the host', () => {
  it('an interface that is there, a VLAN of one that is, or a dummy', () => {
    expect(read('macvlan', { parent: 'eth0' }).parent).toEqual({ name: 'eth0', mode: 'bridge' });
    expect(read('macvlan', { parent: 'br.5' }).parent.made).toBeUndefined();
    expect(read('macvlan', { parent: 'eth0.10' }).parent.made).toEqual({ base: 'eth0', vlan: 10 });
    expect(read('ipvlan', {})).toEqual({
      parent: { name: 'tscm1234567', made: 'dummy', mode: 'l2', flag: 'bridge' },
      internal: true,
      masquerade: false,
      mtu: 1500,
    });
  });
  it('modes and flags by name', () => {
    expect(read('macvlan', { parent: 'eth0', macvlan_mode: 'passthru' }).parent.mode).toBe('passthru');
    const l3 = { parent: 'eth0', ipvlan_mode: 'l3s', ipvlan_flag: 'vepa' };
    expect(read('ipvlan', l3).parent).toEqual({ name: 'eth0', mode: 'l3s', flag: 'vepa' });
  });
  it.each([
    [{ parent: 'eth9' }, 'network/invalid'],
    [{ parent: 'eth9.10' }, 'network/invalid'],
    [{ parent: 'eth0.0' }, 'network/invalid'],
    [{ parent: 'eth0.4095' }, 'network/invalid'],
    [{ parent: 'lo' }, 'network/invalid'],
    [{ parent: '../x' }, 'network/invalid'],
    [{ parent: 'x; drop' }, 'network/invalid'],
    [{ parent: 'eth0', macvlan_mode: 'open' }, 'network/invalid'],
    [{ parent: 'eth0', ipvlan_mode: 'l2' }, 'network/unsupported'],
    [{ parent: 'eth0', 'com.docker.network.driver.mtu': '5' }, 'network/invalid'],
  ])('refuse %j', (options, code) => {
    expect(() => read('macvlan', options)).toThrow(expect.objectContaining({ code }));
  });
  it('one parent carries one driver; passthru takes it alone, ipvlan in one mode', () => {
    const other = (driver: 'ipvlan' | 'macvlan', mode: string) => [
      { name: 'o', driver, parent: { name: 'eth0', mode, ...(driver === 'ipvlan' && { flag: 'bridge' }) } },
    ];
    const conflict = (driver: 'ipvlan' | 'macvlan', mode: string, others: ReturnType<typeof other>) =>
      findParentConflict(driver, { name: 'eth0', mode, ...(driver === 'ipvlan' && { flag: 'bridge' }) }, others);
    expect(conflict('macvlan', 'bridge', other('macvlan', 'private'))).toBeUndefined();
    expect(conflict('macvlan', 'passthru', other('macvlan', 'bridge'))).toContain('network o uses');
    expect(conflict('macvlan', 'bridge', other('macvlan', 'passthru'))).toContain('passthru');
    expect(conflict('macvlan', 'bridge', other('ipvlan', 'l2'))).toContain('ipvlan driver');
    expect(conflict('ipvlan', 'l3', other('ipvlan', 'l2'))).toContain('another mode');
    expect(conflict('ipvlan', 'l2', other('ipvlan', 'l2'))).toBeUndefined();
  });
});
