import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitUntil } from '../kit/daemon.ts';
import { until } from '../kit/keeper.ts';
import { peer } from '../kit/peers.ts';
import { guard } from '../network-firewall/guard.ts';
import { HOST, HOST_6, INSTANCE, type Member, NEIGHBOUR, World } from '../network-reach/world.ts';

const NFT = '/usr/sbin/nft';
const BUS = '/usr/bin/dbus-daemon';
const WORK_MS = 120_000;

const found = await peer('firewalld');
const reason = 'reason' in found ? found.reason : existsSync(BUS) ? undefined : `${BUS} is missing`;
if (reason) process.stderr.write(`firewalld is not tested: ${reason}\n`);

const BUS_CONFIG = (socket: string) => `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=${socket}</listen><auth>EXTERNAL</auth><policy context="default">
<allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/><allow user="*"/></policy></busconfig>
`;

const OPTION = 'com.docker.network.bridge';
/** Networks whose containers are reached at their own addresses. */
const OWN_ADDRESS = {
  routed: { [`${OPTION}.gateway_mode_ipv4`]: 'routed', [`${OPTION}.gateway_mode_ipv6`]: 'routed' },
  bare: { [`${OPTION}.gateway_mode_ipv4`]: 'nat-unprotected', [`${OPTION}.gateway_mode_ipv6`]: 'nat-unprotected' },
  direct: { [`${OPTION}.trusted_host_interfaces`]: 'lan0' },
} as const;

/** A firewalld with a bus of its own in the world's host. */
describe.skipIf(reason !== undefined)('under firewalld', { timeout: WORK_MS }, () => {
  const directory = mkdtempSync('/tmp/tsc-firewalld-');
  const root = join(dirname('path' in found ? found.path : ''), 'root');
  const bus = join(directory, 'bus');
  const command = join(directory, 'firewall-cmd');
  const environment = [
    `PYTHONPATH=${root}/usr/lib/python3/dist-packages`,
    `LD_LIBRARY_PATH=${root}/usr/lib/x86_64-linux-gnu`,
    `GI_TYPELIB_PATH=${root}/usr/lib/x86_64-linux-gnu/girepository-1.0`,
    `DBUS_SYSTEM_BUS_ADDRESS=unix:path=${bus}`,
  ];
  let world: World;
  let web: Member;
  let guardian: ReturnType<typeof guard> | undefined;
  const cmd = (...args: string[]) => world.host.run(command, ...args);
  const forward = () => world.host.run(NFT, 'list', 'chain', 'inet', 'firewalld', 'filter_FORWARD');

  async function routeTo(name: string): Promise<void> {
    const { pool, pool6 } = world.service.inspect(name);
    for (const [subnet, via] of [
      [pool?.subnet, HOST],
      [pool6?.subnet, HOST_6],
    ] as const)
      if (subnet) await world.neighbour.run('/usr/sbin/ip', 'route', 'add', subnet, 'via', via);
  }

  beforeAll(async () => {
    writeFileSync(
      command,
      `#!/bin/sh\nexec env ${environment.join(' ')} /usr/bin/python3 ${root}/usr/bin/firewall-cmd "$@"\n`,
    );
    chmodSync(command, 0o755);
    writeFileSync(join(directory, 'bus.conf'), BUS_CONFIG(bus));
    mkdirSync(join(directory, 'etc'));
    world = await World.make({ firewallCmd: command });
    await world.spawn(
      world.host,
      '/bin/sh',
      '-c',
      `echo ready; exec ${BUS} --config-file=${directory}/bus.conf --nofork`,
    );
    await waitUntil(20_000, async () => existsSync(bus));
    const options = `--default-config ${root}/usr/lib/firewalld --system-config ${directory}/etc --log-file ${directory}/log`;
    const start = `echo ready; exec env ${environment.join(' ')} /usr/bin/python3 ${root}/usr/sbin/firewalld --nofork --nopid ${options}`;
    await world.spawn(world.host, '/bin/sh', '-c', start);
    await waitUntil(60_000, async () => (await cmd('--state').catch(() => '')).includes('running'));
    await world.serve('neighbour', world.neighbour, 7000);
    await world.service.create({ name: 'front' });
    await world.service.create({ name: 'named', options: { 'com.docker.network.bridge.name': 'mybridge' } });
    const ports = [{ containerPort: 80, protocol: 'tcp', hostPort: 8080 }] as const;
    web = await world.start('web', [{ network: 'front' }], ports);
    for (const [name, options] of Object.entries(OWN_ADDRESS))
      await world.service.create({ name, enableIpv6: true, options });
    for (const name of ['front', ...Object.keys(OWN_ADDRESS)]) await routeTo(name);
    guardian = guard(world);
  }, WORK_MS);
  afterAll(async () => {
    await guardian?.stop();
    await world.close();
    rmSync(directory, { recursive: true, force: true });
  }, WORK_MS);

  const members: Member[] = [];
  /** Whether each answers on port 80 at its own address, of both families. */
  const areReached = async () => {
    const asked = members.flatMap(({ address, address6 }) => [address, address6]);
    const answers = await Promise.all(asked.map((address) => world.neighbour.probe('tcp', address, 80)));
    return answers.every((answer) => answer.includes(' saw '));
  };
  const works = async () =>
    (await web.probe('tcp', NEIGHBOUR, 7000)) === `neighbour saw ${HOST}` &&
    (await world.neighbour.probe('tcp', HOST, 8080)) === `web saw ${NEIGHBOUR}` &&
    (await areReached());

  it('rejects what it does not know, so that our bridges are in its zone trusted', async () => {
    expect(await world.host.run(NFT, 'list', 'chain', 'inet', 'firewalld', 'filter_FORWARD')).toContain('reject');
    expect(await cmd('--get-zone-of-interface', `${INSTANCE}-+`)).toBe('trusted\n');
    expect(await works()).toBe(true);
  });

  it('a bridge whose name was given is in it too', async () => {
    const named = await world.start('named', [{ network: 'named' }]);
    expect(await named.probe('tcp', NEIGHBOUR, 7000)).toBe(`neighbour saw ${HOST}`);
  });

  it('what gateway modes and trusted interfaces open at the containers’ own addresses is open, and nothing more', async () => {
    const ports = [{ containerPort: 80, protocol: 'tcp' }] as const;
    for (const name of Object.keys(OWN_ADDRESS))
      members.push(await world.start(name, [{ network: name }], name === 'bare' ? [] : ports));
    expect(await areReached()).toBe(true);
    for (const { address, address6 } of members.filter((member) => member !== members[1]))
      for (const each of [address, address6]) expect(await world.neighbour.probe('tcp', each, 81)).toBe('timeout');
    expect(await world.neighbour.ping(members[0]?.address ?? '')).toBe(true);
    expect(await world.neighbour.probe('tcp', web.address, 80)).not.toMatch(/saw/);
    expect(await world.service.advice()).toEqual([]);
  });

  it('so it is in its zone drop', async () => {
    await cmd('--zone=drop', '--change-interface=lan0');
    expect(await works()).toBe(true);
    await cmd('--zone=drop', '--remove-interface=lan0');
  });

  it.each(['--reload', '--complete-reload'])(
    'N03: %s takes nothing from us for long, and opens nothing',
    async (how) => {
      await cmd(how);
      await until('everything works again', works);
      expect(await world.neighbour.probe('tcp', web.address, 80)).not.toMatch(/saw/);
      expect(await cmd('--get-zone-of-interface', `${INSTANCE}-+`)).toBe('trusted\n');
    },
  );

  it('where our rules may not be, the lines to type are told, and are the right ones', async () => {
    await guardian?.stop();
    guardian = undefined;
    await cmd('--reload');
    expect(await areReached()).toBe(false);
    const [line = '', ...more] = await world.service.advice();
    expect(more).toEqual([]);
    const typed = line.slice(line.indexOf('with: ') + 6).replaceAll('firewall-cmd', command);
    await world.host.run('/bin/sh', '-c', typed);
    await cmd('--zone=trusted', `--add-interface=${INSTANCE}-+`);
    expect(await areReached()).toBe(true);
    expect(await world.service.advice()).toEqual([]);
  });

  it('leaves the zone and its chain when we go', async () => {
    await world.service.checkFirewall();
    expect(await forward()).toContain(`tscompose:${INSTANCE}`);
    for (const { endpoints } of world.service.list())
      for (const { containerId } of endpoints) await world.service.release(containerId);
    await world.service.dismantle();
    expect(await forward()).not.toContain('tscompose:');
    expect(await cmd('--zone=trusted', '--list-interfaces')).toBe('\n');
  });
});
