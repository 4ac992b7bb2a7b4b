import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../kit/keeper.ts';
import { peer } from '../kit/peers.ts';
import { HOST, type Member, NEIGHBOUR, NEIGHBOUR_6, World } from '../network-reach/world.ts';
import { Dnsmasq } from './dnsmasq.ts';

const dnsmasq = await peer('dnsmasq');
/** How long our server waits for one of the others. */
const TRY_MS = 2000;

describe.skipIf('reason' in dnsmasq)('questions for the outside', () => {
  let world: World;
  let member: Member;
  let closed: Member;
  const servers: Dnsmasq[] = [];

  /** A name server that knows `outside.example` as the address given. */
  const serve = async (place: World['host'], name: string, address: string, ...args: string[]) => {
    if ('reason' in dnsmasq) throw new Error(dnsmasq.reason);
    const own = ['--no-resolv', '--local=/example/', `--host-record=outside.example,${address}`, ...args];
    const server = await Dnsmasq.start(dnsmasq.path, place, { directory: world.directory, name, args: own });
    servers.push(server);
    return server;
  };
  /** The host's resolv.conf, and the periodic look at it. */
  const hostHas = async (text: string) => {
    await writeFile(join(world.directory, 'resolv.conf'), text);
    return world.service.checkResolver();
  };

  beforeAll(async () => {
    world = await World.make();
    await world.service.create({ name: 'front' });
    await world.service.create({ name: 'sealed', internal: true });
    member = await world.start('member', [{ network: 'front' }]);
    closed = await world.start('closed', [{ network: 'sealed' }]);
  });
  afterAll(async () => {
    for (const server of servers) await server.stop();
    await world.close();
  });

  it('F30: go where the host asks, also after that changes', async () => {
    expect(await member.lookup('A', 'outside.example')).toBe('ESERVFAIL');
    const lan = await serve(world.neighbour, 'lan', '203.0.113.1');
    expect(await hostHas(`nameserver ${NEIGHBOUR}\n`)).toBe(true);
    expect(await world.service.checkResolver()).toBe(false);
    expect(await member.lookup('A', 'outside.example')).toBe('203.0.113.1');
    // From a socket of the container: the LAN sees the host's address, by masquerade.
    expect(await lan.log()).toContain(`from ${HOST}`);
    expect(await hostHas(`# ipv6\nnameserver ${NEIGHBOUR_6}\n`)).toBe(true);
    expect(await member.lookup('A', 'outside.example')).toBe('203.0.113.1');
  });

  it('go to a server on the loopback of the host from the host', async () => {
    const stub = await serve(world.host, 'stub', '203.0.113.53', '--listen-address=127.0.0.53', '--bind-interfaces');
    expect(await hostHas('nameserver 127.0.0.53\n')).toBe(true);
    expect(await member.lookup('A', 'outside.example')).toBe('203.0.113.53');
    expect(await stub.log()).toContain('from 127.0.0.1');
  });

  it('N07: of an internal network reach nobody, from whatever namespace', async () => {
    const before = await Promise.all(servers.map((server) => server.asked()));
    for (const name of ['exfiltrated.example', 'a.b.c.example', 'single'])
      expect(await closed.lookup('A', name)).toBe('ESERVFAIL');
    expect(await closed.lookup('TXT', 'exfiltrated.example')).toBe('ESERVFAIL');
    // c-ares has one word for both.
    expect(await closed.lookup('PTR', '192.0.2.1')).toMatch(/ESERVFAIL|ENOTFOUND/);
    expect(await closed.lookup('A', 'closed')).toBe(closed.address);
    // Nor by servers of its own, be they of the LAN or of the host.
    const own = { servers: [NEIGHBOUR, '127.0.0.53'] };
    const sly = await world.start('sly', [{ network: 'sealed' }], [], own);
    expect(await sly.lookup('A', 'exfiltrated.example')).toBe('ESERVFAIL');
    expect(await Promise.all(servers.map((server) => server.asked()))).toEqual(before);
  });

  it('pass a server that is down at once, and a silent one from the second question on', async () => {
    const found = () => member.lookup('A', 'outside.example');
    const timed = async () => {
      const start = performance.now();
      expect(await found()).toBe('203.0.113.53');
      return performance.now() - start;
    };
    // Nobody listens on 127.0.0.9: the kernel says so.
    expect(await hostHas('nameserver 127.0.0.9\nnameserver 127.0.0.53\n')).toBe(true);
    expect(await timed()).toBeLessThan(TRY_MS);
    const nft = (...command: string[]) => world.host.run('/usr/sbin/nft', ...command);
    await nft('add table inet quiet');
    try {
      await nft('add chain inet quiet in { type filter hook input priority 0; }');
      await nft('add rule inet quiet in ip daddr 127.0.0.8 udp dport 53 drop');
      expect(await hostHas('nameserver 127.0.0.8\nnameserver 127.0.0.53\n')).toBe(true);
      // The first question waits its turn out; this client is gone before.
      await until('the silent server is passed', async () => (await found()) === '203.0.113.53');
      expect(await timed()).toBeLessThan(TRY_MS);
    } finally {
      await nft('delete table inet quiet');
    }
  });

  it('F30: pass a server that refuses to one that knows', async () => {
    const own = ['--listen-address=127.0.0.54', '--bind-interfaces', '--host-record=outside.other,203.0.113.77'];
    const knows = await serve(world.host, 'knows', '203.0.113.77', ...own);
    expect(await hostHas('nameserver 127.0.0.53\nnameserver 127.0.0.54\n')).toBe(true);
    // On a busy machine the first one may have been too slow before, and is then passed for half a minute.
    await until(
      'a question to the one that refuses',
      async () => {
        expect(await member.lookup('A', 'outside.other')).toBe('203.0.113.77');
        return (await servers.at(-2)?.asked())?.includes('outside.other') ?? false;
      },
      40_000,
    );
    expect(await knows.asked()).toContain('outside.other');
  });

  it('local names are answered while every server is silent', async () => {
    expect(await hostHas('nameserver 127.0.0.53\n')).toBe(true);
    await world.host.run('/usr/sbin/nft', 'add table inet quiet');
    await world.host.run('/usr/sbin/nft', 'add chain inet quiet in { type filter hook input priority 0; }');
    await world.host.run('/usr/sbin/nft', 'add rule inet quiet in udp dport 53 drop');
    try {
      const waiting = member.lookup('A', 'outside.example');
      expect(await member.lookup('A', 'member')).toBe(member.address);
      expect(await waiting).toMatch(/ESERVFAIL|ETIMEOUT/);
    } finally {
      await world.host.run('/usr/sbin/nft', 'delete table inet quiet');
    }
    // Nothing of it is remembered against the name.
    expect(await member.lookup('A', 'outside.example')).toBe('203.0.113.53');
  });

  it('N10: names of another network are asked outside, never answered; who left is not either', async () => {
    const secret = await world.start('secret', [{ network: 'sealed', aliases: ['shared'] }]);
    expect(await member.lookup('A', 'secret')).not.toBe(secret.address);
    expect(await member.lookup('A', 'secret.sealed')).not.toBe(secret.address);
    expect(await member.lookup('PTR', secret.address)).not.toContain('secret');
    expect(await closed.lookup('A', 'shared')).toBe(secret.address);
    await expect(world.start('taker', [{ network: 'sealed', aliases: ['LocalHost'] }])).rejects.toMatchObject({
      code: 'network/invalid',
      message: expect.stringContaining('localhost is reserved'),
    });
    // The same alias twice leads to both; the end of one to the other.
    const second = await world.start('second', [{ network: 'sealed', aliases: ['shared'] }]);
    const seen = new Set<string>();
    for (let turn = 0; turn < 2; turn++) seen.add((await closed.lookup('A', 'shared')).split(',')[0] ?? '');
    expect([...seen].toSorted()).toEqual([secret.address, second.address].toSorted());
    await world.service.withdraw(secret.id);
    expect(await closed.lookup('A', 'shared')).toBe(second.address);
    expect(await closed.lookup('A', 'secret')).toBe('ESERVFAIL');
  });

  it('names, health and name servers are the same to a daemon that comes back', async () => {
    const pair = [];
    for (const name of ['sick', 'well']) pair.push(await world.start(name, [{ network: 'front', aliases: ['pair'] }]));
    const [sick, well] = pair;
    await world.service.setReadiness(sick?.id ?? '', 'unhealthy');
    expect(await member.lookup('A', 'pair')).toBe(well?.address);
    await world.restartService();
    expect(await member.lookup('A', 'pair')).toBe(well?.address);
    expect(await closed.lookup('A', 'second')).toMatch(/^\d/);
    expect(await member.lookup('A', 'outside.example')).toBe('203.0.113.53');
  });
});
