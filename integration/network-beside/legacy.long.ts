import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Contender } from '../bench/contender.ts';
import { startDockerd } from '../bench/dockerd.ts';
import { startTestDaemon, type TestDaemon, waitUntil } from '../kit/daemon.ts';
import { leftovers } from '../kit/ledger.ts';
import { HOST, HOST_6, NEIGHBOUR, NEIGHBOUR_6, Place } from '../network-reach/world.ts';

const IP = '/usr/sbin/ip';
const WORK_MS = 120_000;
const PROGRAMS = ['iptables', 'ip6tables'] as const;

/** A host whose Docker was started with the legacy tables: its chains are where nft does not see them. */
describe('beside a dockerd with iptables-legacy', { timeout: WORK_MS }, () => {
  const directory = mkdtempSync('/tmp/tsc-legacy-');
  let host: Place;
  let neighbour: Place;
  let dockerd: Contender;
  let daemon: TestDaemon;

  beforeAll(async () => {
    [host, neighbour] = await Promise.all([Place.make(), Place.make()]);
    await host.run(IP, 'link', 'add', 'lan0', 'type', 'veth', 'peer', 'name', 'lan0', 'netns', String(neighbour.pid));
    for (const [place, four, six] of [
      [host, HOST, HOST_6],
      [neighbour, NEIGHBOUR, NEIGHBOUR_6],
    ] as const) {
      await place.run(IP, 'addr', 'add', `${four}/24`, 'dev', 'lan0');
      await place.run(IP, 'addr', 'add', `${six}/64`, 'dev', 'lan0', 'nodad');
      await place.run(IP, 'link', 'set', 'lan0', 'up');
    }
    const programs = join(directory, 'bin');
    mkdirSync(programs);
    for (const each of PROGRAMS) symlinkSync(`/usr/sbin/${each}-legacy`, join(programs, each));
    // It drops what is forwarded when it is the one that switches forwarding on.
    for (const family of ['ipv4/ip_forward', 'ipv6/conf/all/forwarding'])
      await host.run('/bin/sh', '-c', `echo 0 > /proc/sys/net/${family}`);
    mkdirSync(join(directory, 'run'));
    dockerd = await startDockerd(directory, join(directory, 'run'), { network: host.path, programs });
    // Without an IPv6 network of its own it leaves this one to others.
    await host.run('/usr/sbin/ip6tables-legacy', '-P', 'FORWARD', 'DROP');
    daemon = await startTestDaemon({ networkNamespace: host.path });
    await daemon.importBusybox();
    await network('front', {});
    await network('named', { Options: { 'com.docker.network.bridge.name': 'mybridge' } });
    await start('front', 8080);
    await start('named', 8081);
  }, WORK_MS);
  afterAll(async () => {
    await dockerd.stop();
    host.close();
    neighbour.close();
    rmSync(directory, { recursive: true, force: true });
  }, WORK_MS);

  async function network(Name: string, options: object): Promise<void> {
    expect((await daemon.call('POST', '/networks/create', { Name, EnableIPv6: true, ...options })).status).toBe(201);
  }

  async function start(name: string, port: number): Promise<void> {
    const body = {
      Image: 'busybox',
      Cmd: ['sh', '-c', `while :; do echo ${name} | nc -l -p 80; done`],
      ExposedPorts: { '80/tcp': {} },
      HostConfig: { Init: true, NetworkMode: name, PortBindings: { '80/tcp': [{ HostPort: String(port) }] } },
    };
    expect((await daemon.call('POST', `/containers/create?name=${name}`, body)).status).toBe(201);
    expect((await daemon.call('POST', `/containers/${name}/start`)).status).toBe(204);
  }

  const rules = (program: string, chain: string) => host.run(`/usr/sbin/${program}-legacy`, '-S', chain);
  const reached = async (): Promise<readonly string[]> =>
    Promise.all([8080, 8081].flatMap((port) => [HOST, HOST_6].map((address) => neighbour.probe('tcp', address, port))));
  const works = async () => (await reached()).join() === 'front,front,named,named';

  it('whose chain drops what it does not know: ours is let through, of both families, also on a bridge whose name was given', async () => {
    for (const program of PROGRAMS) expect(await rules(program, 'FORWARD')).toContain('-P FORWARD DROP');
    expect(await host.run('/usr/sbin/nft', 'list', 'tables')).not.toMatch(/table ip6? filter/);
    await waitUntil(10_000, works);
    for (const program of PROGRAMS) expect((await rules(program, 'DOCKER-USER')).match(/tscompose:/g)).toHaveLength(4);
  });

  it('its chain is flushed: ours are let through again', async () => {
    for (const program of PROGRAMS) await host.run(`/usr/sbin/${program}-legacy`, '-F', 'DOCKER-USER');
    expect(await works()).toBe(false);
    await waitUntil(20_000, works);
  });

  it('we go: its chain is as it was', async () => {
    for (const program of PROGRAMS)
      await host.run(
        `/usr/sbin/${program}-legacy`,
        '-A',
        'DOCKER-USER',
        '-s',
        program === 'iptables' ? HOST : HOST_6,
        '-j',
        'RETURN',
      );
    expect(leftovers(await daemon.stop())).toEqual([]);
    for (const program of PROGRAMS) {
      expect(await rules(program, 'DOCKER-USER')).not.toContain('tscompose');
      expect(await rules(program, 'DOCKER-USER')).toContain('-j RETURN');
    }
  });
});
