import { afterEach, beforeEach, expect, it } from 'vitest';
import { HOST, INSTANCE, NEIGHBOUR, Place, World } from '../network-reach/world.ts';

// N14: interfaces of others are neither taken, changed nor removed, also when they bear the name that one of ours had. A bridge
// that is named for a network is used beside its owner, and is at the end what it was.
const IP = '/usr/sbin/ip';

let world: World;
const ip = (...args: string[]) => world.host.run(IP, ...args);
/** What the kernel says of a link and its addresses, counters left out. */
const link = async (name: string) => JSON.stringify(JSON.parse(await ip('-j', '-d', 'addr', 'show', 'dev', name)));
const named = (name: string) => ({ 'com.docker.network.bridge.name': name });

beforeEach(async () => {
  world = await World.make();
});
afterEach(() => world.close());

/** Makes a bridge of somebody else with an address and a port of theirs. */
async function theirs(name: string): Promise<string> {
  await ip('link', 'add', name, 'type', 'bridge');
  await ip('addr', 'add', '198.51.100.1/24', 'dev', name);
  await ip('link', 'add', 'port0', 'type', 'veth', 'peer', 'name', 'port1');
  await ip('link', 'set', 'port0', 'master', name);
  return link(name);
}

it.each([
  ['the interface of the LAN', 'lan0', []],
  ['loopback', 'lo', []],
  ['a veth', 'theirs0', ['type', 'veth', 'peer', 'name', 'theirs1']],
  ['a tunnel', 'theirs0', ['type', 'ipip', 'local', '192.0.2.1', 'remote', '192.0.2.2']],
  ['a VLAN', 'theirs0', ['link', 'lan0', 'type', 'vlan', 'id', '7']],
] as const)('%s is no bridge for a network', async (_what, name, kind) => {
  if (kind.length > 0) {
    const add =
      kind[0] === 'link'
        ? ['link', 'add', 'link', kind[1], 'name', name, ...kind.slice(2)]
        : ['link', 'add', name, ...kind];
    // A kernel may lack the kind.
    if (
      await ip(...add).then(
        () => false,
        () => true,
      )
    )
      return;
  }
  const before = await link(name);
  await expect(world.service.create({ name: 'adopt', options: named(name) })).rejects.toMatchObject({
    code: 'network/conflict',
  });
  expect(await link(name)).toBe(before);
  expect(world.service.list().some((network) => network.name === 'adopt')).toBe(false);
});

it.each(['a given name', 'the name we chose'])(
  'a bridge that others made meanwhile under %s stays theirs',
  async (what) => {
    const options = what === 'a given name' ? named('ours0') : {};
    await world.service.create({ name: 'net', options });
    const name = world.service.inspect('net').bridge ?? '';
    expect(name).toContain(what === 'a given name' ? 'ours0' : INSTANCE);
    // As after a reboot: the record is there, the kernel knows nothing.
    await world.service.dismantle();
    const before = await theirs(name);
    await world.restartService();
    await expect(world.start('late', [{ network: 'net' }])).rejects.toMatchObject({ code: 'network/conflict' });
    expect(await link(name)).toBe(before);
    await world.service.remove('net');
    expect(await link(name)).toBe(before);
    expect(JSON.parse(await ip('-j', 'link', 'show', 'dev', 'port0'))[0].master).toBe(name);
  },
);

/** A machine of theirs on a bridge of theirs, which reaches the LAN through the host. */
async function theirMachine(name: string): Promise<Place> {
  const machine = await Place.make();
  await theirs(name);
  await ip('link', 'set', 'port1', 'netns', String(machine.pid));
  await ip('link', 'set', name, 'up');
  await ip('link', 'set', 'port0', 'up');
  await machine.run(IP, 'addr', 'add', '198.51.100.2/24', 'dev', 'port1');
  await machine.run(IP, 'link', 'set', 'port1', 'up');
  await machine.run(IP, 'route', 'add', 'default', 'via', '198.51.100.1');
  await world.neighbour.run(IP, 'route', 'add', '198.51.100.0/24', 'via', HOST);
  await world.host.run('/usr/sbin/sysctl', '-qw', 'net.ipv4.ip_forward=1');
  return machine;
}

const localnet = (name: string) => world.host.run('/usr/sbin/sysctl', '-n', `net.ipv4.conf.${name}.route_localnet`);

/** What its owner made of it: addresses, ports and settings, whatever the kernel adds by itself. */
async function shape(name: string): Promise<unknown> {
  const [bridge] = JSON.parse(await ip('-j', '-d', 'addr', 'show', 'dev', name));
  const ports = JSON.parse(await ip('-j', 'link', 'show', 'master', name)).map(
    ({ ifname }: { ifname: string }) => ifname,
  );
  const addresses = bridge.addr_info
    .filter(({ scope }: { scope: string }) => scope === 'global')
    .map(({ local, prefixlen }: { local: string; prefixlen: number }) => `${local}/${prefixlen}`);
  return [
    bridge.address,
    bridge.mtu,
    bridge.ifalias,
    bridge.linkinfo.info_kind,
    addresses,
    ports,
    await localnet(name),
  ];
}

it('a bridge of others carries a network beside what is theirs, and is at the end as it was', async () => {
  const machine = await theirMachine('theirs0');
  await world.serve('machine', machine, 7000);
  await world.serve('neighbour', world.neighbour, 7000);
  await world.serve('host', world.host, 7002);
  const before = await shape('theirs0');
  try {
    await world.service.create({ name: 'mixed', options: named('theirs0'), pools: [{ subnet: '10.77.0.0/24' }] });
    await world.service.create({ name: 'other' });
    const web = await world.start(
      'web',
      [{ network: 'mixed' }],
      [{ containerPort: 80, protocol: 'tcp', hostPort: 8080 }],
    );
    const other = await world.start('other', [{ network: 'other' }]);
    const works = async () => {
      // The container, as on any other network.
      expect(await web.probe('tcp', NEIGHBOUR, 7000)).toBe(`neighbour saw ${HOST}`);
      for (const address of [HOST, '127.0.0.1', '10.77.0.1'])
        expect(await world.host.probe('tcp', address, 8080)).toMatch(/^web saw /);
      expect(await world.neighbour.probe('tcp', HOST, 8080)).toMatch(/^web saw /);
      expect(await web.probe('tcp', other.address, 80)).toBe('timeout');
      // What is theirs goes on: to the host, through it and back.
      expect(await machine.probe('tcp', '198.51.100.1', 7002)).toBe('host saw 198.51.100.2');
      expect(await machine.probe('tcp', NEIGHBOUR, 7000)).toBe('neighbour saw 198.51.100.2');
      expect(await world.neighbour.probe('tcp', '198.51.100.2', 7000)).toBe(`machine saw ${NEIGHBOUR}`);
      // To our other networks they are strangers.
      expect(await machine.probe('tcp', other.address, 80)).toBe('timeout');
    };
    await works();
    expect(await localnet('theirs0')).toBe('1\n');
    // The daemon is killed and comes back: it knows whose the bridge is.
    await world.restartService();
    await works();
    // No container speaks for others on the bridge.
    await web.run(IP, 'addr', 'add', '198.51.100.2/32', 'dev', 'eth0');
    await web.run(IP, 'route', 'add', '198.51.100.1/32', 'dev', 'eth0', 'src', '198.51.100.2');
    expect(await web.probe('tcp', '198.51.100.1', 7002)).toBe('timeout');
    await world.service.release(web.id);
    await world.stopServers();
    await world.service.remove('mixed');
    expect(await shape('theirs0')).toEqual(before);
    // And again, with nothing left between.
    await world.service.create({ name: 'mixed', options: named('theirs0') });
    await world.service.dismantle();
    expect(await shape('theirs0')).toEqual(before);
  } finally {
    machine.close();
  }
});

it('a kill at any point of making or removing it leaves the bridge as it was once the network is gone', async () => {
  await theirs('theirs0');
  await ip('link', 'set', 'theirs0', 'up');
  const before = await shape('theirs0');
  await world.service.create({ name: 'mixed', options: named('theirs0'), enableIpv6: true });
  // The addresses are lost, or already taken away, while the record stands.
  for (const lose of [true, false]) {
    if (lose) await ip('addr', 'flush', 'dev', 'theirs0', 'to', world.service.inspect('mixed').pool?.subnet ?? '');
    await world.restartService();
  }
  const member = await world.start('web', [{ network: 'mixed' }]);
  expect(await world.host.probe('tcp', member.address, 80)).toMatch(/^web saw /);
  await world.service.release(member.id);
  await world.stopServers();
  await world.restartService();
  await world.service.remove('mixed');
  await expect.poll(() => shape('theirs0')).toEqual(before);
});

it("the bridge's own subnet has the bridge's own address as gateway, and nothing is added", async () => {
  await theirs('theirs0');
  await ip('addr', 'add', '198.51.101.9/24', 'dev', 'theirs0');
  await ip('link', 'set', 'theirs0', 'up');
  const before = await shape('theirs0');
  const spec = { name: 'same', options: named('theirs0'), pools: [{ subnet: '198.51.101.0/24' }] };
  expect(await world.service.create(spec)).toMatchObject({
    pool: { gateway: '198.51.101.9' },
    adopted: { addresses: [] },
    sourceCheck: true,
  });
  expect(await shape('theirs0')).toEqual(before);
  const member = await world.start('web', [{ network: 'same' }]);
  expect(await world.host.probe('tcp', member.address, 80)).toBe('web saw 198.51.101.9');
});

it('what cannot be shared is refused, and nothing is changed', async () => {
  await theirs('theirs0');
  const before = await shape('theirs0');
  const refused = [
    [{ internal: true }, 'network/unsupported', 'would be a way out'],
    [{ pools: [{ subnet: '192.0.2.0/25' }] }, 'network/conflict', 'interface lan0'],
  ] as const;
  for (const [rest, code, text] of refused)
    await expect(world.service.create({ name: 'mixed', options: named('theirs0'), ...rest })).rejects.toMatchObject({
      code,
      message: expect.stringContaining(text),
    });
  await world.service.create({ name: 'first', options: named('theirs0') });
  await expect(world.service.create({ name: 'second', options: named('theirs0') })).rejects.toMatchObject({
    code: 'network/conflict',
    message: expect.stringContaining('belongs to another network'),
  });
  // What it has itself is never chosen for another network.
  await expect(world.service.create({ name: 'third', pools: [{ subnet: '198.51.100.0/24' }] })).rejects.toMatchObject({
    code: 'network/conflict',
  });
  await world.service.remove('first');
  expect(await shape('theirs0')).toEqual(before);
});

it('one that its owner took away is missed by name, and its network can be removed', async () => {
  await theirs('theirs0');
  await world.service.create({ name: 'mixed', options: named('theirs0') });
  await ip('link', 'del', 'theirs0');
  await world.restartService();
  await expect(world.start('late', [{ network: 'mixed' }])).rejects.toMatchObject({
    code: 'network/conflict',
    message: expect.stringContaining('bridge theirs0 is not there'),
  });
  await world.service.remove('mixed');
});
