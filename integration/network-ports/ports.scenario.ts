import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SCTP } from '../kit/bundle.ts';
import { until } from '../kit/keeper.ts';
import { HOST, HOST_6, INSTANCE, type Member, NEIGHBOUR, NEIGHBOUR_6, World } from '../network-reach/world.ts';

const IP = '/usr/sbin/ip';

describe('ports that are taken', () => {
  let world: World;
  let web: Member;

  beforeAll(async () => {
    world = await World.make();
    await world.service.create({ name: 'front' });
    web = await world.start('web', [{ network: 'front' }]);
  });
  afterAll(() => world.close());

  const publish = (hostPort: number, hostIp?: string, protocol: 'tcp' | 'udp' | 'sctp' = 'tcp') =>
    world.service.publish(web.id, [{ containerPort: 80, protocol, hostPort, ...(hostIp && { hostIp }) }]);

  it('F27: the program that has it is named with its process, whatever the protocol and the address', async () => {
    const pid = await world.serve('host', world.host, 7001);
    for (const protocol of ['tcp', 'udp'] as const)
      for (const address of [undefined, '127.0.0.1', '::1', HOST])
        await expect(publish(7001, address, protocol)).rejects.toMatchObject({
          code: 'network/conflict',
          message: expect.stringContaining(`is already used by node (process ${pid})`),
        });
    expect(world.service.boundPorts(web.id)).toEqual([]);
    expect(await world.holds()).toEqual([]);
  });

  it('F27: nothing of the container stays behind: neither its other ports, nor names, nor rules', async () => {
    const both = [
      { containerPort: 80, protocol: 'tcp', hostPort: 8088 },
      { containerPort: 81, protocol: 'tcp', hostPort: 7001 },
    ] as const;
    await expect(world.service.publish(web.id, both)).rejects.toMatchObject({ code: 'network/conflict' });
    expect(await world.holds()).toEqual([]);
    expect(await world.elements('everywhere')).toEqual([]);
    expect(await world.host.probe('tcp', '127.0.0.1', 8088)).toBe('ECONNREFUSED');
  });

  it('are found before anything starts, those of containers that make way apart, and nothing stays taken', async () => {
    const other = await world.start(
      'other',
      [{ network: 'front' }],
      [{ containerPort: 80, protocol: 'tcp', hostPort: 8070 }],
    );
    const wanted = [7001, 8070, 8071].map((hostPort) => ({ containerPort: 80, protocol: 'tcp', hostPort }) as const);
    const find = async (except: readonly string[]) =>
      (await world.service.findPortConflicts(wanted, except)).map(({ hostPort, holder }) => [hostPort, holder]);
    const program = [7001, expect.stringMatching(/^node \(process \d+\)$/)];
    expect(await find([])).toEqual([program, [8070, 'container other']]);
    expect(await find([other.id])).toEqual([program]);
    expect((await world.holds()).filter((key) => !key.startsWith(other.id))).toEqual([]);
    await world.service.release(other.id);
  });

  it('an address that is not of this host is refused by name', async () => {
    await expect(publish(8089, '203.0.113.77')).rejects.toMatchObject({
      code: 'network/invalid',
      message: expect.stringContaining('203.0.113.77 is no address of this host'),
    });
  });

  it('a range takes the first free port, and says so when none is', async () => {
    const range = (first: number, last: number) =>
      world.service.publish(web.id, [{ containerPort: 80, protocol: 'tcp', hostPort: { first, last } }]);
    expect((await range(7001, 7003)).map((port) => port.hostPort)).toEqual([7002, 7002]);
    await world.service.withdraw(web.id);
    await expect(range(7001, 7001)).rejects.toMatchObject({ code: 'network/conflict' });
    await world.serve('more', world.host, 7002);
    await expect(range(7001, 7002)).rejects.toMatchObject({
      code: 'network/exhausted',
      message: expect.stringContaining('no port from 7001 to 7002 is free'),
    });
  });
});

describe('SCTP', () => {
  let world: World;
  let peer: Member;

  beforeAll(async () => {
    world = await World.make();
    await world.service.create({ name: 'front', enableIpv6: true });
    await world.service.create({ name: 'four' });
    const published = { containerPort: 80, protocol: 'sctp', hostPort: 9000 } as const;
    peer = await world.start('peer', [{ network: 'front' }], [published]);
    await world.spawn(peer, SCTP, 'answer', '80');
  });
  afterAll(() => world.close());

  it('is rewritten by the kernel in both families, and the container sees who asks', async () => {
    expect(await world.elements('everywhere')).toEqual([[{ concat: ['sctp', 9000] }, { concat: [peer.address, 80] }]]);
    const greet = async (address: string) => (await world.neighbour.run(SCTP, 'greet', address, '9000')).trim();
    expect(await greet(HOST)).toBe(`answer from ${HOST}:9000`);
    expect(await greet(HOST_6)).toBe(`answer from ${HOST_6}:9000`);
    // The answer may be here before what its sender writes.
    for (const each of [NEIGHBOUR, NEIGHBOUR_6])
      await until('the container says who asked', async () => world.output(peer).includes(`asked by ${each}\n`));
    expect((await world.host.run(SCTP, 'greet', '127.0.0.1', '9000')).trim()).toBe('answer from 127.0.0.1:9000');
  });

  it('has ports of its own beside TCP and UDP, and names the container that has one', async () => {
    const other = await world.start('other', [{ network: 'four' }]);
    const publish = (protocol: 'tcp' | 'sctp', hostIp?: string) =>
      world.service.publish(other.id, [{ containerPort: 80, protocol, hostPort: 9000, ...(hostIp && { hostIp }) }]);
    await expect(publish('sctp')).rejects.toMatchObject({
      code: 'network/conflict',
      message: expect.stringContaining('0.0.0.0:9000/sctp is already used by container peer'),
    });
    expect(await publish('tcp')).toHaveLength(2);
    // No proxy carries it to another family.
    await world.service.withdraw(other.id);
    const only = await world.service.publish(other.id, [{ containerPort: 80, protocol: 'sctp', hostPort: 9001 }]);
    expect(only.map((port) => port.hostIp)).toEqual(['0.0.0.0']);
    await world.service.withdraw(other.id);
    await expect(publish('sctp', HOST_6)).rejects.toMatchObject({ code: 'network/unsupported' });
  });

  it('stops with its container', async () => {
    await world.service.withdraw(peer.id);
    expect(await world.elements('everywhere')).toEqual([]);
    expect(await world.holds()).toEqual([]);
  });
});

describe('a full bridge', () => {
  let world: World;

  beforeAll(async () => {
    world = await World.make();
  });
  afterAll(() => world.close());

  it('F29: one link more than the kernel takes is refused by name, and nothing of it stays', async () => {
    const { bridge } = await world.service.create({ name: 'crowd', pools: [{ subnet: '10.99.0.0/16' }] });
    const before = await world.start('before', [{ network: 'crowd' }]);
    // The kernel counts ports from 1 to 1023, and one is taken.
    const links = Array.from(
      { length: 511 },
      (_, n) => `link add c${n} master ${bridge} type veth peer name d${n}\nlink set d${n} master ${bridge}\n`,
    );
    await world.host.run('/bin/sh', '-c', `${IP} -batch - <<'END'\n${links.join('')}END\n`);
    await expect(world.start('late', [{ network: 'crowd' }])).rejects.toMatchObject({
      code: 'network/exhausted',
      message: expect.stringContaining(`bridge ${bridge} is full: the kernel takes 1023 links on one`),
    });
    const shown = JSON.parse(await world.host.run(IP, '-j', 'link', 'show', 'type', 'veth'));
    const ours = shown.filter((link: { ifname: string }) => link.ifname.startsWith(`${INSTANCE}v`));
    expect(ours).toHaveLength(1);
    expect(await world.host.probe('tcp', before.address, 80)).toMatch(/^before saw /);
  });
});
