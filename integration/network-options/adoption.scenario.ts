import { afterEach, beforeEach, expect, it } from 'vitest';
import { INSTANCE, World } from '../network-reach/world.ts';

// N14: interfaces of others are neither taken, changed nor removed, also when they bear the name that one of ours had.
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
  ['an empty bridge', 'theirs0', ['type', 'bridge']],
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
