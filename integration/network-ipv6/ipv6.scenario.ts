import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { ATTACK } from '../kit/bundle.ts';
import { identityOf, RUNTIME_BINARY, until } from '../kit/keeper.ts';
import { HOST, HOST_6, INSTANCE, type Member, NEIGHBOUR_6, Place, World } from '../network-reach/world.ts';

const IP = '/usr/sbin/ip';
const NFT = '/usr/sbin/nft';

/** Elements of a set in the kernel, as nft's JSON has them. */
async function elements(world: World, set: string): Promise<string> {
  const kind = set.startsWith('every') || set.startsWith('at_') ? 'map' : 'set';
  const listed = JSON.parse(await world.host.run(NFT, '-j', 'list', kind, 'inet', INSTANCE, set));
  return JSON.stringify(listed.nftables[1][kind].elem ?? []);
}

/** A setting of an interface, read inside a namespace. */
async function setting(place: Place, path: string): Promise<string> {
  return (await place.run('/bin/cat', `/proc/sys/net/${path}`)).trim();
}

async function addresses(place: Place, device: string): Promise<readonly string[]> {
  const [link] = JSON.parse(await place.run(IP, '-j', 'addr', 'show', 'dev', device));
  return link.addr_info.map((item: { local: string; prefixlen: number }) => `${item.local}/${item.prefixlen}`);
}

describe('IPv6 inside networks', () => {
  let world: World;
  let web: Member;
  let db: Member;
  let other: Member;
  let four: Member;
  let closed: Member;
  let closedPeer: Member;
  const pool6 = (name: string) => world.service.inspect(name).pool6 ?? { subnet: '', gateway: '', auxiliary: {} };
  const bridge = (name: string) => world.service.inspect(name).bridge ?? '';

  beforeAll(async () => {
    world = await World.make();
    await world.host.run('/bin/sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/lan0/accept_ra');
    await world.service.create({ name: 'front', enableIpv6: true });
    await world.service.create({
      name: 'back',
      enableIpv6: true,
      pools: [
        { subnet: '10.201.7.0/24' },
        {
          subnet: 'fd00:77::/64',
          gateway: 'fd00:77::fe',
          ipRange: 'fd00:77::100/120',
          auxiliary: { no: 'fd00:77::100' },
        },
      ],
    });
    await world.service.create({ name: 'plain' });
    await world.service.create({ name: 'sealed', internal: true, enableIpv6: true });
    await world.serve('neighbour', world.neighbour, 7000);
    await world.serve('host', world.host, 7001);
    web = await world.start(
      'web',
      [{ network: 'front', aliases: ['www'] }],
      [
        { containerPort: 80, protocol: 'tcp', hostPort: 8080 },
        { containerPort: 80, protocol: 'udp', hostPort: 8080 },
        { containerPort: 80, protocol: 'tcp', hostPort: 8082, hostIp: HOST_6 },
        { containerPort: 80, protocol: 'tcp', hostPort: 8083, hostIp: '::1' },
      ],
    );
    db = await world.start('db', [{ network: 'front' }]);
    other = await world.start('other', [{ network: 'back', ipv6: 'fd00:77::5' }]);
    four = await world.start('four', [{ network: 'plain' }], [{ containerPort: 80, protocol: 'tcp', hostPort: 8090 }]);
    closed = await world.start('closed', [{ network: 'sealed' }]);
    closedPeer = await world.start('closed-peer', [{ network: 'sealed' }]);
  });
  afterAll(() => world.close());

  it('gives addresses: chosen ones from an ULA prefix, fixed ones, from the range asked for', async () => {
    expect(pool6('front').subnet).toMatch(/^fd[0-9a-f:]+::\/64$/);
    expect(await addresses(web, 'eth0')).toContain(`${web.address6}/64`);
    expect(await addresses(other, 'eth0')).toContain('fd00:77::5/64');
    const next = await world.start('next', [{ network: 'back' }]);
    expect(next.address6).toBe('fd00:77::101');
    await expect(world.start('twice', [{ network: 'back', ipv6: 'fd00:77::5' }])).rejects.toMatchObject({
      code: 'network/conflict',
    });
    await expect(world.start('none', [{ network: 'plain', ipv6: 'fd00:77::9' }])).rejects.toMatchObject({
      code: 'network/invalid',
    });
  });

  it('keeps clear of live subnets and says whose they are', async () => {
    const create = (subnet: string) => world.service.create({ name: 'clash', enableIpv6: true, pools: [{ subnet }] });
    await expect(create('2001:db8::/80')).rejects.toMatchObject({
      code: 'network/conflict',
      message: expect.stringContaining('lan0'),
    });
    await expect(create('fd00:77::/72')).rejects.toMatchObject({ message: expect.stringContaining('network back') });
    await expect(world.service.create({ name: 'clash', pools: [{ subnet: 'fd00:78::/64' }] })).rejects.toMatchObject({
      code: 'network/invalid',
    });
  });

  it('N08: bridges and links take no router advertisements; link-local addresses are only where IPv6 is', async () => {
    for (const name of ['front', 'back', 'sealed']) {
      expect(await setting(world.host, `ipv6/conf/${bridge(name)}/accept_ra`)).toBe('0');
      expect(await addresses(world.host, bridge(name))).toContain(`${pool6(name).gateway}/64`);
    }
    expect(await setting(web, 'ipv6/conf/eth0/accept_ra')).toBe('0');
    expect(await setting(world.host, `ipv6/conf/${bridge('plain')}/disable_ipv6`)).toBe('1');
    expect(await setting(four, 'ipv6/conf/eth0/disable_ipv6')).toBe('1');
    const links = JSON.parse(await world.host.run(IP, '-j', '-6', 'addr', 'show', 'scope', 'link'));
    const named = links.map((link: { ifname?: string }) => link.ifname).filter(Boolean);
    expect(named.toSorted()).toEqual(['lan0', bridge('front'), bridge('back'), bridge('sealed')].toSorted());
    // No address waits for duplicates: every one is usable at once.
    expect(await web.run(IP, '-6', 'addr', 'show', 'tentative')).toBe('');
  });

  it('the host routes IPv6 and goes on taking the advertisements of its own routers', async () => {
    expect(await setting(world.host, 'ipv6/conf/all/forwarding')).toBe('1');
    expect(await setting(world.host, 'ipv6/conf/lan0/accept_ra')).toBe('2');
  });

  it('N08: a container that plays router changes nothing, a router of the LAN does', async () => {
    const routes = (place: Place) => place.run(IP, '-6', 'route', 'show');
    // With a listening bridge and peer, so that the rules alone have to hold.
    const open = (device: string) => `echo 2 > /proc/sys/net/ipv6/conf/${device}/accept_ra`;
    await world.host.run('/bin/sh', '-c', open(bridge('front')));
    const before = await routes(world.host);
    const peer = await routes(db);
    await web.run(ATTACK, 'advertise', 'eth0', '2001:db8:bad::');
    // Its link-local address may still be looking for duplicates.
    await until('the route of the LAN', async () => {
      await world.neighbour.run(ATTACK, 'advertise', 'lan0', '2001:db8:600d::').catch(() => '');
      return (await routes(world.host)).includes('2001:db8:600d::/64');
    });
    expect(before).not.toContain('2001:db8:600d::');
    expect(await routes(world.host)).not.toContain('2001:db8:bad::');
    expect(await routes(db)).toBe(peer);
    await world.host.run('/bin/sh', '-c', open(bridge('front')).replace('2', '0'));
    // The LAN's default route would answer for what is nowhere.
    await world.host.run('/bin/sh', '-c', open('lan0').replace('2', '0'));
    await world.host.run(IP, '-6', 'route', 'flush', 'proto', 'ra');
    await world.host.run(IP, '-6', 'addr', 'flush', 'dev', 'lan0', 'dynamic');
  });

  it('containers of one network reach each other, and the host', async () => {
    expect(await db.probe('tcp', web.address6, 80)).toBe(`web saw ${db.address6}`);
    expect(await web.probe('udp', db.address6, 80)).toBe(`db saw ${web.address6}`);
    expect(await db.probe('tcp', pool6('front').gateway, 7001)).toBe(`host saw ${db.address6}`);
    expect(await world.host.probe('tcp', web.address6, 80)).toBe(`web saw ${pool6('front').gateway}`);
  });

  it('names have both families, forwards and back', async () => {
    expect(await db.lookup('A', 'web')).toBe(web.address);
    expect(await db.lookup('AAAA', 'web')).toBe(web.address6);
    expect(await db.lookup('AAAA', 'WWW')).toBe(web.address6);
    expect(await db.lookup('PTR', web.address6)).toBe('web.front');
    expect(await db.lookup('PTR', web.address)).toBe('web.front');
    expect(await four.lookup('AAAA', 'four')).toBe('ENODATA');
    const files = await world.service.nameFiles(web.id, { hostname: 'web' });
    expect(files.hosts).toContain(`\n${web.address}\tweb\n${web.address6}\tweb\n`);
  });

  it('questions go to a name server over IPv6', async () => {
    await world.serveDns(world.neighbour);
    const asker = await world.start('asker', [{ network: 'front' }], [], { servers: [NEIGHBOUR_6] });
    expect(await asker.lookup('A', 'outside.example')).toBe('203.0.113.9');
    expect(await asker.lookup('A', 'large.example')).toBe('203.0.113.9');
  });

  it('containers reach the outside under the address of the host', async () => {
    expect(await db.probe('tcp', NEIGHBOUR_6, 7000)).toBe(`neighbour saw ${HOST_6}`);
    expect(await db.probe('udp', NEIGHBOUR_6, 7000)).toBe(`neighbour saw ${HOST_6}`);
    expect(await four.probe('tcp', NEIGHBOUR_6, 7000)).toBe('ENETUNREACH');
  });

  it('the kernel rewrites published ports: the container sees who asks', async () => {
    expect(await elements(world, 'everywhere6')).toContain(web.address6);
    expect(await elements(world, 'everywhere6')).not.toContain('8090');
    expect(await elements(world, 'at_address6')).toContain(HOST_6);
    expect(await world.neighbour.probe('tcp', HOST_6, 8080)).toBe(`web saw ${NEIGHBOUR_6}`);
    expect(await world.neighbour.probe('udp', HOST_6, 8080)).toBe(`web saw ${NEIGHBOUR_6}`);
    expect(await world.neighbour.probe('tcp', HOST_6, 8082)).toBe(`web saw ${NEIGHBOUR_6}`);
    expect(await world.neighbour.probe('tcp', HOST_6, 8083)).toBe('ECONNREFUSED');
    expect(await world.neighbour.probe('tcp', HOST, 8080)).toMatch(/^web saw /);
    // Without an address of its own a proxy carries it.
    expect(await world.neighbour.probe('tcp', HOST_6, 8090)).toMatch(/^four saw /);
  });

  it('the host reaches them on ::1 and its other addresses, containers by the address of the host', async () => {
    for (const [address, port] of [
      ['::1', 8080],
      [HOST_6, 8080],
      [HOST_6, 8082],
      ['::1', 8083],
    ] as const) {
      const answer = await world.host.probe('tcp', address, port);
      expect([address, port, answer]).toEqual([address, port, expect.stringMatching(/^web saw /)]);
    }
    for (const [address, port] of [
      ['::1', 8080],
      [HOST_6, 8080],
    ] as const)
      expect(await world.host.probe('udp', address, port)).toMatch(/^web saw /);
    // From the same network, from the container itself, from another network.
    for (const member of [db, web, other]) expect(await member.probe('tcp', HOST_6, 8080)).toMatch(/^web saw /);
  });

  it('N02, N05: networks are closed to each other and to a neighbour with a route', async () => {
    expect(await other.probe('tcp', web.address6, 80)).toBe('timeout');
    expect(await other.probe('tcp', pool6('front').gateway, 7001)).toBe('timeout');
    for (const name of ['front', 'sealed'])
      await world.neighbour.run(IP, '-6', 'route', 'add', pool6(name).subnet, 'via', HOST_6);
    expect(await world.neighbour.probe('tcp', web.address6, 80)).toBe('timeout');
    expect(await world.neighbour.probe('udp', web.address6, 80)).toBe('timeout');
    expect(await world.neighbour.probe('tcp', pool6('front').gateway, 7001)).toBe('timeout');
    expect(await world.neighbour.probe('tcp', closed.address6, 80)).toBe('timeout');
  });

  it('N09: no container sends with an address of somebody else', async () => {
    await web.run(IP, 'addr', 'add', 'fd00:77::66/128', 'dev', 'eth0', 'nodad');
    await web.run(IP, '-6', 'route', 'add', NEIGHBOUR_6, 'via', pool6('front').gateway, 'src', 'fd00:77::66');
    expect(await web.probe('tcp', NEIGHBOUR_6, 7000)).toBe('timeout');
    await web.run(IP, '-6', 'route', 'del', NEIGHBOUR_6);
    await web.run(IP, 'addr', 'del', 'fd00:77::66/128', 'dev', 'eth0');
  });

  it('an internal network has no way out or in', async () => {
    expect(await closed.probe('tcp', closedPeer.address6, 80)).toBe(`closed-peer saw ${closed.address6}`);
    expect(await closed.lookup('AAAA', 'closed-peer')).toBe(closedPeer.address6);
    expect(await closed.probe('tcp', NEIGHBOUR_6, 7000)).toBe('ENETUNREACH');
    expect(await closed.probe('tcp', pool6('sealed').gateway, 7001)).toBe('timeout');
    await closed.run(IP, '-6', 'route', 'add', 'default', 'via', pool6('sealed').gateway);
    expect(await closed.probe('tcp', NEIGHBOUR_6, 7000)).toBe('timeout');
    expect(await closed.probe('tcp', HOST_6, 8080)).toBe('timeout');
    // The host may look in, as over IPv4.
    expect(await world.host.probe('tcp', closed.address6, 80)).toMatch(/^closed saw /);
  });

  it('a live container joins and leaves a network with IPv6', async () => {
    const endpoint = await world.service.connect('front', four.id, 'four', {});
    expect(await db.lookup('AAAA', 'four')).toBe(endpoint.address6);
    expect(await db.probe('tcp', endpoint.address6 ?? '', 80)).toBe(`four saw ${db.address6}`);
    // The only way out over IPv6, whatever carries IPv4; published ports follow.
    expect(await four.probe('tcp', NEIGHBOUR_6, 7000)).toBe(`neighbour saw ${HOST_6}`);
    expect(await world.neighbour.probe('tcp', HOST_6, 8090)).toBe(`four saw ${NEIGHBOUR_6}`);
    await world.service.disconnect('front', four.id);
    expect(await four.probe('tcp', NEIGHBOUR_6, 7000)).toBe('ENETUNREACH');
    expect(await world.neighbour.probe('tcp', HOST_6, 8090)).toMatch(/^four saw /);
  });

  it('the way out goes over the network with the highest priority, one route at a time', async () => {
    const id = db.id;
    const ways = async () => JSON.parse(await db.run(IP, '-j', '-6', 'route', 'show', 'default'));
    const gateways = async () => (await ways()).map((way: { gateway: string }) => way.gateway);
    expect(await gateways()).toEqual([pool6('front').gateway]);
    await world.service.connect('back', id, 'db', { gatewayPriority: 5 });
    expect(await gateways()).toEqual(['fd00:77::fe']);
    expect(await db.probe('tcp', NEIGHBOUR_6, 7000)).toBe(`neighbour saw ${HOST_6}`);
    await world.service.disconnect('back', id);
    expect(await gateways()).toEqual([pool6('front').gateway]);
  });

  it('addresses stay over a restart of the container and of the daemon', async () => {
    await world.service.closeSandbox(db.id);
    const reopened = await world.service.openSandbox(db.id);
    expect(reopened.endpoints[0]?.address6).toBe(db.address6);
    const before = [web, other].map((member) => world.service.endpoints(member.id));
    const report = await world.restartService();
    expect(report.notes).toEqual([]);
    expect([web, other].map((member) => world.service.endpoints(member.id))).toEqual(before);
    expect(await world.neighbour.probe('tcp', HOST_6, 8080)).toBe(`web saw ${NEIGHBOUR_6}`);
    await world.host.run(NFT, 'flush', 'ruleset');
    expect(await world.service.checkFirewall()).toBe(true);
    expect(await world.neighbour.probe('tcp', HOST_6, 8080)).toBe(`web saw ${NEIGHBOUR_6}`);
  });

  it('a published UDP port follows to another container', async () => {
    const published = { containerPort: 80, protocol: 'udp', hostPort: 8095 } as const;
    const first = await world.start('first', [{ network: 'front' }], [published]);
    expect(await world.neighbour.probe('udp', HOST_6, 8095, 5555)).toBe(`first saw ${NEIGHBOUR_6}`);
    await world.service.release(first.id);
    await world.start('second', [{ network: 'front' }], [published]);
    expect(await world.neighbour.probe('udp', HOST_6, 8095, 5555)).toBe(`second saw ${NEIGHBOUR_6}`);
  });

  it('a running container of a lost keeper is taken over with its addresses, names and ports', async () => {
    const endpoints = world.service.endpoints(web.id);
    expect((await world.loseKeeper()).alive).toEqual([]);
    const { path } = await world.service.adopt(web.id, await identityOf(web.server));
    const adopted = new Place(path ?? '');
    expect(world.service.endpoints(web.id)).toEqual(endpoints);
    expect(await addresses(adopted, 'eth0')).toContain(`${web.address6}/64`);
    expect(await adopted.lookup('AAAA', 'web')).toBe(web.address6);
    expect(await world.neighbour.probe('tcp', HOST_6, 8080)).toBe(`web saw ${NEIGHBOUR_6}`);
    expect(await world.host.probe('tcp', '::1', 8083)).toMatch(/^web saw /);
  });

  it('is seen by the native dump', async () => {
    const dump = await runProgram('/usr/bin/nsenter', [`--net=${world.host.path}`, RUNTIME_BINARY, 'net', 'dump']);
    const { addresses: known, routes } = JSON.parse(dump.stdout);
    expect(known).toContainEqual({ interface: 'lan0', address: `${HOST_6}/64` });
    expect(routes).toContainEqual({ destination: pool6('back').subnet, gateway: '', interface: bridge('back') });
  });
});
