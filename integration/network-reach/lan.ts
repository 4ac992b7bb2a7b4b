import type { AttachmentSpec } from '../../src/engine/network/index.ts';
import type { Ask } from './policy.ts';
import { HOST, HOST_6, type Member, NEIGHBOUR, NEIGHBOUR_6, Place, World } from './world.ts';

const IP = '/usr/sbin/ip';
const NFT = '/usr/sbin/nft';

/** The intruder's link: its address and the host's, of both families. */
const INTRUDER = ['203.0.113.2', '2001:db8:1::2'] as const;
const HOST_AT_INTRUDER = ['203.0.113.1', '2001:db8:1::1'] as const;
/** A server beyond the neighbour, which routes. */
const REMOTE = ['198.51.100.2', '2001:db8:2::2'] as const;
const ROUTER = ['198.51.100.1', '2001:db8:2::1'] as const;

/**
 * A world with everyone who may ask or be asked: an honest neighbour that routes to a remote server, and an intruder on another
 * link who routes loopback and container addresses to the host.
 */
export class Lan {
  readonly world: World;
  readonly intruder: Place;
  readonly remote: Place;
  readonly members = new Map<string, Member>();

  private constructor(world: World, intruder: Place, remote: Place) {
    this.world = world;
    this.intruder = intruder;
    this.remote = remote;
  }

  static async make(): Promise<Lan> {
    const [world, intruder, remote] = await Promise.all([World.make(), Place.make(), Place.make()]);
    const lan = new Lan(world, intruder, remote);
    await link(world.host, HOST_AT_INTRUDER, intruder, INTRUDER, 'lan1');
    await link(world.neighbour, ROUTER, remote, REMOTE, 'wan0');
    await addRoutes(remote, ROUTER);
    await addRoutes(intruder, HOST_AT_INTRUDER);
    await addRoutes(world.host, [NEIGHBOUR, NEIGHBOUR_6]);
    await addRoutes(world.neighbour, [HOST, HOST_6]);
    await world.neighbour.run(
      '/bin/sh',
      '-c',
      'cd /proc/sys/net && echo 1 > ipv4/ip_forward && echo 1 > ipv6/conf/all/forwarding',
    );
    // What is refused is refused at once, however many ask.
    await Promise.all(
      [world.host, world.neighbour, intruder, remote].map((place) =>
        place.run('/bin/sh', '-c', 'cd /proc/sys/net && echo 0 > ipv4/icmp_ratelimit && echo 0 > ipv6/icmp/ratelimit'),
      ),
    );
    // Loopback addresses travel on the wire, and the host would take them in: what an attacker hopes for (N01).
    await intruder.run('/bin/sh', '-c', 'echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet');
    await intruder.run(IP, 'addr', 'del', '127.0.0.1/8', 'dev', 'lo');
    await intruder.run(IP, 'route', 'add', '127.0.0.1/32', 'via', HOST_AT_INTRUDER[0], 'src', INTRUDER[0]);
    await world.host.run('/bin/sh', '-c', 'echo 1 > /proc/sys/net/ipv4/conf/lan1/route_localnet');
    for (const [name, place] of [
      ['neighbour', world.neighbour],
      ['remote', remote],
    ] as const)
      for (const port of [7000, 8080]) await world.serve(name, place, port);
    await world.serve('host', world.host, 7001);
    // A UDP server on every address answers from the nearest one; these answer from the one that was asked.
    for (const address of [HOST, HOST_6]) await world.serve('host', world.host, 7002, address);
    return lan;
  }

  /** What Docker leaves on a host: FORWARD drops what nobody accepts, and DOCKER-USER is there for others. */
  async dropForwards(): Promise<void> {
    for (const family of ['ip', 'ip6']) {
      const chains =
        'chain DOCKER-USER { }; chain FORWARD { type filter hook forward priority filter; policy drop; jump DOCKER-USER; }';
      await this.world.host.run(NFT, `table ${family} filter { ${chains}; }`);
    }
  }

  /** Whether bridged packets meet the firewall too. Nothing to choose where the kernel module is absent. */
  async filterBridged(on: boolean): Promise<void> {
    const setting = on ? 1 : 0;
    const script = `cd /proc/sys/net/bridge 2>/dev/null || exit 0; for key in ip ip6; do echo ${setting} > bridge-nf-call-"$key"tables; done`;
    await this.world.host.run('/bin/sh', '-c', script);
  }

  async add(
    spec: Pick<AttachmentSpec, 'name' | 'endpoints'>,
    ports: Parameters<World['start']>[2] = [],
  ): Promise<void> {
    this.members.set(spec.name, await this.world.start(spec.name, spec.endpoints, ports));
  }

  place(name: string): Place {
    const { world, intruder, remote } = this;
    const known: Readonly<Record<string, Place>> = { host: world.host, neighbour: world.neighbour, intruder, remote };
    const place = known[name] ?? this.members.get(name);
    if (!place) throw new Error(`nobody is called ${name}`);
    return place;
  }

  /** Addresses of both families by the names the policy uses. A container on several networks: `both` on its first, `both@back` on another. */
  addresses(): ReadonlyMap<string, readonly [string, string]> {
    const gateways = this.world.service
      .list()
      .flatMap(({ name, pool, pool6 }) =>
        pool ? [[`${name}-gateway`, [pool.gateway, pool6?.gateway ?? '']] as const] : [],
      );
    const members = [...this.members].flatMap(([name, { id }]) =>
      this.world.service
        .endpoints(id)
        .map(
          ({ networkName, address, address6 }, index) =>
            [index === 0 ? name : `${name}@${networkName}`, [address, address6 ?? '']] as const,
        ),
    );
    return new Map<string, readonly [string, string]>([
      ['host', [HOST, HOST_6]],
      ['loopback', ['127.0.0.1', '::1']],
      ['neighbour', [NEIGHBOUR, NEIGHBOUR_6]],
      ['intruder', INTRUDER],
      ['remote', REMOTE],
      ['host-at-intruder', HOST_AT_INTRUDER],
      ...gateways,
      ...members,
    ]);
  }

  /** All questions at once, each asker in one process. */
  async ask(questions: readonly Ask[]): Promise<ReadonlyMap<Ask, string>> {
    const answers = new Map<Ask, string>();
    const addresses = this.addresses();
    const nameOf = (address: string) =>
      [...addresses].find(([, pair]) => pair.includes(address))?.[0] ?? `unknown ${address}`;
    const askers = [...new Set(questions.map(({ who }) => who))];
    await Promise.all(
      askers.map(async (who) => {
        const own = questions.filter((question) => question.who === who);
        const wanted = own.map(({ family, protocol, target, port, dropped }) => {
          const address = addresses.get(target)?.[family === 4 ? 0 : 1];
          if (!address) throw new Error(`${target} has no IPv${family} address`);
          return { protocol, address, port, wait: dropped ? 2500 : 20_000 };
        });
        const text = await this.place(who).run(process.execPath, '-e', PROBES, JSON.stringify(wanted));
        const heard = JSON.parse(text) as readonly string[];
        for (const [index, question] of own.entries()) {
          const answer = heard[index] ?? '';
          answers.set(
            question,
            answer.replace(/saw (.*)/, (_, address: string) => `sees ${nameOf(address)}`),
          );
        }
      }),
    );
    return answers;
  }

  async close(): Promise<void> {
    await this.world.close();
    this.intruder.close();
    this.remote.close();
  }
}

/** Prints what was heard of each question; a UDP packet is sent again, as the first may wait for a neighbour's address. */
const PROBES = `
const ask = ({ protocol, address, port, wait }) => new Promise((done) => {
  setTimeout(() => done('drop'), wait);
  const failed = (e) => done({ ECONNREFUSED: 'refused', ENETUNREACH: 'no route' }[e.code] ?? e.code);
  if (protocol === 'tcp') {
    let text = '';
    require('node:net').connect({ host: address, port })
      .on('data', (chunk) => { text += chunk; }).on('end', () => done(text)).on('error', failed);
    return;
  }
  const socket = require('node:dgram').createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (m) => done(String(m))).on('error', failed);
  socket.connect(port, address, (refused) => {
    if (refused) return failed(refused);
    const send = () => socket.send('hello', (e) => e && failed(e));
    send();
    setInterval(send, 400);
  });
});
Promise.all(JSON.parse(process.argv[1]).map(ask)).then((heard) => { console.log(JSON.stringify(heard)); process.exit(0); });
`;

async function link(
  a: Place,
  [a4, a6]: readonly [string, string],
  b: Place,
  [b4, b6]: readonly [string, string],
  name: string,
): Promise<void> {
  await a.run(IP, 'link', 'add', name, 'type', 'veth', 'peer', 'name', name, 'netns', String(b.pid));
  for (const [place, four, six] of [
    [a, a4, a6],
    [b, b4, b6],
  ] as const) {
    await place.run(IP, 'addr', 'add', `${four}/24`, 'dev', name);
    await place.run(IP, 'addr', 'add', `${six}/64`, 'dev', name, 'nodad');
    await place.run(IP, 'link', 'set', name, 'up');
  }
}

async function addRoutes(place: Place, via: readonly [string, string]): Promise<void> {
  for (const gateway of via) await place.run(IP, 'route', 'add', 'default', 'via', gateway);
}
