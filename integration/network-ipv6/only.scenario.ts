import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOST, HOST_6, type Member, NEIGHBOUR, NEIGHBOUR_6, World } from '../network-reach/world.ts';

const IP = '/usr/sbin/ip';

describe('a network of IPv6 alone', () => {
  let world: World;
  let web: Member;
  let db: Member;

  beforeAll(async () => {
    world = await World.make();
    await world.service.create({ name: 'six', enableIpv4: false, enableIpv6: true });
    await world.service.create({ name: 'four' });
    await world.serve('neighbour', world.neighbour, 7000);
    const ports = [
      { containerPort: 80, protocol: 'tcp', hostPort: 8080 },
      { containerPort: 80, protocol: 'udp', hostPort: 8080 },
    ] as const;
    web = await world.start('web', [{ network: 'six', aliases: ['www'] }], ports);
    db = await world.start('db', [{ network: 'six' }]);
  });
  afterAll(() => world.close());

  it('has no IPv4 anywhere: on the bridge, in the container, in the firewall, among the names', async () => {
    const { bridge, pool, pool6 } = world.service.inspect('six');
    expect(pool).toBeUndefined();
    for (const [place, device] of [
      [world.host, bridge ?? ''],
      [web, 'eth0'],
    ] as const) {
      const [link] = JSON.parse(await place.run(IP, '-j', 'addr', 'show', 'dev', device));
      expect(link.addr_info.map(({ family }: { family: string }) => family)).not.toContain('inet');
    }
    expect(JSON.stringify(await world.elements('members'))).not.toContain(bridge);
    expect(JSON.stringify(await world.elements('members6'))).toContain(pool6?.subnet.split('/')[0]);
    expect(await db.lookup('AAAA', 'www')).toBe(web.address6);
    expect(await db.lookup('A', 'www')).toBe('ENODATA');
  });

  it('is reached and reaches out over IPv6', async () => {
    expect(await db.probe('tcp', web.address6, 80)).toBe(`web saw ${db.address6}`);
    expect(await db.probe('tcp', NEIGHBOUR_6, 7000)).toBe(`neighbour saw ${HOST_6}`);
    expect(await db.probe('tcp', NEIGHBOUR, 7000)).toBe('ENETUNREACH');
  });

  it('publishes: IPv6 by the kernel, IPv4 and ::1 by a proxy', async () => {
    expect(await world.neighbour.probe('tcp', HOST_6, 8080)).toBe(`web saw ${NEIGHBOUR_6}`);
    expect(await world.elements('everywhere')).toEqual([]);
    for (const protocol of ['tcp', 'udp'] as const) {
      expect(await world.neighbour.probe(protocol, HOST, 8080)).toMatch(/^web saw /);
      for (const address of ['127.0.0.1', '::1', HOST_6])
        expect([address, await world.host.probe(protocol, address, 8080)]).toEqual([
          address,
          expect.stringMatching(/^web saw /),
        ]);
    }
  });

  it('gains IPv4 with another network, and its ports are then rewritten', async () => {
    const joined = await world.service.connect('four', web.id, 'web', {});
    expect(JSON.stringify(await world.elements('everywhere'))).toContain(joined.address);
    expect(await world.neighbour.probe('tcp', HOST, 8080)).toBe(`web saw ${NEIGHBOUR}`);
    await world.service.disconnect('four', web.id);
    expect(await world.neighbour.probe('tcp', HOST, 8080)).toMatch(/^web saw /);
  });

  it('stays over a restart of the container and of the daemon', async () => {
    const [before] = world.service.endpoints(db.id);
    await world.service.closeSandbox(db.id);
    const [after] = (await world.service.openSandbox(db.id)).endpoints;
    expect([after?.address, after?.address6, after?.mac]).toEqual(['', before?.address6, before?.mac]);
    expect((await world.restartService()).notes).toEqual([]);
    expect(await world.neighbour.probe('tcp', HOST_6, 8080)).toBe(`web saw ${NEIGHBOUR_6}`);
  });

  it('refuses what needs IPv4', async () => {
    const refused = { code: 'network/invalid' };
    await expect(world.start('odd', [{ network: 'six', ipv4: '10.0.0.5' }])).rejects.toMatchObject(refused);
    await expect(world.service.create({ name: 'no', enableIpv4: false })).rejects.toMatchObject(refused);
    const pools = [{ subnet: '10.9.0.0/24' }];
    const spec = { name: 'no', enableIpv4: false, enableIpv6: true, pools };
    await expect(world.service.create(spec)).rejects.toMatchObject(refused);
  });
});
