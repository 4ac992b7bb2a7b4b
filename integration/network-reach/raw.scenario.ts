import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ATTACK } from '../kit/bundle.ts';
import { until } from '../kit/keeper.ts';
import { HOST, HOST_6, INSTANCE, type Member, NEIGHBOUR, NEIGHBOUR_6, type Place, World } from './world.ts';

// Packets that no stack would send: made by hand, past every route of the sender, with whatever source. The counters of the
// receivers' kernels tell whether one got in; a packet that may, sent behind them on the same way, tells when to look.
const IP = '/usr/sbin/ip';
const NFT = '/usr/sbin/nft';
const HOSTILE = 6666;
const HONEST = 6667;

/** What is sent, and where from: an interface of the sender, and the hardware address it goes to. */
interface Way {
  readonly place: Place;
  readonly device: string;
  readonly mac: string;
}
type Packet = readonly [source: string, target: string, port: number];

async function macOf(place: Place, device: string): Promise<string> {
  return JSON.parse(await place.run(IP, '-j', 'link', 'show', 'dev', device))[0].address;
}

async function send({ place, device, mac }: Way, sourcePort: number, packets: readonly Packet[]): Promise<void> {
  for (const [source, target, port] of packets)
    for (const protocol of ['tcp', 'udp'])
      await place.run(ATTACK, 'packet', device, mac, protocol, source, String(sourcePort), target, String(port));
}

async function watch(place: Place): Promise<void> {
  const counters = [HOSTILE, HONEST].map((port) => `meta l4proto { tcp, udp } th sport ${port} counter`).join('; ');
  await place.run(NFT, `table inet spy { chain in { type filter hook input priority 300; ${counters}; }; }`);
}

/** Packets that got in since {@link watch}: hostile and honest ones. */
async function arrived(place: Place): Promise<readonly [number, number]> {
  const { nftables } = JSON.parse(await place.run(NFT, '-j', 'list', 'chain', 'inet', 'spy', 'in'));
  const counts: number[] = nftables.flatMap((item: { rule?: { expr: { counter?: { packets: number } }[] } }) =>
    (item.rule?.expr ?? []).flatMap(({ counter }) => (counter ? [counter.packets] : [])),
  );
  return [counts[0] ?? 0, counts[1] ?? 0];
}

describe('packets made by hand', () => {
  let world: World;
  let web: Member;
  let db: Member;
  let other: Member;
  let closed: Member;
  let peer: Member;
  let lan: Way;
  let inside: Way;
  let sealed: Way;
  const gateways = (name: string) => {
    const { pool, pool6 } = world.service.inspect(name);
    return [pool?.gateway ?? '', pool6?.gateway ?? ''] as const;
  };
  const receivers = () => ({ host: world.host, neighbour: world.neighbour, web, db, other, closed, peer });

  /** Who got in of the packets, once an honest one behind them has. */
  async function intruded(
    way: Way,
    packets: readonly Packet[],
    { honest, to, over = way }: { readonly honest: Packet; readonly to: Place; readonly over?: Way },
  ): Promise<readonly string[]> {
    const named = Object.entries(receivers());
    const before = await Promise.all(named.map(([, place]) => arrived(place)));
    const [, seen] = await arrived(to);
    await send(way, HOSTILE, packets);
    await send(over, HONEST, [honest]);
    await until('the honest packets', async () => (await arrived(to))[1] > seen);
    const after = await Promise.all(named.map(([, place]) => arrived(place)));
    return named.map(([name]) => name).filter((_, index) => after[index]?.[0] !== before[index]?.[0]);
  }

  beforeAll(async () => {
    world = await World.make();
    for (const name of ['front', 'back']) await world.service.create({ name, enableIpv6: true });
    await world.service.create({ name: 'sealed', enableIpv6: true, internal: true });
    const ports = ['127.0.0.1', '::1'].map((hostIp) => ({ containerPort: 80, hostPort: 8081, hostIp }));
    web = await world.start(
      'web',
      [{ network: 'front' }],
      [{ containerPort: 80, hostPort: 8080 }, ...ports].flatMap((port) =>
        (['tcp', 'udp'] as const).map((protocol) => ({ ...port, protocol })),
      ),
    );
    db = await world.start('db', [{ network: 'front' }]);
    other = await world.start('other', [{ network: 'back' }]);
    closed = await world.start('closed', [{ network: 'sealed' }]);
    peer = await world.start('peer', [{ network: 'sealed' }]);
    const bridge = (name: string) => world.service.inspect(name).bridge ?? '';
    lan = { place: world.neighbour, device: 'lan0', mac: await macOf(world.host, 'lan0') };
    inside = { place: db, device: 'eth0', mac: await macOf(world.host, bridge('front')) };
    sealed = { place: closed, device: 'eth0', mac: await macOf(world.host, bridge('sealed')) };
    // The worst host: its LAN takes packets from and for loopback, and looks at no way back.
    await world.host.run(
      '/bin/sh',
      '-c',
      'cd /proc/sys/net/ipv4/conf && echo 1 > lan0/route_localnet && echo 1 > lan0/accept_local && for i in */rp_filter; do echo 0 > $i; done',
    );
    for (const place of Object.values(receivers())) await watch(place);
  });
  afterAll(() => world.close());

  /** From the LAN to what is not for it. */
  const fromLan = (): readonly Packet[] => [
    ...[7001, 8080, 8081].map((port) => [NEIGHBOUR, '127.0.0.1', port] as const),
    ...[7001, 8080].map((port) => ['127.0.0.1', HOST, port] as const),
    ['127.0.0.1', '127.0.0.1', 8081],
    [NEIGHBOUR_6, '::1', 8081],
    ['::1', HOST_6, 8080],
    ...[NEIGHBOUR, gateways('front')[0], db.address].map((source) => [source, web.address, 80] as const),
    ...[NEIGHBOUR_6, gateways('front')[1], db.address6].map((source) => [source, web.address6, 80] as const),
    ...gateways('front').map((gateway, index) => [index ? NEIGHBOUR_6 : NEIGHBOUR, gateway, 7001] as const),
    [NEIGHBOUR, closed.address, 80],
    [NEIGHBOUR_6, closed.address6, 80],
    // As a container, to what a neighbour may have and to what only containers may.
    ...[db, closed].flatMap(({ address, address6 }) =>
      [8080, 7001].flatMap((port) => [[address, HOST, port] as const, [address6, HOST_6, port] as const]),
    ),
  ];

  /** From a container that may make packets. */
  const fromInside = (): readonly Packet[] => [
    ...[7001, 8080, 8081].map((port) => [db.address, '127.0.0.1', port] as const),
    ['127.0.0.1', gateways('front')[0], 7001],
    ['127.0.0.1', HOST, 8080],
    [db.address6, '::1', 8081],
    ['::1', gateways('front')[1], 7001],
    ...[NEIGHBOUR, other.address, closed.address].map((source) => [source, gateways('front')[0], 7001] as const),
    ...[NEIGHBOUR_6, other.address6, closed.address6].map((source) => [source, gateways('front')[1], 7001] as const),
    ...[other.address, closed.address, gateways('back')[0]].map((target) => [db.address, target, 80] as const),
    ...[other.address6, closed.address6, gateways('back')[1]].map((target) => [db.address6, target, 80] as const),
    [other.address, NEIGHBOUR, 7000],
    [other.address6, NEIGHBOUR_6, 7000],
  ];

  it('N01, N02: of a neighbour: neither for loopback nor straight to containers, whoever it says it is', async () => {
    expect(await intruded(lan, fromLan(), { honest: [NEIGHBOUR, HOST, 8080], to: web })).toEqual([]);
  });

  it('N01, N05, N09: of a container: neither for loopback of the host nor for other networks, nor in their name', async () => {
    const honest = [db.address, gateways('front')[0], 7001] as const;
    expect(await intruded(inside, fromInside(), { honest, to: world.host })).toEqual([]);
  });

  it('N06: of a container on an internal network: nobody beyond it', async () => {
    const packets = [NEIGHBOUR, HOST, '127.0.0.1', '255.255.255.255', '224.0.0.1', web.address, ...gateways('front')]
      .filter((target) => !target.includes(':'))
      .flatMap((target) => [closed.address, peer.address, NEIGHBOUR].map((source) => [source, target, 7000] as const));
    const six = [NEIGHBOUR_6, HOST_6, '::1', 'ff02::1', web.address6, ...gateways('sealed').slice(1)].map(
      (target) => [closed.address6, target, 7000] as const,
    );
    const over = { ...sealed, mac: await macOf(peer, 'eth0') };
    const honest = [closed.address, peer.address, 80] as const;
    expect(await intruded(sealed, [...packets, ...six], { honest, to: peer, over })).toEqual([]);
  });

  it('all of it would get in without the rules', async () => {
    for (const chain of ['guard', 'into_bridge', 'out_of_bridge', 'entering'])
      await world.host.run(NFT, 'flush', 'chain', 'inet', INSTANCE, chain);
    expect(await intruded(lan, fromLan(), { honest: [NEIGHBOUR, HOST, 8080], to: web })).toEqual(
      expect.arrayContaining(['host', 'web', 'closed']),
    );
    const honest = [db.address, gateways('front')[0], 7001] as const;
    expect(await intruded(inside, fromInside(), { honest, to: world.host })).toEqual(
      expect.arrayContaining(['host', 'neighbour', 'other', 'closed']),
    );
    expect(await world.service.checkFirewall()).toBe(true);
  });
});
