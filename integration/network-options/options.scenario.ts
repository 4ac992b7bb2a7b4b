import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOST, type Member, NEIGHBOUR, NEIGHBOUR_6, Place, World } from '../network-reach/world.ts';

const IP = '/usr/sbin/ip';
const BRIDGE = '/usr/sbin/bridge';
const OPTION = 'com.docker.network.bridge';
/** A server behind a router that is not the host. */
const BEYOND = '198.51.100.9';

describe('driver options of bridge networks', () => {
  let world: World;
  let one: Member;
  const bridge = (name: string) => world.service.inspect(name).bridge ?? '';
  const create = (name: string, options: Record<string, string>, rest: object = {}) =>
    world.service.create({ name, options, ...rest });

  beforeAll(async () => {
    world = await World.make();
    await world.serve('neighbour', world.neighbour, 7000);
  });
  afterAll(() => world.close());

  it('enable_icc=false: containers reach the outside and published ports, not each other', async () => {
    await create('apart', { [`${OPTION}.enable_icc`]: 'false' }, { enableIpv6: true });
    const port = { containerPort: 80, protocol: 'tcp', hostPort: 8080 } as const;
    one = await world.start('one', [{ network: 'apart' }], [port]);
    const two = await world.start('two', [{ network: 'apart' }]);
    const flags = JSON.parse(await world.host.run(BRIDGE, '-j', '-d', 'link', 'show'));
    const ports = flags.filter((link: { master?: string }) => link.master === bridge('apart'));
    expect(ports.map((link: { isolated: boolean }) => link.isolated)).toEqual([true, true]);
    // No answer at all, or nobody found at that address.
    for (const address of [one.address, one.address6])
      expect(await two.probe('tcp', address, 80)).toMatch(/^(timeout|EHOSTUNREACH)$/);
    // Nor over the gateway.
    const gateway = world.service.inspect('apart').pool?.gateway ?? '';
    await two.run(IP, 'route', 'add', one.address, 'via', gateway);
    expect(await two.probe('tcp', one.address, 80)).toBe('timeout');
    await two.run(IP, 'route', 'del', one.address);
    expect(await two.probe('tcp', NEIGHBOUR, 7000)).toBe(`neighbour saw ${HOST}`);
    // Not asserted: one's published port from two. Where bridge netfilter is on, that too would go from port to port.
    expect(await world.neighbour.probe('tcp', HOST, 8080)).toMatch(/^one saw /);
    expect(await world.host.probe('tcp', one.address, 80)).toMatch(/^one saw /);
    expect(await two.lookup('A', 'one')).toBe(one.address);
  });

  it('enable_ip_masquerade=false: packets leave under the address of the container, in both families', async () => {
    await create('plain', { [`${OPTION}.enable_ip_masquerade`]: 'false' }, { enableIpv6: true });
    const { pool, pool6 } = world.service.inspect('plain');
    await world.neighbour.run(IP, 'route', 'add', pool?.subnet ?? '', 'via', HOST);
    await world.neighbour.run(IP, 'route', 'add', pool6?.subnet ?? '', 'via', '2001:db8::1');
    const member: Member = await world.start('plain', [{ network: 'plain' }]);
    expect(await member.probe('tcp', NEIGHBOUR, 7000)).toBe(`neighbour saw ${member.address}`);
    expect(await member.probe('tcp', NEIGHBOUR_6, 7000)).toBe(`neighbour saw ${member.address6}`);
    // Answers come in, questions do not; nor from another network.
    for (const address of [member.address, member.address6]) {
      expect(await world.neighbour.probe('tcp', address, 80)).toBe('timeout');
      expect(await one.probe('tcp', address, 80)).toBe('timeout');
    }
    await world.serve('host', world.host, 7001);
    expect(await world.neighbour.probe('tcp', pool?.gateway ?? '', 7001)).toBe('timeout');
  });

  it('host_binding_ipv4: where ports are published that name no address', async () => {
    await create('local', { [`${OPTION}.host_binding_ipv4`]: '127.0.0.1' });
    const published = [
      { containerPort: 80, protocol: 'tcp', hostPort: 8090 },
      { containerPort: 80, protocol: 'tcp', hostPort: 8091, hostIp: '0.0.0.0' },
    ] as const;
    const member = await world.start('local', [{ network: 'local' }], published);
    expect(world.service.boundPorts(member.id).map((port) => port.hostIp)).toEqual(['127.0.0.1', '0.0.0.0']);
    expect(await world.host.probe('tcp', '127.0.0.1', 8090)).toMatch(/^local saw /);
    expect(await world.neighbour.probe('tcp', HOST, 8090)).toBe('ECONNREFUSED');
    expect(await world.neighbour.probe('tcp', HOST, 8091)).toMatch(/^local saw /);
  });

  it('gateway mode isolated: the bridge has no address in that family', async () => {
    const modes = { [`${OPTION}.gateway_mode_ipv4`]: 'isolated', [`${OPTION}.gateway_mode_ipv6`]: 'isolated' };
    await create('isolated', modes, { internal: true, enableIpv6: true });
    const [first, second] = [
      await world.start('first', [{ network: 'isolated' }]),
      await world.start('second', [{ network: 'isolated' }]),
    ];
    const [link] = JSON.parse(await world.host.run(IP, '-j', 'addr', 'show', 'dev', bridge('isolated')));
    expect(link.addr_info).toEqual([]);
    expect(await first.probe('tcp', second.address, 80)).toMatch(/^second saw /);
    expect(await first.probe('tcp', second.address6, 80)).toMatch(/^second saw /);
    await expect(create('open', { [`${OPTION}.gateway_mode_ipv4`]: 'isolated' })).rejects.toMatchObject({
      code: 'network/invalid',
    });
  });

  it('two containers have the two addresses of a /31 to themselves, or one of them beside its gateway', async () => {
    const isolated = { [`${OPTION}.gateway_mode_ipv4`]: 'isolated' };
    await create('pair', isolated, { internal: true, pools: [{ subnet: '10.98.0.0/31' }] });
    const [one, two] = [
      await world.start('one', [{ network: 'pair' }]),
      await world.start('two', [{ network: 'pair' }]),
    ];
    expect([one.address, two.address]).toEqual(['10.98.0.0', '10.98.0.1']);
    expect(await one.probe('tcp', two.address, 80)).toMatch(/^two saw /);
    expect(await two.probe('tcp', one.address, 80)).toMatch(/^one saw /);
    await create('link', {}, { pools: [{ subnet: '10.98.0.2/31' }] });
    const single = await world.start('single', [{ network: 'link' }]);
    expect(single.address).toBe('10.98.0.3');
    expect(await single.probe('tcp', NEIGHBOUR, 7000)).toMatch(/ saw /);
    await expect(world.start('third', [{ network: 'link' }])).rejects.toMatchObject({ code: 'network/exhausted' });
  });

  it('gateway mode nat-unprotected: every port of one family is open to whoever has a route, not to other networks', async () => {
    await create('bare', { [`${OPTION}.gateway_mode_ipv6`]: 'nat-unprotected' }, { enableIpv6: true });
    const { pool, pool6 } = world.service.inspect('bare');
    await world.neighbour.run(IP, 'route', 'add', pool?.subnet ?? '', 'via', HOST);
    await world.neighbour.run(IP, 'route', 'add', pool6?.subnet ?? '', 'via', '2001:db8::1');
    const bare = await world.start('bare', [{ network: 'bare' }]);
    expect(await world.neighbour.probe('tcp', bare.address6, 80)).toBe(`bare saw ${NEIGHBOUR_6}`);
    expect(await world.neighbour.probe('udp', bare.address6, 80)).toBe(`bare saw ${NEIGHBOUR_6}`);
    expect(await world.neighbour.probe('tcp', bare.address, 80)).toBe('timeout');
    expect(await one.probe('tcp', bare.address6, 80)).toBe('timeout');
    expect(await world.neighbour.probe('tcp', pool6?.gateway ?? '', 7001)).toBe('timeout');
    expect(await bare.probe('tcp', NEIGHBOUR_6, 7000)).toBe('neighbour saw 2001:db8::1');
  });

  it('gateway mode routed: no translation; published ports and pings at the address of the container, nothing else', async () => {
    const modes = { [`${OPTION}.gateway_mode_ipv4`]: 'routed', [`${OPTION}.gateway_mode_ipv6`]: 'routed' };
    await create('routed', modes, { enableIpv6: true });
    const { pool, pool6 } = world.service.inspect('routed');
    await world.neighbour.run(IP, 'route', 'add', pool?.subnet ?? '', 'via', HOST);
    await world.neighbour.run(IP, 'route', 'add', pool6?.subnet ?? '', 'via', '2001:db8::1');
    const published = { containerPort: 80, protocol: 'tcp', hostPort: 8099 } as const;
    const member = await world.start('routed', [{ network: 'routed' }], [published]);
    expect(world.service.boundPorts(member.id)).toEqual(
      ['0.0.0.0', '::'].map((hostIp) => ({ containerPort: 80, protocol: 'tcp', hostIp, hostPort: 0 })),
    );
    expect(await world.holds()).not.toContainEqual(expect.stringContaining(member.id));
    for (const [address, source] of [
      [member.address, NEIGHBOUR],
      [member.address6, NEIGHBOUR_6],
    ] as const) {
      expect(await world.neighbour.probe('tcp', address, 80)).toBe(`routed saw ${source}`);
      expect(await world.neighbour.probe('udp', address, 80)).toBe('timeout');
      expect(await world.neighbour.ping(address)).toBe(true);
      // From another network as from outside.
      expect(await one.probe('tcp', address, 80)).toMatch(/^routed saw /);
    }
    expect(await world.neighbour.probe('tcp', HOST, 8099)).toBe('ECONNREFUSED');
    expect(await member.probe('tcp', NEIGHBOUR, 7000)).toBe(`neighbour saw ${member.address}`);
    expect(await member.probe('tcp', NEIGHBOUR_6, 7000)).toBe(`neighbour saw ${member.address6}`);
    await world.restartService();
    expect(await world.neighbour.probe('tcp', member.address, 80)).toMatch(/^routed saw /);
    await world.service.withdraw(member.id);
    expect(await world.neighbour.probe('tcp', member.address, 80)).toBe('timeout');
  });

  it('one family routed, the other translated', async () => {
    await create('mixed', { [`${OPTION}.gateway_mode_ipv6`]: 'routed' }, { enableIpv6: true });
    await world.neighbour.run(
      IP,
      'route',
      'add',
      world.service.inspect('mixed').pool6?.subnet ?? '',
      'via',
      '2001:db8::1',
    );
    const published = { containerPort: 80, protocol: 'tcp', hostPort: 8098 } as const;
    const member = await world.start('mixed', [{ network: 'mixed' }], [published]);
    expect(world.service.boundPorts(member.id).map(({ hostIp, hostPort }) => [hostIp, hostPort])).toEqual([
      ['0.0.0.0', 8098],
      ['::', 0],
    ]);
    expect(await world.neighbour.probe('tcp', HOST, 8098)).toBe(`mixed saw ${NEIGHBOUR}`);
    expect(await world.neighbour.probe('tcp', member.address6, 80)).toBe(`mixed saw ${NEIGHBOUR_6}`);
    expect(await member.probe('tcp', NEIGHBOUR, 7000)).toBe(`neighbour saw ${HOST}`);
  });

  /** A router behind the bridge: a container's way out that does not lead over the host. */
  async function addRouter(name: string, gateway: string): Promise<Place> {
    const router = await Place.make();
    const ends = ['link', 'add', 'far0', 'type', 'veth', 'peer', 'name', 'far0', 'netns', String(router.pid)];
    await world.host.run(IP, ...ends);
    await world.host.run(IP, 'link', 'set', 'far0', 'master', bridge(name), 'up');
    await router.run(IP, 'addr', 'add', gateway, 'dev', 'far0');
    await router.run(IP, 'addr', 'add', `${BEYOND}/32`, 'dev', 'lo');
    await router.run(IP, 'link', 'set', 'far0', 'up');
    await world.serve('router', router, 7000);
    return router;
  }

  it.each([0, 1])(
    'inhibit_ipv4: the gateway is somebody behind the bridge (bridge netfilter %i)',
    async (netfilter) => {
      const settings = '/proc/sys/net/bridge/bridge-nf-call-iptables';
      await world.host.run('/bin/sh', '-c', `[ ! -e ${settings} ] || echo ${netfilter} > ${settings}`);
      const pools = [{ subnet: '172.31.77.0/24', gateway: '172.31.77.77' }];
      await create('inhibited', { [`${OPTION}.inhibit_ipv4`]: 'true' }, { pools });
      const member = await world.start('inhibited', [{ network: 'inhibited' }]);
      const router = await addRouter('inhibited', '172.31.77.77/24');
      try {
        const [link] = JSON.parse(await world.host.run(IP, '-j', 'addr', 'show', 'dev', bridge('inhibited')));
        expect(link.addr_info).toEqual([]);
        expect(await member.run(IP, 'route', 'show', 'default')).toContain('default via 172.31.77.77 dev eth0');
        expect(await member.probe('tcp', BEYOND, 7000)).toBe(`router saw ${member.address}`);
        // The other way round under an address that is none of the network's.
        await router.run(IP, 'route', 'add', `${member.address}/32`, 'dev', 'far0', 'src', BEYOND);
        expect(await router.probe('tcp', member.address, 80)).toBe(`inhibited saw ${BEYOND}`);
        // To the host, and past it, nobody gets under such an address.
        await router.run(IP, 'neigh', 'add', '172.31.77.250', 'lladdr', link.address, 'dev', 'far0');
        const past = ['via', '172.31.77.250', 'src', BEYOND];
        for (const target of [HOST, NEIGHBOUR]) await router.run(IP, 'route', 'add', `${target}/32`, ...past);
        await world.host.run(IP, 'route', 'add', `${BEYOND}/32`, 'dev', bridge('inhibited'));
        expect(await router.probe('tcp', HOST, 7001)).toBe('timeout');
        expect(await router.probe('tcp', NEIGHBOUR, 7000)).toBe('timeout');
      } finally {
        router.close();
        await world.host.run(IP, 'link', 'del', 'far0');
        await world.service.release(member.id);
        await world.service.remove('inhibited');
      }
    },
  );

  it('host_ipv4, host_ipv6: containers go out under that address of the host', async () => {
    for (const address of ['192.0.2.77/24', '2001:db8::77/64'])
      await world.host.run(IP, 'addr', 'add', address, 'dev', 'lan0', ...(address.includes(':') ? ['nodad'] : []));
    const options = { 'com.docker.network.host_ipv4': '192.0.2.77', 'com.docker.network.host_ipv6': '2001:db8::77' };
    await create('under', { ...options, 'com.docker.network.enable_ipv6': 'true' });
    const member = await world.start('under', [{ network: 'under' }]);
    expect(await member.probe('tcp', NEIGHBOUR, 7000)).toBe('neighbour saw 192.0.2.77');
    expect(await member.probe('udp', NEIGHBOUR, 7000)).toBe('neighbour saw 192.0.2.77');
    expect(await member.probe('tcp', NEIGHBOUR_6, 7000)).toBe('neighbour saw 2001:db8::77');
    expect(await one.probe('tcp', NEIGHBOUR, 7000)).toBe(`neighbour saw ${HOST}`);
    for (const options of [{ 'com.docker.network.host_ipv4': '::1' }, { 'com.docker.network.enable_ipv6': 'perhaps' }])
      await expect(create('wrong', options)).rejects.toMatchObject({ code: 'network/invalid' });
    await create('six', { 'com.docker.network.enable_ipv4': 'false', 'com.docker.network.enable_ipv6': 'true' });
    expect(world.service.inspect('six').pool).toBeUndefined();
  });

  it('auxiliary address DefaultGatewayIPv4: the way out leads there, and the bridge keeps its own', async () => {
    const auxiliary = { DefaultGatewayIPv4: '172.31.78.254' };
    await create('second', {}, { pools: [{ subnet: '172.31.78.0/24', auxiliary }] });
    const member = await world.start('second', [{ network: 'second' }]);
    const router = await addRouter('second', '172.31.78.254/24');
    try {
      const [link] = JSON.parse(await world.host.run(IP, '-j', 'addr', 'show', 'dev', bridge('second')));
      expect(link.addr_info).toMatchObject([{ local: '172.31.78.1', prefixlen: 24 }]);
      expect(await member.run(IP, 'route', 'show', 'default')).toContain('default via 172.31.78.254 dev eth0');
      expect(await member.probe('tcp', BEYOND, 7000)).toBe(`router saw ${member.address}`);
    } finally {
      router.close();
    }
  });

  it('trusted_host_interfaces: from there published ports, and only they, are reached at the container too', async () => {
    const trust = (names: string) => ({ [`${OPTION}.trusted_host_interfaces`]: names });
    await create('trusting', trust('wg0:lan0'), { enableIpv6: true });
    await create('elsewhere', trust('lan1'), { enableIpv6: true });
    const ports = (hostPort: number) => [
      { containerPort: 80, protocol: 'tcp', hostPort, hostIp: '127.0.0.1' } as const,
    ];
    const six = [{ containerPort: 80, protocol: 'tcp', hostPort: 8096, hostIp: '2001:db8::1' } as const];
    const member = await world.start('trusting', [{ network: 'trusting' }], [...ports(8096), ...six]);
    const other = await world.start('elsewhere', [{ network: 'elsewhere' }], ports(8097));
    const plain = await world.start('unpublished', [{ network: 'trusting' }]);
    for (const name of ['trusting', 'elsewhere']) {
      const { pool, pool6 } = world.service.inspect(name);
      await world.neighbour.run(IP, 'route', 'add', pool?.subnet ?? '', 'via', HOST);
      await world.neighbour.run(IP, 'route', 'add', pool6?.subnet ?? '', 'via', '2001:db8::1');
    }
    expect(await world.neighbour.probe('tcp', member.address, 80)).toBe(`trusting saw ${NEIGHBOUR}`);
    expect(await world.neighbour.probe('tcp', member.address6, 80)).toBe(`trusting saw ${NEIGHBOUR_6}`);
    expect(await world.neighbour.probe('udp', member.address, 80)).toBe('timeout');
    expect(await world.neighbour.probe('tcp', plain.address, 80)).toBe('timeout');
    expect(await world.neighbour.probe('tcp', plain.address6, 80)).toBe('timeout');
    expect(await world.neighbour.probe('tcp', other.address, 80)).toBe('timeout');
    expect(await one.probe('tcp', member.address, 80)).toBe('timeout');
    await world.service.withdraw(member.id);
    expect(await world.neighbour.probe('tcp', member.address, 80)).toBe('timeout');
  });

  it('names of interfaces: a prefix for the network, one for the endpoint', async () => {
    await create('named', { 'com.docker.network.container_iface_prefix': 'lan', [`${OPTION}.name`]: 'tscnet-named' });
    const ifname = (name: string) => ({ driverOptions: { 'com.docker.network.endpoint.ifname': name } });
    const member = await world.start('named', [{ network: 'named' }, { network: 'local', ...ifname('up.link') }]);
    expect(bridge('named')).toBe('tscnet-named');
    expect(world.service.endpoints(member.id).map((endpoint) => endpoint.interface)).toEqual(['lan0', 'up.link']);
    const sysctls = { 'com.docker.network.endpoint.sysctls': 'net.ipv4.conf.IFNAME.log_martians=1' };
    const joined = { driverOptions: { ...ifname('late.link').driverOptions, ...sysctls } };
    await world.service.connect('plain', member.id, 'named', joined);
    const value = await member.run('/bin/cat', '/proc/sys/net/ipv4/conf/late.link/log_martians');
    expect(value).toBe('1\n');
    // What docker run --network name=…,driver-opt=… makes of it.
    const small = { 'com.docker.network.endpoint.sysctls': 'net.ipv4.conf.ifname.log_martians=1' };
    const { interface: name } = await world.service.connect('routed', member.id, 'named', { driverOptions: small });
    expect(await member.run('/bin/cat', `/proc/sys/net/ipv4/conf/${name}/log_martians`)).toBe('1\n');
    const refused = (options: Record<string, string>) =>
      world.service.connect('apart', member.id, 'named', { driverOptions: options });
    for (const name of ['lan0', 'lo', 'all', '../x', 'sixteen-letters-'])
      await expect(refused(ifname(name).driverOptions)).rejects.toMatchObject({
        code: name === 'lan0' ? 'network/conflict' : 'network/invalid',
      });
    for (const setting of ['net.ipv4.ip_forward=1', 'net.ipv4.conf.all.x=1', 'kernel.x=1', 'net.ipv4.conf.IFNAME.x'])
      await expect(refused({ 'com.docker.network.endpoint.sysctls': setting })).rejects.toMatchObject({
        code: 'network/invalid',
      });
    await expect(refused({ 'com.docker.network.endpoint.dnsnames': 'x' })).rejects.toMatchObject({
      code: 'network/unsupported',
      message: expect.stringContaining('dnsnames'),
    });
  });

  it('refuses by name what is not carried out', async () => {
    const wrong: readonly [string, string, string][] = [
      [`${OPTION}.gateway_mode_ipv4`, 'open', 'network/invalid'],
      [`${OPTION}.gateway_mode_ipv6`, 'route', 'network/invalid'],
      [`${OPTION}.inhibit_ipv4`, 'perhaps', 'network/invalid'],
      [`${OPTION}.trusted_host_interfaces`, 'eth0:../x', 'network/invalid'],
      [`${OPTION}.default_bridge`, 'true', 'network/unsupported'],
      [`${OPTION}.host_binding_ipv4`, '::1', 'network/invalid'],
      [`${OPTION}.enable_icc`, 'perhaps', 'network/invalid'],
      ['com.docker.network.container_iface_prefix', 'a/b', 'network/invalid'],
      ['com.docker.network.driver.mtu', '1000000', 'network/invalid'],
    ];
    for (const [key, value, code] of wrong)
      await expect(create('wrong', { [key]: value })).rejects.toMatchObject({
        code,
        message: expect.stringContaining(key),
      });
    const low = { 'com.docker.network.driver.mtu': '1279' };
    await expect(create('wrong', low, { enableIpv6: true })).rejects.toMatchObject({ code: 'network/invalid' });
  });
});
