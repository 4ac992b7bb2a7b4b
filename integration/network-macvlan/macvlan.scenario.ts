import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { identityOf } from '../kit/keeper.ts';
import { HOST, HOST_6, type Member, NEIGHBOUR, NEIGHBOUR_6, type Place, World } from '../network-reach/world.ts';

const IP = '/usr/sbin/ip';

/** What the kernel says of an interface of a place. */
async function link(place: Place, device: string) {
  const [found] = JSON.parse(await place.run(IP, '-j', '-d', 'addr', 'show', 'dev', device));
  return found;
}

describe('macvlan networks', () => {
  let world: World;
  let one: Member;
  let two: Member;
  const create = (name: string, options: Record<string, string> = {}, rest: object = {}) =>
    world.service.create({ name, driver: 'macvlan', options: { parent: 'lan0', ...options }, ...rest });

  beforeAll(async () => {
    world = await World.make();
    await world.serve('neighbour', world.neighbour, 7000);
    await world.serve('host', world.host, 7001);
    // The LAN's own subnets, as one does: the range keeps clear of those who are there.
    await create(
      'lan',
      {},
      {
        enableIpv6: true,
        pools: [
          { subnet: '192.0.2.0/24', gateway: NEIGHBOUR, ipRange: '192.0.2.128/25', auxiliary: { host: HOST } },
          { subnet: '2001:db8::/64', gateway: NEIGHBOUR_6, ipRange: '2001:db8::100/120' },
        ],
      },
    );
    one = await world.start('one', [{ network: 'lan', aliases: ['first'], mac: '02:00:00:00:00:11' }]);
    two = await world.start('two', [{ network: 'lan', ipv4: '192.0.2.200' }]);
  });
  afterAll(() => world.close());

  it('are on the LAN with addresses and hardware addresses of their own, without any bridge or rule', async () => {
    expect(await link(one, 'eth0')).toMatchObject({
      address: '02:00:00:00:00:11',
      linkinfo: { info_kind: 'macvlan', info_data: { mode: 'bridge' } },
    });
    expect(two.address).toBe('192.0.2.200');
    expect(one.address).toMatch(/^192\.0\.2\.1(2[89]|3)/);
    expect(await one.probe('tcp', NEIGHBOUR, 7000)).toBe(`neighbour saw ${one.address}`);
    expect(await one.probe('udp', NEIGHBOUR_6, 7000)).toBe(`neighbour saw ${one.address6}`);
    expect(await world.neighbour.probe('tcp', one.address, 80)).toBe(`one saw ${NEIGHBOUR}`);
    expect(await world.neighbour.probe('tcp', one.address6, 80)).toBe(`one saw ${NEIGHBOUR_6}`);
    const shown = JSON.parse(await world.host.run(IP, '-j', 'link'));
    expect(shown.map(({ ifname }: { ifname: string }) => ifname).toSorted()).toEqual(['lan0', 'lo']);
  });

  it('reach each other and have names; the host is another matter, as macvlan is', async () => {
    expect(await two.lookup('A', 'first')).toBe(one.address);
    expect(await two.lookup('AAAA', 'one')).toBe(one.address6);
    expect(await two.probe('tcp', one.address, 80)).toBe(`one saw ${two.address}`);
    expect(await two.probe('tcp', HOST, 7001)).toMatch(/^(timeout|EHOSTUNREACH)$/);
    expect(await two.probe('tcp', HOST_6, 7001)).toMatch(/^(timeout|EHOSTUNREACH)$/);
  });

  it('have the gateway as their way out', async () => {
    const [route] = JSON.parse(await one.run(IP, '-j', 'route', 'show', 'default'));
    expect(route).toMatchObject({ gateway: NEIGHBOUR, dev: 'eth0' });
  });

  it('publish no ports: those have an address of their own', async () => {
    await expect(
      world.service.publish(one.id, [{ containerPort: 80, protocol: 'tcp', hostPort: 8080 }]),
    ).rejects.toMatchObject({ code: 'network/unsupported', hint: expect.stringContaining('at its own address') });
  });

  it('mode private: not even each other', async () => {
    await create('apart', { macvlan_mode: 'private' }, { pools: [{ subnet: '10.77.0.0/24' }] });
    const a = await world.start('a', [{ network: 'apart' }]);
    const b = await world.start('b', [{ network: 'apart' }]);
    expect((await link(a, 'eth0')).linkinfo.info_data.mode).toBe('private');
    expect(await a.probe('tcp', b.address, 80)).toMatch(/^(timeout|EHOSTUNREACH)$/);
    await world.neighbour.run(IP, 'addr', 'add', '10.77.0.250/24', 'dev', 'lan0');
    expect(await a.probe('tcp', '10.77.0.250', 7000)).toBe(`neighbour saw ${a.address}`);
    await create('reflected', { macvlan_mode: 'vepa' }, { pools: [{ subnet: '10.78.0.0/24' }] });
    const c = await world.start('c', [{ network: 'reflected' }]);
    expect((await link(c, 'eth0')).linkinfo.info_data.mode).toBe('vepa');
  });

  it('internal: no way out of its own subnet', async () => {
    await create('closed', {}, { internal: true, pools: [{ subnet: '10.79.0.0/24' }] });
    const member = await world.start('inside', [{ network: 'closed' }]);
    expect(await member.run(IP, 'route', 'show', 'default')).toBe('');
    expect(await member.probe('tcp', NEIGHBOUR, 7000)).toBe('ENETUNREACH');
  });

  it('beside a bridge: joined and left live, the way out where the priority says', async () => {
    await world.service.create({ name: 'front' });
    const both = await world.start(
      'both',
      [{ network: 'front' }],
      [{ containerPort: 80, protocol: 'tcp', hostPort: 8081 }],
    );
    expect(await world.neighbour.probe('tcp', HOST, 8081)).toMatch(/^both saw /);
    const joined = await world.service.connect('lan', both.id, 'both', { gatewayPriority: -1 });
    expect(await world.neighbour.probe('tcp', joined.address, 80)).toMatch(/^both saw /);
    // A neighbour is answered over the link it shares with the container, and would not know the answer to a published port.
    expect(await world.host.probe('tcp', '127.0.0.1', 8081)).toMatch(/^both saw /);
    await world.service.disconnect('lan', both.id);
    await expect(link(both, 'eth1')).rejects.toThrow('does not exist');
    expect(await both.probe('tcp', NEIGHBOUR, 7000)).toBe(`neighbour saw ${HOST}`);
  });

  it('stay over a restart of the container, of the daemon, and a lost keeper', async () => {
    const { mac } = world.service.endpoints(two.id)[0] ?? {};
    await world.service.closeSandbox(two.id);
    const again = await world.service.openSandbox(two.id);
    expect(again.endpoints[0]).toMatchObject({ address: two.address, mac });
    expect((await world.restartService()).notes).toEqual([]);
    expect(await world.neighbour.probe('tcp', one.address, 80)).toMatch(/^one saw /);
    await world.loseKeeper();
    await world.service.adopt(one.id, await identityOf(one.server));
    expect(await world.neighbour.probe('tcp', one.address, 80)).toMatch(/^one saw /);
  });

  it('refuse what cannot be: a taken parent, a foreign or hostile one, a subnet of another network', async () => {
    await expect(create('alone', { macvlan_mode: 'passthru' })).rejects.toMatchObject({
      code: 'network/conflict',
      message: expect.stringContaining('uses parent interface lan0'),
    });
    await expect(create('wrong', { parent: 'eth9' })).rejects.toMatchObject({ code: 'network/invalid' });
    await expect(create('wrong', { parent: 'lan0; x' })).rejects.toMatchObject({ code: 'network/invalid' });
    await expect(create('same', {}, { pools: [{ subnet: '192.0.2.0/25' }] })).rejects.toMatchObject({
      code: 'network/conflict',
    });
    await expect(create('odd', { macvlan_mode: 'x' })).rejects.toMatchObject({ code: 'network/invalid' });
  });

  it('leave the parent as it was when they go', async () => {
    const before = await link(world.host, 'lan0');
    await world.stopServers();
    for (const { endpoints } of world.service.list())
      for (const { containerId } of endpoints) await world.service.release(containerId);
    await world.service.removeAll(['lan', 'apart', 'reflected', 'closed', 'front']);
    const after = await link(world.host, 'lan0');
    expect([after.address, after.addr_info, after.operstate]).toEqual([
      before.address,
      before.addr_info,
      before.operstate,
    ]);
  });
});

describe('macvlan passthru', () => {
  it('gives the interface itself, with its address, to one container', async () => {
    const world = await World.make();
    try {
      const before = await link(world.host, 'lan0');
      const options = { parent: 'lan0', macvlan_mode: 'passthru' };
      await world.service.create({ name: 'through', driver: 'macvlan', options, pools: [{ subnet: '10.88.0.0/24' }] });
      const member = await world.start('member', [{ network: 'through' }]);
      const inside = await link(member, 'eth0');
      expect([inside.address, inside.linkinfo.info_data.mode]).toEqual([before.address, 'passthru']);
      await world.neighbour.run(IP, 'addr', 'add', '10.88.0.250/24', 'dev', 'lan0');
      expect(await world.neighbour.probe('tcp', member.address, 80)).toBe('member saw 10.88.0.250');
      const mac = '02:00:00:00:00:12';
      await expect(world.start('odd', [{ network: 'through', mac }])).rejects.toMatchObject({
        code: 'network/invalid',
      });
      await expect(world.start('second', [{ network: 'through' }])).rejects.toThrow(
        /cannot put macvlan eth0 on its parent/,
      );
    } finally {
      await world.close();
    }
  });
});
