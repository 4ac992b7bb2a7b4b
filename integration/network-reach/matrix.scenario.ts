import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lan } from './lan.ts';
import { readPolicy, writePolicy } from './policy.ts';
import { HOST, HOST_6 } from './world.ts';

/**
 * Who reaches whom. web is on network front and publishes 8080 on all addresses, 8081 on 127.0.0.1 and 8082 on the host's LAN address;
 * db is beside it and publishes nothing; other is on back; both on front and back; closed and peer on the internal network sealed, where
 * sly has made itself a default route; shy and mute on quiet, which has communication between containers off, where shy publishes 8090.
 * The intruder routes 127.0.0.1 and every container address to the host. Everyone serves port 80; host 7001; neighbour and remote 7000
 * and 8080, which is also published on the host.
 */
const POLICY = `
containers of one network
db          web:80                  web sees db                 web sees db
web         db:80                   db sees web                 db sees web
both        db:80                   db sees both                db sees both
db          db:80                   db sees db                  db sees db

containers of different networks
web         other:80                drop                        drop
other       web:80                  drop                        drop
other       db:80                   drop                        drop
both        other:80                other sees both@back        other sees both@back
other       front-gateway:80        drop                        drop
other       front-gateway:7001      drop                        drop
other       front-gateway:8080      drop                        drop
mute        web:80                  drop                        drop
web         shy:80                  drop                        drop

containers to the host
db          front-gateway:7001      host sees db                host sees db
db          host:7002               host sees db                host sees db
other       back-gateway:7001       host sees other             host sees other
mute        quiet-gateway:7001      host sees mute              host sees mute
db          host:80                 refused                     refused

containers to the outside
db          neighbour:7000          neighbour sees host         neighbour sees host
db          neighbour:8080          neighbour sees host         neighbour sees host
db          remote:7000             remote sees host            remote sees host
db          intruder:80             refused                     refused
other       remote:7000             remote sees host            remote sees host
both        remote:7000             remote sees host            remote sees host
mute        remote:7000             remote sees host            remote sees host

published on all addresses
host        loopback:8080           web sees front-gateway      web sees front-gateway
host        host:8080               web sees host               web sees host
host        front-gateway:8080      web sees front-gateway      web sees front-gateway
host        host-at-intruder:8080   web sees host-at-intruder   web sees host-at-intruder
neighbour   host:8080               web sees neighbour          web sees neighbour
intruder    host-at-intruder:8080   web sees intruder           web sees intruder
intruder    host:8080               web sees intruder           web sees intruder
remote      host:8080               web sees remote             web sees remote
web         host:8080               web sees front-gateway      web sees front-gateway
db          host:8080               web sees front-gateway      web sees front-gateway
db          front-gateway:8080      web sees front-gateway      web sees front-gateway
other       host:8080               web sees front-gateway      web sees front-gateway
other       back-gateway:8080       web sees front-gateway      web sees front-gateway
mute        host:8080               web sees front-gateway      web sees front-gateway
host        loopback:8090           shy sees quiet-gateway      shy sees quiet-gateway
neighbour   host:8090               shy sees neighbour          shy sees neighbour
mute        host:8090               drop                        drop
shy         host:8090               drop                        drop

published on 127.0.0.1 and ::1
host        loopback:8081           web sees front-gateway      web sees front-gateway
host        host:8081               refused                     refused
neighbour   host:8081               refused                     refused
intruder    host-at-intruder:8081   refused                     refused
intruder    loopback:8081           drop                        -
intruder    loopback:8080           drop                        -
intruder    loopback:7001           drop                        -
web         host:8081               refused                     refused
db          host:8081               refused                     refused
db          front-gateway:8081      refused                     refused
db          loopback:8081           refused                     refused

published on one address of the host
host        host:8082               web sees host               web sees host
host        loopback:8082           refused                     refused
neighbour   host:8082               web sees neighbour          web sees neighbour
intruder    host:8082               web sees intruder           web sees intruder
intruder    host-at-intruder:8082   refused                     refused
db          host:8082               web sees front-gateway      web sees front-gateway
other       host:8082               web sees front-gateway      web sees front-gateway

published by a container without IPv6
host        loopback:8085           old sees plain-gateway      old sees plain-gateway
host        host:8085               old sees host               old sees plain-gateway
neighbour   host:8085               old sees neighbour          old sees plain-gateway
remote      host:8085               old sees remote             old sees plain-gateway
db          host:8085               old sees plain-gateway      old sees plain-gateway
intruder    loopback:8085           drop                        -

straight to containers
host        web:80                  web sees front-gateway      web sees front-gateway
host        db:80                   db sees front-gateway       db sees front-gateway
host        shy:80                  shy sees quiet-gateway      shy sees quiet-gateway
neighbour   web:80                  drop                        drop
neighbour   db:80                   drop                        drop
remote      web:80                  drop                        drop
intruder    web:80                  drop                        drop
intruder    db:80                   drop                        drop
intruder    other:80                drop                        drop
intruder    shy:80                  drop                        drop
intruder    closed:80               drop                        drop
intruder    front-gateway:7001      drop                        drop
intruder    front-gateway:8080      drop                        drop
intruder    sealed-gateway:7001     drop                        drop

communication between containers off
mute        shy:80                  drop                        drop
shy         mute:80                 drop                        drop
host        mute:80                 mute sees quiet-gateway     mute sees quiet-gateway

internal network
closed      peer:80                 peer sees closed            peer sees closed
closed      sealed-gateway:7001     drop                        drop
closed      sealed-gateway:8080     drop                        drop
closed      host:7001               no route                    no route
closed      host:8080               no route                    no route
closed      remote:7000             no route                    no route
closed      web:80                  no route                    no route
sly         peer:80                 peer sees sly               peer sees sly
sly         sealed-gateway:7001     drop                        drop
sly         host:7001               drop                        drop
sly         host:8080               drop                        drop
sly         neighbour:7000          drop                        drop
sly         remote:7000             drop                        drop
sly         web:80                  drop                        drop
web         closed:80               drop                        drop
host        closed:80               closed sees sealed-gateway  closed sees sealed-gateway
neighbour   closed:80               drop                        drop

through the host, none of our business
host        neighbour:8080          neighbour sees host         neighbour sees host
host        remote:8080             remote sees host            remote sees host
intruder    remote:7000             remote sees intruder        remote sees intruder
intruder    remote:8080             remote sees intruder        remote sees intruder
intruder    neighbour:8080          neighbour sees intruder     neighbour sees intruder
remote      intruder:80             refused                     refused
`;

const HOSTS = [
  { host: 'as it is', drops: false, bridged: true },
  { host: 'that drops what it forwards, as beside Docker', drops: true, bridged: true },
  { host: 'whose firewall does not see bridged packets', drops: false, bridged: false },
];
/** Docker's policy is about everything that is forwarded. */
const FORWARDED = /^(intruder +(remote|neighbour)|remote +intruder):.*$/gm;

describe.each(HOSTS)('the policy on a host $host', ({ drops, bridged }) => {
  let lan: Lan;

  beforeAll(async () => {
    lan = await Lan.make();
    await lan.filterBridged(bridged);
    if (drops) await lan.dropForwards();
    await fill(lan);
  });
  afterAll(() => lan.close());

  it('is what every packet meets', async () => {
    const policy = drops
      ? POLICY.replace(FORWARDED, (line) =>
          line.replace(/\S+ sees \S+|refused/g, (cell) => 'drop'.padEnd(cell.length)).trimEnd(),
        )
      : POLICY;
    const rows = readPolicy(policy);
    const heard = await lan.ask(rows.flatMap(({ asks }) => asks.flat()));
    expect(writePolicy(policy, heard, rows)).toBe(policy);
    // A port of the host that is served next door is no reason to look for the host there.
    expect(await lan.place('db').run('/usr/sbin/ip', 'route', 'get', HOST)).not.toContain('redirected');
  });
});

async function fill(lan: Lan): Promise<void> {
  const { service } = lan.world;
  for (const name of ['front', 'back']) await service.create({ name, enableIpv6: true });
  await service.create({ name: 'sealed', enableIpv6: true, internal: true });
  await service.create({ name: 'plain' });
  await service.create({
    name: 'quiet',
    enableIpv6: true,
    options: { 'com.docker.network.bridge.enable_icc': 'false' },
  });
  const on = (...networks: readonly string[]) => networks.map((network) => ({ network }));
  const both = (containerPort: number, hostPort: number, hostIp?: string) =>
    (['tcp', 'udp'] as const).map((protocol) => ({ containerPort, protocol, hostPort, ...(hostIp && { hostIp }) }));
  await lan.add({ name: 'web', endpoints: on('front') }, [
    ...both(80, 8080),
    ...both(80, 8081, '127.0.0.1'),
    ...both(80, 8081, '::1'),
    ...both(80, 8082, HOST),
    ...both(80, 8082, HOST_6),
  ]);
  await lan.add({ name: 'db', endpoints: on('front') });
  await lan.add({ name: 'other', endpoints: on('back') });
  await lan.add({ name: 'both', endpoints: on('front', 'back') });
  for (const name of ['closed', 'peer', 'sly']) await lan.add({ name, endpoints: on('sealed') });
  await lan.add({ name: 'shy', endpoints: on('quiet') }, both(80, 8090));
  await lan.add({ name: 'old', endpoints: on('plain') }, both(80, 8085));
  await lan.add({ name: 'mute', endpoints: on('quiet') });
  const { pool, pool6 } = service.inspect('sealed');
  for (const gateway of [pool?.gateway, pool6?.gateway])
    await lan.place('sly').run('/usr/sbin/ip', 'route', 'add', 'default', 'via', gateway ?? '');
}
