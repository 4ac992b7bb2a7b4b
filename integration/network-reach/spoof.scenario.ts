import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../kit/keeper.ts';
import { type Member, World } from './world.ts';

const IP = '/usr/sbin/ip';

/** Sends one forged frame: ARP or a neighbour advertisement that `address` is at `mac`, to the victim alone, from `source`. */
const FORGE = `
import socket, struct, sys
kind, source, mac, address, victim_mac, victim = sys.argv[1:7]
raw = lambda text: bytes.fromhex(text.replace(':', ''))
pton = lambda text: socket.inet_pton(socket.AF_INET6 if ':' in text else socket.AF_INET, text)
if kind == 'arp':
    kind, body = 0x0806, struct.pack('!HHBBH', 1, 0x0800, 6, 4, 2) + raw(mac) + pton(address) + raw(victim_mac) + pton(victim)
else:
    kind = 0x86dd
    data = struct.pack('!BBHI', 136, 0, 0, 0x60000000) + pton(address) + b'\\x02\\x01' + raw(mac)
    sender = pton(sys.argv[7])
    text = sender + pton(victim) + struct.pack('!II', len(data), 58) + data
    total = sum(struct.unpack('!%dH' % (len(text) // 2), text))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    data = data[:2] + struct.pack('!H', ~total & 0xffff) + data[4:]
    body = struct.pack('!IHBB', 0x60000000, len(data), 58, 255) + sender + pton(victim) + data
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(('eth0', 0))
wire.send(raw(victim_mac) + raw(source) + struct.pack('!H', kind) + body)
`;

interface Trio {
  readonly hostile: Member;
  readonly victim: Member;
  readonly peer: Member;
}

describe('a hostile container on the wire', () => {
  let world: World;
  const trios = new Map<string, Trio>();

  const macOf = async (member: Member): Promise<string> =>
    JSON.parse(await member.run(IP, '-j', 'link', 'show', 'dev', 'eth0'))[0].address;
  /** What the victim takes an address to be at. */
  const believed = async (victim: Member, address: string): Promise<string> =>
    JSON.parse(await victim.run(IP, '-j', 'neigh', 'show', 'to', address))[0]?.lladdr ?? '';
  const portOf = async (mac: string): Promise<string | undefined> => {
    const entries = JSON.parse(await world.host.run('/usr/sbin/bridge', '-j', 'fdb', 'show'));
    return entries.find((entry: { mac: string; state?: string }) => entry.mac === mac && entry.state !== 'permanent')
      ?.ifname;
  };
  const trio = (network: string): Trio => {
    const found = trios.get(network);
    if (!found) throw new Error(`nobody is on ${network}`);
    return found;
  };
  const forge = async (
    { hostile, victim }: Trio,
    wish: { readonly kind: 'arp' | 'na'; readonly address: string; readonly source?: string; readonly sender?: string },
  ): Promise<void> => {
    const [own, theirs] = await Promise.all([macOf(hostile), macOf(victim)]);
    const to = wish.kind === 'arp' ? victim.address : victim.address6;
    const sender = wish.sender ?? hostile.address6;
    const words = [wish.kind, wish.source ?? own, own, wish.address, theirs, to, sender];
    await hostile.run('/usr/bin/python3', '-c', FORGE, ...words);
    // What was sent before has arrived when this is answered.
    expect(await hostile.probe('tcp', victim.address, 80)).toMatch(/^victim saw /);
  };

  beforeAll(async () => {
    world = await World.make();
    for (const [network, options] of [
      ['plain', {}],
      ['checked', { 'dev.tscompose.bridge.source_check': 'true' }],
    ] as const) {
      await world.service.create({ name: network, options, enableIpv6: true });
      const join = (name: string) => world.start(name, [{ network }]);
      const made = { hostile: await join('hostile'), victim: await join('victim'), peer: await join('peer') };
      trios.set(network, made);
      // A neighbour's word counts at once, however new what is known is.
      await made.victim.run('/bin/sh', '-c', 'echo 0 > /proc/sys/net/ipv4/neigh/eth0/locktime');
      for (const address of [made.peer.address, made.peer.address6])
        expect(await made.victim.probe('tcp', address, 80)).toMatch(/^peer saw /);
    }
  });
  afterAll(() => world.close());

  it('without the check a neighbour is impersonated: the attack works', async () => {
    const plain = trio('plain');
    const own = await macOf(plain.hostile);
    await until('the wrong address', async () => {
      await forge(plain, { kind: 'arp', address: plain.peer.address });
      return (await believed(plain.victim, plain.peer.address)) === own;
    });
    await until('the wrong IPv6 address', async () => {
      await forge(plain, { kind: 'na', address: plain.peer.address6 });
      return (await believed(plain.victim, plain.peer.address6)) === own;
    });
    // Hardware addresses cannot be taken even so.
    const theirs = await macOf(plain.peer);
    const port = await portOf(theirs);
    await forge(plain, { kind: 'arp', address: plain.hostile.address, source: theirs });
    expect(port).toBeDefined();
    expect(await portOf(theirs)).toBe(port);
  });

  it('N09: source_check leaves the victim unaffected by forged ARP, neighbour advertisements and hardware addresses', async () => {
    const checked = trio('checked');
    const { victim, peer, hostile } = checked;
    const theirs = await macOf(peer);
    const port = await portOf(theirs);
    const gateway = world.service.inspect('checked').pool?.gateway ?? '';
    await victim.probe('udp', gateway, 9);
    const before = await believed(victim, gateway);
    for (const address of [peer.address, gateway]) await forge(checked, { kind: 'arp', address });
    await forge(checked, { kind: 'na', address: peer.address6 });
    await forge(checked, { kind: 'na', address: peer.address6, sender: peer.address6 });
    await forge(checked, { kind: 'arp', address: hostile.address, source: theirs });
    expect(await believed(victim, peer.address)).toBe(theirs);
    expect(await believed(victim, peer.address6)).toBe(theirs);
    expect(await believed(victim, gateway)).toBe(before);
    expect(await portOf(theirs)).toBe(port);
    expect(await victim.probe('tcp', peer.address, 80)).toMatch(/^peer saw /);
    expect(await victim.probe('tcp', peer.address6, 80)).toMatch(/^peer saw /);
    expect(await hostile.probe('tcp', peer.address6, 80)).toMatch(/^peer saw /);
  });

  it('the check follows the containers of the network, and goes with the last', async () => {
    const { victim, peer, hostile } = trio('checked');
    const table = () => world.host.run('/usr/sbin/nft', 'list', 'tables', 'bridge');
    const late = await world.start('late', [{ network: 'plain' }]);
    await world.service.connect('checked', late.id, 'late', {});
    const there = world.service.endpoints(late.id).find(({ networkName }) => networkName === 'checked');
    const rules = () => world.host.run('/usr/sbin/nft', 'list', 'table', 'bridge', 'tscnet_egress');
    expect(await rules()).toContain(`"${there?.hostInterface}"`);
    await world.restartService();
    expect(await rules()).toContain(`"${there?.hostInterface}"`);
    await world.service.disconnect('checked', late.id);
    expect(await rules()).not.toContain(`"${there?.hostInterface}"`);
    for (const { id } of [victim, peer, hostile]) await world.service.release(id);
    expect(await table()).not.toContain('tscnet_egress');
  });
});
