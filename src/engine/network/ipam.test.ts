import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isKind } from '../../core/index.ts';
import { allocateAddress, claimAddress, macOf, parseMac } from './ipam.ts';
import { checkAddressPools, choosePool, choosePool6, localPrefix, readPool, type UsedSubnet } from './pools.ts';
import { contains, formatAddress, formatSubnet, knownSubnet, overlaps, parseAddress, parseSubnet } from './subnet.ts';

const TSC = { instance: 'tsc', host: '', pools: [] };

const used = (text: string, exact = true): UsedSubnet => ({ subnet: knownSubnet(text), owner: 'eth0', exact });

describe('IPv4 text', () => {
  it('reads what it writes', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }), (value) => {
        expect(parseAddress(formatAddress({ family: 4, value }))).toEqual({ family: 4, value });
      }),
    );
  });
  it.each(['', '1.2.3', '1.2.3.4.5', '256.0.0.1', '01.2.3.4', '1.2.3.-4', 'a.b.c.d'])('refuses %j', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });
  it.each(['10.0.0.0', '10.0.0.0/33', '10.0.0.0/x', '10.0.0.0/8/8', '/8'])('refuses subnet %j', (text) => {
    expect(parseSubnet(text)).toBeUndefined();
  });
});

describe('IPv6 text', () => {
  it('reads what it writes', () => {
    const group = fc.oneof(fc.constant(0n), fc.bigInt({ min: 0n, max: 65535n }));
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const value = groups.reduce((sum, one) => sum * 65536n + one, 0n);
        const text = formatAddress({ family: 6, value });
        expect(parseAddress(text)).toEqual({ family: 6, value });
        // The system's own idea of the usual form; it writes the last 32 bits of some addresses as IPv4.
        const host = new URL(`http://[${text}]/`).hostname;
        expect(host).toBe(`[${text}]`);
      }),
    );
  });
  it.each([
    ['::', '::'],
    ['FD00:0:0:1::0:0:2', 'fd00:0:0:1::2'],
    ['1:0:0:2:0:0:3:4', '1::2:0:0:3:4'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['1::', '1::'],
    ['::ffff:192.0.2.1', '::ffff:c000:201'],
  ])('%s is %s', (text, usual) => {
    const address = parseAddress(text);
    expect(address && formatAddress(address)).toBe(usual);
  });
  it.each([':', 'fe80::1%eth0', '1::2::3', '12345::', 'fd00::/64', '1:2:3:4:5:6:7'])('refuses %j', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });
  it('families never mix', () => {
    expect(overlaps(knownSubnet('0.0.0.0/0'), knownSubnet('::/0'))).toBe(false);
    expect(contains(knownSubnet('::/0'), { family: 4, value: 1n })).toBe(false);
    expect(parseSubnet('fd00::1/129')).toBeUndefined();
    expect(formatSubnet(knownSubnet('fd00:1:2:3:4::5/64'))).toBe('fd00:1:2:3::/64');
  });
});

describe('IPv6 pools', () => {
  const seed = { instance: 'tsc', host: 'machine', pools: [] };
  it('are /64 of a prefix that stays with instance and host', () => {
    const prefix = localPrefix(seed);
    const first = choosePool6([], seed);
    expect(formatSubnet(prefix)).toMatch(/^fd[0-9a-f:]+\/48$/);
    expect(choosePool6([], seed)).toEqual(first);
    expect(contains(prefix, { family: 6, value: knownSubnet(first.subnet).base })).toBe(true);
    expect(first.subnet).toMatch(/\/64$/);
    expect(first.gateway).toBe(`${first.subnet.replace('/64', '')}1`);
    expect(localPrefix({ ...seed, host: 'other' })).not.toEqual(prefix);
    expect(localPrefix({ ...seed, instance: 'other' })).not.toEqual(prefix);
  });
  it('keep clear of what is used, and run out with a clear error', () => {
    const first = choosePool6([], seed);
    const second = choosePool6([used(first.subnet, false)], seed);
    expect(second.subnet).not.toBe(first.subnet);
    expect(choosePool6([used(first.subnet), used(second.subnet)], seed).subnet).not.toBe(second.subnet);
    expect(() => choosePool6([used('fc00::/7')], seed)).toThrow(expect.objectContaining({ code: 'network/exhausted' }));
  });
  it('are completed from what was asked', () => {
    const spec = { subnet: 'FD00:5::0/64', ipRange: 'fd00:5::100/120', auxiliary: { router: 'fd00:5::0:7' } };
    expect(readPool(spec, [], seed)).toEqual({
      subnet: 'fd00:5::/64',
      gateway: 'fd00:5::1',
      ipRange: 'fd00:5::100/120',
      auxiliary: { router: 'fd00:5::7' },
    });
  });
  it.each([
    [{ subnet: 'fe80::/64' }, 'network/invalid'],
    [{ subnet: 'ff02::/64' }, 'network/invalid'],
    [{ subnet: '::ffff:10.0.0.0/104' }, 'network/invalid'],
    [{ subnet: 'fd00::/127' }, 'network/invalid'],
    [{ subnet: 'fd00::/64', gateway: '10.0.0.1' }, 'network/invalid'],
    [{ subnet: 'fd00::/64', gateway: 'fd00::' }, 'network/invalid'],
    [{ subnet: 'fd00::/64', ipRange: '10.0.0.0/24' }, 'network/invalid'],
    [{ subnet: '2001:db8::/80' }, 'network/conflict'],
  ])('refuse %j', (spec, code) => {
    expect(() => readPool(spec, [used('2001:db8::/64')], seed)).toThrow(expect.objectContaining({ code }));
  });
});

describe('pools', () => {
  it('are /24, clear of what is used', () => {
    expect(choosePool([], TSC)).toEqual({ subnet: '172.20.0.0/24', gateway: '172.20.0.1', auxiliary: {} });
    expect(choosePool([used('172.20.0.0/16', false)], TSC).subnet).toBe('172.21.0.0/24');
    expect(choosePool([used('172.20.0.128/25')], TSC).subnet).toBe('172.20.1.0/24');
  });
  it('of two instances begin at different places', () => {
    expect(choosePool([], { ...TSC, instance: 'one' }).subnet).not.toBe(
      choosePool([], { ...TSC, instance: 'two' }).subnet,
    );
  });
  it('run out with an error that names the pools', () => {
    expect(() => choosePool([used('0.0.0.0/0')], TSC)).toThrow(
      expect.objectContaining({
        code: 'network/exhausted',
        message: expect.stringContaining('172.20.0.0/14 (/24 each), 172.24.0.0/13 (/24 each), 192.168.128.0/17'),
        hint: expect.stringContaining('--default-address-pool'),
      }),
    );
  });
  it.each([
    // What tun0 of a VPN brings: halves of the default route, then every private address.
    [['0.0.0.0/1', '128.0.0.0/1'], '172.20.0.0/24'],
    [['10.0.0.0/8', '172.16.0.0/12'], '192.168.128.0/24'],
    [['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'], '172.20.0.0/24'],
    [['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '172.20.0.0/20'], '172.20.16.0/24'],
  ])('beside routes to %j lie at %s', (routes, subnet) => {
    expect(
      choosePool(
        routes.map((route) => used(route, false)),
        TSC,
      ).subnet,
    ).toBe(subnet);
  });
  it('hold a network for each of many projects, each once', () => {
    for (const instance of ['tsc', 'other']) {
      const taken: UsedSubnet[] = [used('172.20.3.0/24'), used('172.21.0.0/16', false)];
      for (let index = 0; index < 300; index++) taken.push(used(choosePool(taken, { ...TSC, instance }).subnet));
      const bases = new Set(taken.map(({ subnet }) => subnet.base));
      expect(bases.size).toBe(taken.length);
    }
  });
  it('of the daemon are used instead, each family by itself', () => {
    const pools = [
      { base: '10.77.0.0/25', size: 26 },
      { base: '10.78.0.0/24', size: 24 },
      { base: 'fd00:5::/32', size: 64 },
    ];
    const seed = { ...TSC, pools };
    const taken: UsedSubnet[] = [];
    for (const subnet of ['10.77.0.0/26', '10.77.0.64/26', '10.78.0.0/24']) {
      expect(choosePool(taken, seed).subnet).toBe(subnet);
      taken.push(used(subnet));
    }
    expect(() => choosePool(taken, seed)).toThrow(
      expect.objectContaining({ message: expect.stringContaining('10.77.0.0/25 (/26 each), 10.78.0.0/24 (/24 each)') }),
    );
    expect(choosePool6([used('fd00:5::/48')], seed).subnet).toBe('fd00:5:1::/64');
    expect(choosePool6([], { ...TSC, pools: pools.slice(0, 2) }).subnet).toBe(choosePool6([], TSC).subnet);
  });
  it.each([
    [{ base: '10.0.0.0', size: 24 }],
    [{ base: '10.0.0.0/16', size: 15 }],
    [{ base: '10.0.0.0/16', size: 31 }],
    [{ base: 'fe80::/10', size: 64 }],
    [{ base: '10.9.0.0/16', size: 24 }],
  ])('of the daemon are checked: %j', (pool) => {
    expect(() => checkAddressPools([{ base: '10.8.0.0/15', size: 24 }, pool])).toThrow(
      expect.objectContaining({ code: 'network/invalid' }),
    );
  });
  it('are completed from what was asked', () => {
    expect(
      readPool({ subnet: '10.5.0.0/16', ipRange: '10.5.3.0/24', auxiliary: { router: '10.5.0.7' } }, [], TSC),
    ).toEqual({
      subnet: '10.5.0.0/16',
      gateway: '10.5.0.1',
      ipRange: '10.5.3.0/24',
      auxiliary: { router: '10.5.0.7' },
    });
  });
  it.each([
    [{ subnet: 'x' }, 'network/invalid'],
    [{ subnet: '10.0.0.0/31', gateway: '10.0.0.2' }, 'network/invalid'],
    [{ subnet: '10.0.0.0/33' }, 'network/invalid'],
    [{ subnet: '10.5.0.9/16' }, 'network/invalid'],
    [{ subnet: '10.5.0.0/16', ipRange: '10.5.3.9/24' }, 'network/invalid'],
    [{ subnet: '10.5.0.0/16', auxiliary: { a: '10.5.0.1' } }, 'network/invalid'],
    [{ subnet: '10.5.0.0/16', gateway: '10.6.0.1' }, 'network/invalid'],
    [{ subnet: '10.5.0.0/16', gateway: '10.5.255.255' }, 'network/invalid'],
    [{ subnet: '10.5.0.0/16', ipRange: '10.6.0.0/24' }, 'network/invalid'],
    [{ subnet: '10.5.0.0/16', auxiliary: { a: '1.1.1.1' } }, 'network/invalid'],
    [{ gateway: '10.5.0.1' }, 'network/invalid'],
    [{ subnet: '192.0.2.0/25' }, 'network/conflict'],
    [{ subnet: '192.0.0.0/16' }, 'network/conflict'],
  ])('refuse %j', (spec, code) => {
    expect(() => readPool(spec, [used('192.0.2.0/24')], TSC)).toThrow(expect.objectContaining({ code }));
  });
  it('may lie inside a wider route of the host', () => {
    expect(readPool({ subnet: '10.5.0.0/16' }, [used('10.0.0.0/8', false)], TSC).subnet).toBe('10.5.0.0/16');
  });
});

/** Undefined when no address is left. */
function attempt(allocate: () => string): string | undefined {
  try {
    return allocate();
  } catch (error) {
    if (isKind(error, 'exhausted')) return undefined;
    throw error;
  }
}

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
  it.each([
    ['10.0.0.0/31', undefined, ['10.0.0.1']],
    ['10.0.0.0/31', '10.0.0.1', ['10.0.0.0']],
    ['10.0.0.0/32', undefined, []],
  ])('of %s with gateway %s are those of a link, all of them when nobody is the gateway', (subnet, gateway, free) => {
    const link = readPool({ subnet, ...(gateway && { gateway }) }, [], TSC);
    const all = (withoutGateway: boolean) => {
      const taken = new Set<string>();
      for (;;) {
        const address = attempt(() => allocateAddress({ networkName: 'n', pool: link, taken, withoutGateway }));
        if (address === undefined) return [...taken];
        taken.add(address);
      }
    };
    expect(all(false)).toEqual(free);
    expect(all(true)).toEqual([...free, link.gateway].toSorted());
    expect(claimAddress({ networkName: 'n', pool: link, taken: new Set(), withoutGateway: true }, link.gateway)).toBe(
      link.gateway,
    );
  });
  it('run out with a clear error', () => {
    expect(() => allocateAddress(of(['10.0.0.2', '10.0.0.4', '10.0.0.5', '10.0.0.6']))).toThrow(
      expect.objectContaining({ code: 'network/exhausted' }),
    );
  });
  it('of IPv6 are found at once in the largest pool', () => {
    const six = { networkName: 'n', pool: choosePool6([], TSC), taken: new Set<string>() };
    const { gateway } = six.pool;
    const second = gateway.replace(/1$/, '2');
    expect(allocateAddress(six)).toBe(second);
    expect(allocateAddress({ ...six, last: second })).toBe(gateway.replace(/1$/, '3'));
    expect(claimAddress(six, gateway.replace(/1$/, 'FF'))).toBe(gateway.replace(/1$/, 'ff'));
    expect(() => claimAddress(six, gateway)).toThrow(expect.objectContaining({ code: 'network/conflict' }));
    expect(() => claimAddress(six, '10.0.0.5')).toThrow(expect.objectContaining({ code: 'network/invalid' }));
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
