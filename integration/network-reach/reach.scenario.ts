import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOST, HOST_6, type Member, NEIGHBOUR, World } from './world.ts';

describe('who reaches whom', () => {
  let world: World;
  let web: Member;
  let db: Member;
  let other: Member;
  let closed: Member;
  let closedPeer: Member;

  beforeAll(async () => {
    world = await World.make();
    await world.service.create({ name: 'front' });
    await world.service.create({ name: 'back' });
    await world.service.create({ name: 'sealed', internal: true });
    await world.serve('neighbour', world.neighbour, 7000);
    await world.serve('host', world.host, 7001);
    web = await world.start(
      'web',
      [{ network: 'front', aliases: ['www'] }],
      [
        { containerPort: 80, protocol: 'tcp', hostPort: 8080 },
        { containerPort: 80, protocol: 'udp', hostPort: 8080 },
        { containerPort: 80, protocol: 'tcp', hostPort: 8081, hostIp: '127.0.0.1' },
      ],
    );
    db = await world.start('db', [{ network: 'front' }]);
    other = await world.start('other', [{ network: 'back' }]);
    closed = await world.start('closed', [{ network: 'sealed' }]);
    closedPeer = await world.start('closed-peer', [{ network: 'sealed' }]);
  });
  afterAll(() => world.close());

  it('containers of one network by name, alias and short id', async () => {
    expect(await db.lookup('A', 'web')).toBe(web.address);
    expect(await db.lookup('A', 'WWW')).toBe(web.address);
    expect(await db.lookup('A', web.id.slice(0, 12))).toBe(web.address);
    expect(await db.lookup('AAAA', 'web')).toBe('ENODATA');
    expect(await db.lookup('PTR', web.address)).toBe('web.front');
    expect(await db.probe('tcp', web.address, 80)).toBe(`web saw ${db.address}`);
  });

  it('names stay inside their network', async () => {
    expect(await other.lookup('A', 'web')).not.toBe(web.address);
  });

  it('other questions are relayed, over TCP when the answer does not fit, and a container may have port 53 itself', async () => {
    await world.serveDns(world.neighbour);
    const asker = await world.start('asker', [{ network: 'front' }], [], { servers: [NEIGHBOUR] });
    expect(await asker.lookup('A', 'outside.example')).toBe('203.0.113.9');
    expect(await asker.lookup('A', 'large.example')).toBe('203.0.113.9');
    expect(await asker.lookup('A', 'web')).toBe(web.address);
    await world.serveDns(asker);
    expect(await asker.lookup('A', 'web')).toBe(web.address);
  });

  it('a UDP flow follows the port to another container (N12)', async () => {
    const published = { containerPort: 80, protocol: 'udp', hostPort: 8090 } as const;
    const first = await world.start('first', [{ network: 'front' }], [published]);
    expect(await world.neighbour.probe('udp', HOST, 8090, 5555)).toBe(`first saw ${NEIGHBOUR}`);
    await world.service.release(first.id);
    await world.start('second', [{ network: 'front' }], [published]);
    expect(await world.neighbour.probe('udp', HOST, 8090, 5555)).toBe(`second saw ${NEIGHBOUR}`);
  });

  it('containers reach the outside under the address of the host', async () => {
    expect(await db.probe('tcp', NEIGHBOUR, 7000)).toBe(`neighbour saw ${HOST}`);
    expect(await db.probe('udp', NEIGHBOUR, 7000)).toBe(`neighbour saw ${HOST}`);
  });

  it('the neighbour reaches published ports, over TCP, UDP and IPv6', async () => {
    expect(await world.neighbour.probe('tcp', HOST, 8080)).toBe(`web saw ${NEIGHBOUR}`);
    expect(await world.neighbour.probe('udp', HOST, 8080)).toBe(`web saw ${NEIGHBOUR}`);
    expect(await world.neighbour.probe('tcp', HOST_6, 8080)).toMatch(/^web saw /);
    expect(await world.neighbour.probe('udp', HOST_6, 8080)).toMatch(/^web saw /);
  });

  it('the host reaches published ports on 127.0.0.1, ::1 and its other addresses', async () => {
    for (const address of ['127.0.0.1', '::1', HOST, HOST_6]) {
      expect([address, await world.host.probe('tcp', address, 8080)]).toEqual([
        address,
        expect.stringMatching(/^web saw /),
      ]);
      expect([address, await world.host.probe('udp', address, 8080)]).toEqual([
        address,
        expect.stringMatching(/^web saw /),
      ]);
    }
    expect(await world.host.probe('tcp', '127.0.0.1', 8081)).toMatch(/^web saw /);
    expect(await world.neighbour.probe('tcp', HOST, 8081)).toBe('ECONNREFUSED');
  });

  it('containers reach published ports by the address of the host, from the same network, another one and themselves', async () => {
    for (const member of [db, other, web])
      expect([member.address, await member.probe('tcp', HOST, 8080)]).toEqual([
        member.address,
        expect.stringMatching(/^web saw /),
      ]);
    expect(await other.probe('udp', HOST, 8080)).toMatch(/^web saw /);
  });

  it('networks are closed to each other', async () => {
    expect(await other.probe('tcp', web.address, 80)).toBe('timeout');
    const gateway = world.service.inspect('front').pool?.gateway ?? '';
    expect(await other.probe('tcp', gateway, 7001)).toBe('timeout');
    expect(await db.probe('tcp', gateway, 7001)).toBe(`host saw ${db.address}`);
  });

  it('an internal network has no way out or in', async () => {
    expect(await closed.probe('tcp', closedPeer.address, 80)).toBe(`closed-peer saw ${closed.address}`);
    expect(await closed.lookup('A', 'closed-peer')).toBe(closedPeer.address);
    expect(await closed.lookup('A', 'outside.example')).toBe('ESERVFAIL');
    expect(await closed.probe('tcp', NEIGHBOUR, 7000)).toBe('ENETUNREACH');
    const gateway = world.service.inspect('sealed').pool?.gateway ?? '';
    expect(await closed.probe('tcp', gateway, 7001)).toBe('timeout');
    await closed.run('/usr/sbin/ip', 'route', 'add', 'default', 'via', gateway);
    expect(await closed.probe('tcp', NEIGHBOUR, 7000)).toBe('timeout');
    expect(await closed.probe('tcp', HOST, 8080)).toBe('timeout');
    await expect(world.service.publish(closed.id, [{ containerPort: 80, protocol: 'tcp' }])).rejects.toMatchObject({
      code: 'network/unsupported',
    });
  });

  it('a port that is taken is refused and its holder named', async () => {
    const id = other.id;
    await expect(
      world.service.publish(id, [{ containerPort: 80, protocol: 'tcp', hostPort: 8080 }]),
    ).rejects.toMatchObject({
      code: 'network/conflict',
      message: expect.stringContaining('already used by container web'),
    });
    await expect(
      world.service.publish(id, [{ containerPort: 80, protocol: 'tcp', hostPort: 7001 }]),
    ).rejects.toMatchObject({
      code: 'network/conflict',
      message: expect.stringContaining('already used by node (process '),
    });
    const bound = await world.service.publish(id, [{ containerPort: 80, protocol: 'tcp' }]);
    expect(bound.map((port) => port.hostIp)).toEqual(['0.0.0.0', '::']);
    expect(await world.neighbour.probe('tcp', HOST, bound[0]?.hostPort ?? 0)).toMatch(/^other saw /);
  });

  it('a live container joins and leaves a network', async () => {
    const endpoint = await world.service.connect('back', db.id, 'db', { aliases: ['store'] });
    expect(await other.lookup('A', 'store')).toBe(endpoint.address);
    expect(await other.probe('tcp', endpoint.address, 80)).toBe(`db saw ${other.address}`);
    expect(await db.lookup('A', 'other')).toBe(other.address);
    await world.service.disconnect('back', db.id);
    expect(await other.probe('tcp', endpoint.address, 80)).toMatch(/timeout|EHOSTUNREACH/);
    expect(await db.probe('tcp', web.address, 80)).toMatch(/^web saw /);
    expect(await db.probe('tcp', NEIGHBOUR, 7000)).toMatch(/^neighbour saw /);
  });
});
