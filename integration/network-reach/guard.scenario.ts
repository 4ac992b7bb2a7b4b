import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../kit/keeper.ts';
import { HOST, INSTANCE, type Member, NEIGHBOUR, World } from './world.ts';

const IP = '/usr/sbin/ip';
const NFT = '/usr/sbin/nft';

describe('what stays shut', () => {
  let world: World;
  let web: Member;

  beforeAll(async () => {
    world = await World.make();
    await world.service.create({ name: 'front' });
    web = await world.start(
      'web',
      [{ network: 'front' }],
      [
        { containerPort: 80, protocol: 'tcp', hostPort: 8080 },
        { containerPort: 80, protocol: 'tcp', hostPort: 8081, hostIp: '127.0.0.1' },
      ],
    );
  });
  afterAll(() => world.close());

  it('N02: a neighbour with a route reaches neither a published nor an unpublished port directly', async () => {
    const subnet = world.service.inspect('front').pool?.subnet ?? '';
    await world.neighbour.run(IP, 'route', 'add', subnet, 'via', HOST);
    expect(await world.neighbour.probe('tcp', web.address, 80)).toBe('timeout');
    expect(await world.neighbour.probe('udp', web.address, 80)).toBe('timeout');
    const gateway = world.service.inspect('front').pool?.gateway ?? '';
    await world.serve('host', world.host, 7001);
    expect(await world.neighbour.probe('tcp', gateway, 7001)).toBe('timeout');
    await world.neighbour.run(IP, 'route', 'del', subnet);
  });

  it('N01: a neighbour does not reach what is published on 127.0.0.1', async () => {
    const { neighbour, host } = world;
    // A neighbour that routes loopback addresses to the host.
    await neighbour.run('/bin/sh', '-c', 'echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet');
    await neighbour.run(IP, 'addr', 'del', '127.0.0.1/8', 'dev', 'lo');
    await neighbour.run(IP, 'route', 'add', '127.0.0.1/32', 'via', HOST, 'src', NEIGHBOUR);
    await host.run('/bin/sh', '-c', 'echo 1 > /proc/sys/net/ipv4/conf/lan0/route_localnet');
    expect(await neighbour.probe('tcp', '127.0.0.1', 8081)).toBe('timeout');
    expect(await neighbour.probe('tcp', '127.0.0.1', 8080)).toBe('timeout');
    expect(await host.probe('tcp', '127.0.0.1', 8081)).toMatch(/^web saw /);
  });

  it('N04: traffic through the host to another address is not redirected', async () => {
    // The container asks the neighbour for the port that is published on the host.
    await world.serve('neighbour', world.neighbour, 8080);
    expect(await web.probe('tcp', NEIGHBOUR, 8080)).toBe(`neighbour saw ${HOST}`);
  });

  it('N08: no link-local IPv6 address appears on bridges, links or in containers', async () => {
    for (const place of [world.host, web]) {
      const shown = await place.run(IP, '-6', '-o', 'addr', 'show', 'scope', 'link');
      expect(shown.split('\n').filter((line) => line !== '' && !line.includes('lan0'))).toEqual([]);
    }
  });

  it('N09: a container cannot send with an address of somebody else', async () => {
    await web.run(IP, 'addr', 'add', '198.51.100.7/32', 'dev', 'eth0');
    await web.run(
      IP,
      'route',
      'add',
      NEIGHBOUR,
      'via',
      world.service.inspect('front').pool?.gateway ?? '',
      'src',
      '198.51.100.7',
    );
    await world.serve('neighbour', world.neighbour, 7000);
    expect(await web.probe('tcp', NEIGHBOUR, 7000)).toBe('timeout');
    await web.run(IP, 'route', 'del', NEIGHBOUR);
  });

  it('the name server is nobody, without privileges and confined; it comes back when it dies', async () => {
    const pid = async () => (await world.link.list()) as unknown as { readonly names_pid: number };
    const first = (await pid()).names_pid;
    const status = await readFile(`/proc/${first}/status`, 'utf8');
    for (const line of [
      'Uid:\t65534\t65534\t65534\t65534',
      'NoNewPrivs:\t1',
      'Seccomp:\t2',
      'CapEff:\t0000000000000000',
    ])
      expect(status).toContain(line);
    process.kill(first, 'SIGKILL');
    await until('another name server', async () => ![0, first].includes((await pid()).names_pid));
    await until('its answers', async () => (await web.lookup('A', 'web')) === web.address);
  });

  it('N03: a lost table is loaded again', async () => {
    expect(await world.service.checkFirewall()).toBe(false);
    await world.host.run(NFT, 'flush', 'ruleset');
    expect(await world.service.checkFirewall()).toBe(true);
    expect(await world.host.probe('tcp', '127.0.0.1', 8081)).toMatch(/^web saw /);
  });

  it('N13, N14: names never become rules, foreign interfaces are refused', async () => {
    await expect(world.service.create({ name: 'x; flush ruleset' })).rejects.toMatchObject({ code: 'network/invalid' });
    const named = (bridge: string) => ({ name: 'adopt', options: { 'com.docker.network.bridge.name': bridge } });
    await expect(world.service.create(named('lan0'))).rejects.toMatchObject({ code: 'network/conflict' });
    await expect(world.service.create(named('x"; drop'))).rejects.toMatchObject({ code: 'network/invalid' });
    expect(world.service.list().map((network) => network.name)).not.toContain('adopt');
  });

  it('N13: names of containers, aliases and labels reach no rule', async () => {
    const hostile = '"; flush ruleset; #';
    await world.service.create({ name: 'labelled', labels: { [hostile]: hostile } });
    const member = await world.start(
      hostile,
      [{ network: 'labelled', aliases: [hostile] }],
      [{ containerPort: 80, protocol: 'tcp', hostPort: 8085 }],
    );
    expect(await world.host.run(NFT, 'list', 'ruleset')).not.toContain('flush');
    expect(await world.host.probe('tcp', '127.0.0.1', 8085)).toContain(' saw ');
    await world.service.release(member.id);
    await world.service.remove('labelled');
  });

  it('N12: published ports stay taken while there is no daemon', async () => {
    // The world's service is the daemon; the keeper alone holds the ports.
    expect(await world.holds()).toContainEqual(`${web.id}/tcp/0.0.0.0/8080`);
    const script = "require('node:net').createServer().on('error', (e) => console.log(e.code)).listen(8080, '0.0.0.0')";
    expect((await world.host.run(process.execPath, '-e', script)).trim()).toBe('EADDRINUSE');
  });

  it('a restarted daemon finds everything and drops nothing', async () => {
    const id = web.id;
    const before = world.service.endpoints(id);
    const report = await world.restartService();
    expect(report).toEqual({ alive: [id], notes: [] });
    expect(world.service.endpoints(id)).toEqual(before);
    expect(world.service.boundPorts(id)).toHaveLength(3);
    expect(await world.host.probe('tcp', '127.0.0.1', 8080)).toMatch(/^web saw /);
    expect(await web.lookup('A', 'web')).toBe(web.address);
  });

  it('a stopped container keeps its address, a restarted one gets it again', async () => {
    await world.service.closeSandbox(web.id);
    expect(await world.host.probe('tcp', '127.0.0.1', 8080)).toBe('ECONNREFUSED');
    const sandbox = await world.service.openSandbox(web.id);
    expect(sandbox.endpoints[0]?.address).toBe(web.address);
  });

  it('removal leaves no link, no element and no table', async () => {
    const { service, host } = world;
    await expect(service.remove('front')).rejects.toMatchObject({ code: 'network/in-use' });
    await world.stopServers();
    await service.release(web.id);
    await service.create({ name: 'second' });
    await service.removeAll(['front', 'second']);
    await service.dismantle();
    // The kernel takes a namespace apart in its own time.
    await until('the end of every link', async () => !(await host.run(IP, '-o', 'link')).includes(INSTANCE));
    expect(await host.run(NFT, 'list', 'tables')).not.toContain(INSTANCE);
  });
});
