import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allocateAddress, choosePool, claimAddress, macOf, parseMac, readPool, type UsedSubnet } from './ipam.ts';
import { formatAddress, knownSubnet, parseAddress, parseSubnet } from './ipv4.ts';

const used = (text: string, exact = true): UsedSubnet => ({ subnet: knownSubnet(text), owner: 'eth0', exact });

describe('IPv4 text', () => {
  it('reads what it writes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (value) => parseAddress(formatAddress(value)) === value),
    );
  });
  it.each(['', '1.2.3', '1.2.3.4.5', '256.0.0.1', '01.2.3.4', '1.2.3.-4', 'a.b.c.d', '::1'])('refuses %j', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });
  it.each(['10.0.0.0', '10.0.0.0/33', '10.0.0.0/x', '10.0.0.0/8/8', '/8'])('refuses subnet %j', (text) => {
    expect(parseSubnet(text)).toBeUndefined();
  });
});

describe('pools', () => {
  it('are /24, clear of what is used', () => {
    expect(choosePool([], 'tsc')).toEqual({ subnet: '172.20.0.0/24', gateway: '172.20.0.1', auxiliary: {} });
    expect(choosePool([used('172.20.0.0/16', false)], 'tsc').subnet).toBe('172.21.0.0/24');
    expect(choosePool([used('172.20.0.128/25')], 'tsc').subnet).toBe('172.20.1.0/24');
  });
  it('of two instances begin at different places', () => {
    expect(choosePool([], 'one').subnet).not.toBe(choosePool([], 'two').subnet);
  });
  it('run out with a clear error', () => {
    expect(() => choosePool([used('0.0.0.0/0')], 'tsc')).toThrow(
      expect.objectContaining({ code: 'network/exhausted' }),
    );
  });
  it('are completed from what was asked', () => {
    expect(
      readPool({ subnet: '10.5.0.9/16', ipRange: '10.5.3.0/24', auxiliary: { router: '10.5.0.7' } }, [], 'tsc'),
    ).toEqual({
      subnet: '10.5.0.0/16',
      gateway: '10.5.0.1',
      ipRange: '10.5.3.0/24',
      auxiliary: { router: '10.5.0.7' },
    });
  });
  it.each([
    [{ subnet: 'x' }, 'network/invalid'],
    [{ subnet: 'fd00::/64' }, 'network/unsupported'],
    [{ subnet: '10.0.0.0/31' }, 'network/invalid'],
    [{ subnet: '10.5.0.0/16', gateway: '10.6.0.1' }, 'network/invalid'],
    [{ subnet: '10.5.0.0/16', gateway: '10.5.255.255' }, 'network/invalid'],
    [{ subnet: '10.5.0.0/16', ipRange: '10.6.0.0/24' }, 'network/invalid'],
    [{ subnet: '10.5.0.0/16', auxiliary: { a: '1.1.1.1' } }, 'network/invalid'],
    [{ gateway: '10.5.0.1' }, 'network/invalid'],
    [{ subnet: '192.0.2.0/25' }, 'network/conflict'],
    [{ subnet: '192.0.0.0/16' }, 'network/conflict'],
  ])('refuse %j', (spec, code) => {
    expect(() => readPool(spec, [used('192.0.2.0/24')], 'tsc')).toThrow(expect.objectContaining({ code }));
  });
  it('may lie inside a wider route of the host', () => {
    expect(readPool({ subnet: '10.5.0.0/16' }, [used('10.0.0.0/8', false)], 'tsc').subnet).toBe('10.5.0.0/16');
  });
});

describe('addresses', () => {
  const pool = { subnet: '10.0.0.0/29', gateway: '10.0.0.1', auxiliary: { router: '10.0.0.3' } };
  const of = (taken: string[], last?: string) => ({
    networkName: 'n',
    pool,
    taken: new Set(taken),
    ...(last ? { last } : {}),
  });

  it('skip network, broadcast, gateway, reserved and taken ones, and let a freed one rest', () => {
    expect(allocateAddress(of([]))).toBe('10.0.0.2');
    expect(allocateAddress(of(['10.0.0.2']))).toBe('10.0.0.4');
    expect(allocateAddress(of([], '10.0.0.4'))).toBe('10.0.0.5');
    expect(allocateAddress(of([], '10.0.0.6'))).toBe('10.0.0.2');
  });
  it('run out with a clear error', () => {
    expect(() => allocateAddress(of(['10.0.0.2', '10.0.0.4', '10.0.0.5', '10.0.0.6']))).toThrow(
      expect.objectContaining({ code: 'network/exhausted' }),
    );
  });
  it('can be claimed once', () => {
    expect(claimAddress(of([]), '10.0.0.5')).toBe('10.0.0.5');
    for (const wanted of ['10.0.0.5', '10.0.0.1'])
      expect(() => claimAddress(of(['10.0.0.5']), wanted)).toThrow(
        expect.objectContaining({ code: 'network/conflict' }),
      );
    for (const wanted of ['10.0.0.0', '10.0.0.7', '10.0.1.2', 'x'])
      expect(() => claimAddress(of([]), wanted)).toThrow(expect.objectContaining({ code: 'network/invalid' }));
  });
  it('have a hardware address', () => {
    expect(macOf('172.20.0.15')).toBe('02:42:ac:14:00:0f');
    expect(parseMac('02-42-AC-14-00-0F')).toBe('02:42:ac:14:00:0f');
    for (const bad of ['', '02:42', '01:42:ac:14:00:0f', 'zz:42:ac:14:00:0f'])
      expect(() => parseMac(bad)).toThrow(expect.objectContaining({ code: 'network/invalid' }));
  });
});
