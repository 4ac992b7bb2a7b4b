import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOST, type Member, NEIGHBOUR, NEIGHBOUR_6, World } from '../network-reach/world.ts';

const IP = '/usr/sbin/ip';
const BRIDGE = '/usr/sbin/bridge';
const OPTION = 'com.docker.network.bridge';

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
      [`${OPTION}.inhibit_ipv4`, 'true', 'network/unsupported'],
      [`${OPTION}.trusted_host_interfaces`, 'eth0', 'network/unsupported'],
      [`${OPTION}.host_binding_ipv4`, '::1', 'network/invalid'],
      [`${OPTION}.enable_icc`, 'perhaps', 'network/invalid'],
      ['com.docker.network.container_iface_prefix', 'a/b', 'network/invalid'],
      ['com.docker.network.driver.mtu', '1000000', 'network/invalid'],
    ];
    for (const [key, value, code] of wrong)
      await expect(create('wrong', { [key]: value })).rejects.toMatchObject({
        code,
        message: expect.stringContaining(key.replace(/.*inhibit/, 'inhibit')),
      });
    const low = { 'com.docker.network.driver.mtu': '1279' };
    await expect(create('wrong', low, { enableIpv6: true })).rejects.toMatchObject({ code: 'network/invalid' });
  });
});
