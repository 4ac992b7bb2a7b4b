import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AddressPool } from '../../src/engine/index.ts';
import { World } from '../network-reach/world.ts';

// Subnets and addresses against a kernel that has the routes of others.
const IP = '/usr/sbin/ip';
const POOLS: readonly AddressPool[] = [
  { base: '10.60.0.0/21', size: 24 },
  { base: 'fd00:60::/62', size: 64 },
];

let world: World;
const ip = (...args: string[]) => world.host.run(IP, ...args);
const create = async (name: string, options: Partial<Parameters<World['service']['create']>[0]> = {}) =>
  (await world.service.create({ name, ...options })).pool?.subnet;
/** Subnets the kernel routes over our bridges. */
const routed = async (): Promise<readonly string[]> =>
  JSON.parse(await ip('-j', 'route')).map(({ dst }: { dst: string }) => dst);

beforeEach(async () => {
  world = await World.make({ addressPools: POOLS });
});
afterEach(() => world.close());

describe('subnets', () => {
  it('keep clear of routes, bridges of other engines and tunnels, and run out with the pools named', async () => {
    await ip('link', 'add', 'docker0', 'type', 'bridge');
    await ip('addr', 'add', '10.60.0.1/24', 'dev', 'docker0');
    await ip('link', 'add', 'tun0', 'type', 'bridge');
    await ip('link', 'set', 'tun0', 'up');
    await ip('route', 'add', '10.60.1.128/25', 'dev', 'tun0');
    // Halves of the default route are no place to keep clear of.
    await ip('route', 'add', '0.0.0.0/1', 'dev', 'tun0');
    await ip('route', 'add', '128.0.0.0/1', 'dev', 'tun0');
    const others = ['10.60.0.0/24', '10.60.1.0/24', world.service.inspect('bridge').pool?.subnet];
    const free = Array.from({ length: 8 }, (_, index) => `10.60.${index}.0/24`).filter(
      (each) => !others.includes(each),
    );
    const chosen: (string | undefined)[] = [];
    for (const each of free) chosen.push(await create(`for-${each.split('.')[2]}`));
    expect(chosen.toSorted()).toEqual(free);
    await expect(create('c')).rejects.toMatchObject({
      code: 'network/exhausted',
      message: expect.stringContaining('10.60.0.0/21 (/24 each)'),
      hint: expect.stringContaining('network prune'),
    });
    expect(await routed()).toEqual(expect.arrayContaining(free));
    // Nothing stayed of the one that failed, and what is given back is used again.
    expect(world.service.list().some(({ name }) => name === 'c')).toBe(false);
    const [gone] = world.service.list().filter(({ pool }) => pool?.subnet === free[0]);
    await world.service.remove(gone?.id ?? '');
    expect(await create('c')).toBe(free[0]);
  });

  it('go by what is there now, whatever was seen before', async () => {
    await create('seen');
    const next = (await create('next')) ?? '';
    await world.service.remove('next');
    await ip('link', 'add', 'br-other', 'type', 'bridge');
    await ip('addr', 'add', next.replace('.0/24', '.1/24'), 'dev', 'br-other');
    const chosen = await create('next');
    expect(chosen).not.toBe(next);
    expect((await routed()).filter((each) => each === chosen)).toHaveLength(1);
    await expect(create('given', { pools: [{ subnet: next }] })).rejects.toMatchObject({
      code: 'network/conflict',
      message: expect.stringContaining('interface br-other'),
    });
    await ip('link', 'del', 'br-other');
    expect(await create('given', { pools: [{ subnet: next }] })).toBe(next);
    // The ones that were decided and not made are nowhere.
    const names = world.service.list().map(({ name }) => name);
    expect(names.toSorted()).toEqual(['bridge', 'given', 'host', 'next', 'none', 'seen']);
    await world.restartService();
    expect(world.service.list().map(({ name }) => name)).toEqual(expect.arrayContaining(names));
    expect(world.service.list()).toHaveLength(names.length);
    expect((await routed()).filter((each) => each.startsWith('10.60.'))).toHaveLength(3);
  });

  it('of IPv6 come from the pool too, clear of a route to all of it', async () => {
    const six = async (name: string) =>
      (await world.service.create({ name, enableIpv6: true })).pool6?.subnet.startsWith('fd00:60:0:');
    expect(await six('a')).toBe(true);
    await ip('-6', 'route', 'add', 'fd00:60::/62', 'dev', 'lan0');
    await expect(world.service.create({ name: 'b', enableIpv6: true })).rejects.toMatchObject({
      code: 'network/exhausted',
      message: expect.stringContaining('fd00:60::/62 (/64 each)'),
    });
  });

  it('that somebody else took while the bridge was away are refused, and the default bridge moves', async () => {
    const first = await create('mine');
    const before = world.service.inspect('bridge').pool?.subnet ?? '';
    await world.service.dismantle();
    for (const [name, subnet] of [
      ['br-other', first],
      ['br-second', before],
    ] as const) {
      await ip('link', 'add', name, 'type', 'bridge');
      await ip('addr', 'add', subnet?.replace('.0/24', '.1/24') ?? '', 'dev', name);
    }
    await expect(world.start('late', [{ network: 'mine' }])).rejects.toMatchObject({
      code: 'network/conflict',
      message: expect.stringMatching(/^network mine \(10\.60\..*\) overlaps .* interface br-other$/),
    });
    const moved = await world.start('moved', [{ network: 'bridge' }]);
    expect(world.service.inspect('bridge').pool?.subnet).not.toBe(before);
    expect(await routed()).toContain(world.service.inspect('bridge').pool?.subnet);
    expect(moved.address).not.toBe('');
    // With a container it has its place.
    await world.restartService();
    expect(world.service.endpoints(moved.id)[0]?.address).toBe(moved.address);
  });
});

describe('addresses', () => {
  it('stay over a stop, a daemon and a keeper; one that is freed rests', async () => {
    await create('net', { pools: [{ subnet: '10.60.0.0/29' }], enableIpv6: true });
    const ids: string[] = [];
    for (const name of ['a', 'b', 'c']) ids.push((await world.start(name, [{ network: 'net' }])).id);
    const [a = '', b = ''] = ids;
    const addresses = (id: string) =>
      world.service.endpoints(id).map(({ address, address6, mac }) => [address, address6, mac]);
    const before = ids.map(addresses);
    await world.service.closeSandbox(b);
    await world.restartService();
    expect(ids.map(addresses)).toEqual(before);
    await world.service.openSandbox(b);
    await world.loseKeeper();
    expect(ids.map(addresses)).toEqual(before);
    await world.service.release(a);
    const next = await world.start('d', [{ network: 'net' }]);
    expect(next.address).not.toBe(before[0]?.[0]?.[0]);
  });

  it('are what the kernel has: range, gateway, reserved ones', async () => {
    await create('net', {
      pools: [
        {
          subnet: '10.60.0.0/24',
          gateway: '10.60.0.254',
          ipRange: '10.60.0.64/30',
          auxiliary: { router: '10.60.0.65' },
        },
      ],
    });
    const found: string[] = [];
    for (const name of ['a', 'b', 'c']) {
      const member = await world.start(name, [{ network: 'net' }]);
      found.push(member.address);
      const [link] = JSON.parse(await member.run(IP, '-j', '-4', 'addr', 'show', 'dev', 'eth0'));
      expect(link.addr_info[0]).toMatchObject({ local: member.address, prefixlen: 24 });
      expect(await member.run(IP, 'route', 'show', 'default')).toContain('via 10.60.0.254 ');
    }
    expect(found.toSorted()).toEqual(['10.60.0.64', '10.60.0.66', '10.60.0.67']);
    await expect(world.start('d', [{ network: 'net' }])).rejects.toMatchObject({
      code: 'network/exhausted',
      message: expect.stringContaining('10.60.0.64/30'),
    });
    // Outside of the range only on request.
    expect((await world.start('e', [{ network: 'net', ipv4: '10.60.0.9' }])).address).toBe('10.60.0.9');
  });
});
