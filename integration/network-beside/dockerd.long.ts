import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Contender } from '../bench/contender.ts';
import { startDockerd } from '../bench/dockerd.ts';
import { waitUntil } from '../kit/daemon.ts';
import { busyboxRootfsBytes } from '../kit/images.ts';
import { runPeer } from '../kit/peers.ts';
import { guard } from '../network-firewall/guard.ts';
import { HOST, INSTANCE, type Member, NEIGHBOUR, World } from '../network-reach/world.ts';

const NFT = '/usr/sbin/nft';
const WORK_MS = 120_000;

/** One host with a dockerd and us: whoever comes, restarts or goes, the other's containers are reached and reach the outside. */
describe('beside a dockerd on one host', { timeout: WORK_MS }, () => {
  let world: World;
  let directory: string;
  let dockerd: Contender;
  let ours: Member | undefined;
  let guardian: ReturnType<typeof guard> | undefined;

  async function docker(...args: string[]): Promise<string> {
    return dockerWith(undefined, ...args);
  }

  async function dockerWith(input: Uint8Array | undefined, ...args: string[]): Promise<string> {
    const options = { host: `unix://${dockerd.socket}`, home: directory, timeoutMs: 60_000, ...(input && { input }) };
    const result = await runPeer(dockerd.docker[0] ?? '', args, options);
    if (result.status !== 0) throw new Error(`docker ${args.join(' ')}: ${result.stderr}`);
    return result.stdout.trim();
  }

  async function start(): Promise<void> {
    dockerd = await startDockerd(directory, join(directory, 'run'), { network: world.host.path });
  }

  /** Their container with a published port, made once and started again. */
  async function startTheirs(): Promise<void> {
    const made = await docker('ps', '-aq', '--filter', 'name=theirs');
    if (made !== '') return void (await docker('start', 'theirs'));
    const serve = 'while :; do echo theirs | nc -l -p 80; done';
    await docker('run', '-d', '--name', 'theirs', '-p', '9090:80', 'busybox', 'sh', '-c', serve);
  }

  async function startOurs(): Promise<void> {
    await world.service.create({ name: 'front' });
    const ports = [{ containerPort: 80, protocol: 'tcp', hostPort: 8080 }] as const;
    ours = await world.start('ours', [{ network: 'front' }], ports);
    guardian = guard(world);
  }

  /** The firewall without us: no counters, no handles, nothing that carries our name. */
  async function theirFirewall(): Promise<string> {
    const listed = JSON.parse(await world.host.run(NFT, '-j', 'list', 'ruleset')).nftables as Record<
      string,
      Record<string, unknown>
    >[];
    const text = listed
      .filter((item) => !JSON.stringify(item).includes(INSTANCE))
      .map((item) =>
        JSON.stringify(item, (key, value) =>
          ['handle', 'packets', 'bytes', 'index'].includes(key) ? undefined : value,
        ),
      );
    return text.join('\n');
  }

  async function theirsWork(): Promise<void> {
    await waitUntil(10_000, async () => (await world.neighbour.probe('tcp', HOST, 9090)).startsWith('theirs'));
    const said = await docker('exec', 'theirs', 'sh', '-c', `nc -w 5 ${NEIGHBOUR} 7000 </dev/null`);
    expect(said).toBe(`neighbour saw ${HOST}`);
  }

  async function oursWork(): Promise<void> {
    expect(await world.neighbour.probe('tcp', HOST, 8080)).toBe(`ours saw ${NEIGHBOUR}`);
    expect(await world.host.probe('tcp', '127.0.0.1', 8080)).toMatch(/^ours saw /);
    expect(await ours?.probe('tcp', NEIGHBOUR, 7000)).toBe(`neighbour saw ${HOST}`);
    expect(await ours?.lookup('A', 'ours')).toBe(ours?.address);
  }

  async function dropsForwarded(): Promise<void> {
    expect(await world.host.run(NFT, 'list', 'chain', 'ip', 'filter', 'FORWARD')).toContain('policy drop');
  }

  beforeAll(async () => {
    world = await World.make();
    directory = mkdtempSync('/tmp/tsc-beside-');
    mkdirSync(join(directory, 'run'));
    await world.serve('neighbour', world.neighbour, 7000);
    // It drops what is forwarded when it is the one that switches forwarding on.
    for (const family of ['ipv4/ip_forward', 'ipv6/conf/all/forwarding'])
      await world.host.run('/bin/sh', '-c', `echo 0 > /proc/sys/net/${family}`);
    await start();
    await dockerWith(await busyboxRootfsBytes(), 'import', '-', 'busybox');
    await startTheirs();
  }, WORK_MS);

  afterAll(async () => {
    await guardian?.stop();
    await docker('rm', '-f', 'theirs').catch(() => '');
    await dockerd.stop();
    await world.close();
    rmSync(directory, { recursive: true, force: true });
  }, WORK_MS);

  it('it comes first: its firewall is as it was, but for our two rules where others put theirs', async () => {
    await theirsWork();
    await dropsForwarded();
    const before = await theirFirewall();
    await startOurs();
    await oursWork();
    await theirsWork();
    expect(await theirFirewall()).toBe(before);
    expect(await world.host.run(NFT, 'list', 'chain', 'ip', 'filter', 'DOCKER-USER')).toContain(
      `tscompose:${INSTANCE}`,
    );
  });

  it('containers of one do not reach those of the other but by published ports', async () => {
    const theirs = await docker('inspect', '-f', '{{.NetworkSettings.IPAddress}}', 'theirs');
    expect(await ours?.probe('tcp', theirs, 80)).toBe('timeout');
    expect(await ours?.probe('tcp', HOST, 9090)).toMatch(/^theirs/);
    const reached = (address: string, port: number) =>
      docker('exec', 'theirs', 'sh', '-c', `nc -w 2 ${address} ${port} </dev/null || echo no`);
    expect(await reached(ours?.address ?? '', 80)).toBe('no');
    expect(await reached(HOST, 8080)).toMatch(/^ours saw /);
  });

  it('a port of the other is refused, and docker-proxy named', async () => {
    const ports = [{ containerPort: 80, protocol: 'tcp', hostPort: 9090 }] as const;
    await expect(world.start('late', [{ network: 'front' }], ports)).rejects.toMatchObject({
      message: expect.stringMatching(/already used by docker-proxy \(process \d+\)/),
    });
    await expect(docker('run', '--rm', '-p', '8080:80', 'busybox', 'true')).rejects.toThrow(/8080.*(in use|allocated)/);
  });

  it('neither takes a subnet of the other', async () => {
    await docker('network', 'create', 'more');
    await world.service.create({ name: 'more' });
    const theirs = await docker('network', 'inspect', '-f', '{{(index .IPAM.Config 0).Subnet}}', 'bridge', 'more');
    const subnets = world.service.list().flatMap(({ pool }) => pool?.subnet ?? []);
    expect(theirs.split('\n').filter((subnet) => subnets.includes(subnet))).toEqual([]);
    await world.service.remove('more');
    await docker('network', 'rm', 'more');
  });

  it('it restarts: ours go on, its own come back', async () => {
    await dockerd.stop();
    await oursWork();
    await start();
    await oursWork();
    await startTheirs();
    await theirsWork();
    await oursWork();
    await dropsForwarded();
  });

  it('we restart: nothing of either changes', async () => {
    const before = await theirFirewall();
    await world.restartService();
    await oursWork();
    await theirsWork();
    expect(await theirFirewall()).toBe(before);
  });

  it('it comes after us, on a host without its tables', async () => {
    await dockerd.stop();
    for (const family of ['ip', 'ip6'])
      for (const table of ['filter', 'nat', 'raw', 'mangle'])
        await world.host.run(NFT, 'delete', 'table', family, table).catch(() => '');
    await oursWork();
    await start();
    await startTheirs();
    await theirsWork();
    await waitUntil(5_000, async () => (await ours?.probe('tcp', NEIGHBOUR, 7000)) === `neighbour saw ${HOST}`);
    await oursWork();
  });

  it('we go: its firewall is what it made, and its containers work', async () => {
    const before = await theirFirewall();
    await guardian?.stop();
    guardian = undefined;
    await world.stopServers();
    for (const { endpoints } of world.service.list())
      for (const { containerId } of endpoints) await world.service.release(containerId);
    await world.service.remove('front');
    await world.service.dismantle();
    expect(await theirFirewall()).toBe(before);
    expect(await world.host.run(NFT, 'list', 'ruleset')).not.toContain(INSTANCE);
    // The neighbour's server went with ours.
    await world.serve('neighbour', world.neighbour, 7000);
    await theirsWork();
  });
});
