import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { runProgram } from '../../src/host/index.ts';
import { startTestDaemon } from '../kit/daemon.ts';
import { peer } from '../kit/peers.ts';
import { type Contender, call, callOk } from './contender.ts';
import { startDockerd } from './dockerd.ts';
import { install } from './forky.ts';
import type { Measure } from './measure.ts';
import { manyNetworks, networkCosts } from './network-costs.ts';
import { traffic } from './network-traffic.ts';
import { startPodman } from './podman.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const IMAGE = 'network-bench:latest';
/** The host as its neighbour sees it. */
export const HOST = '192.0.2.1';
export const IPERF_PORT = 5201;
export const HTTP_PORT = 8080;

const NGINX = [
  'user root; daemon off; worker_processes 1; pid /nginx.pid; error_log /dev/null; events { worker_connections 4096; }',
  'http { access_log off; keepalive_requests 100000000; server { listen 80; location / { return 200 "hello\\n"; } } }',
].join(' ');

/** One engine on a host of its own (a network namespace) with a neighbour on its LAN; paths of namespaces. */
export interface Site {
  readonly engine: Contender;
  readonly host: string;
  readonly neighbour: string;
  /** The container that asks, and the address of the one that serves on the same network. */
  readonly client: string;
  readonly server: string;
}

export interface NetworkArea {
  readonly measures: readonly { readonly measure: Measure; readonly names: readonly string[] }[];
  close(): Promise<void>;
}

/** Traffic through networks and published ports, and the cost of networks themselves; over namespaces made here only. */
export async function openNetwork(directory: string, runDirectory: string): Promise<NetworkArea> {
  // Who asks; the servers come in the image.
  await install('iperf3', 'wrk');
  const holders: ChildProcess[] = [];
  const engines: Contender[] = [];
  const close = async (): Promise<void> => {
    for (const engine of engines) {
      await removeAll(engine);
      await engine.stop();
    }
    for (const holder of holders) holder.kill('SIGKILL');
  };
  try {
    const image = await imageTar();
    const own = await namespace(holders);
    engines.push(await startOurs(own.path, join(runDirectory, 'ours')));
    engines.push(await startDockerd(directory, runDirectory));
    const podman = await startPodman(await mkdtemp(join(runDirectory, 'p-')));
    if ('reason' in podman) console.log(`podman is not compared: ${podman.reason}`);
    else engines.push(podman);
    const sites: Site[] = [];
    for (const engine of engines) {
      const host = engine === engines[0] ? own : { path: `/proc/${engine.pid}/ns/net`, pid: engine.pid };
      const neighbour = await namespace(holders);
      await link(host, neighbour);
      sites.push(await fill(engine, host.path, neighbour.path, image));
    }
    const measured = (measures: readonly Measure[], by: readonly Contender[]) =>
      measures.map((measure) => ({ measure, names: by.map(({ name }) => name) }));
    const [ours, both] = [engines.slice(0, 1), engines.slice(0, 2)];
    // Podman's networks are files until a container comes: their cost is not that of a network.
    const measures = [
      ...measured(traffic(sites), engines),
      ...measured(networkCosts(both), both),
      ...measured(manyNetworks(ours), ours),
    ];
    return { measures, close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Namespace {
  readonly path: string;
  readonly pid: number;
}

async function namespace(holders: ChildProcess[]): Promise<Namespace> {
  const holder = spawn(
    '/usr/bin/unshare',
    ['--net', '/bin/sh', '-c', 'ip link set lo up; echo ready; exec sleep 3600'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  holders.push(holder);
  await once(holder.stdout, 'data');
  return { path: `/proc/${holder.pid}/ns/net`, pid: holder.pid ?? 0 };
}

/** Runs a program in a network namespace; throws with its output when it fails. */
export async function runIn(path: string, ...command: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await runProgram('/usr/bin/nsenter', [`--net=${path}`, ...command]);
  if (status !== 0) throw new Error(`${command.join(' ')}: ${stdout}${stderr}`);
  return stdout;
}

async function link(host: Namespace, neighbour: Namespace): Promise<void> {
  await runIn(
    host.path,
    'ip',
    'link',
    'add',
    'lan0',
    'type',
    'veth',
    'peer',
    'name',
    'lan0',
    'netns',
    `${neighbour.pid}`,
  );
  for (const [path, address] of [
    [host.path, HOST],
    [neighbour.path, '192.0.2.2'],
  ] as const) {
    await runIn(path, 'ip', 'addr', 'add', `${address}/24`, 'dev', 'lan0');
    await runIn(path, 'ip', 'link', 'set', 'lan0', 'up');
  }
}

async function imageTar(): Promise<Buffer> {
  const servers = await peer('network-servers');
  if ('reason' in servers) throw new Error(servers.reason);
  const root = servers.path.slice(0, -'/usr/sbin/nginx'.length);
  const script = [
    'mkdir -p "$1/tmp" "$1/var/log/nginx" "$1/var/lib/nginx" "$1/etc"',
    'echo root:x:0:0::/:/bin/sh >"$1/etc/passwd"; echo root:x:0: >"$1/etc/group"; printf %s "$2" >"$1/bench.conf"',
    'exec tar -C "$1" -c .',
  ].join('; ');
  const tar = spawn('/bin/sh', ['-c', script, 'sh', root, NGINX], { stdio: ['ignore', 'pipe', 'inherit'] });
  return Buffer.concat(await tar.stdout.toArray());
}

async function startOurs(networkNamespace: string, runDirectory: string): Promise<Contender> {
  const daemon = await startTestDaemon({ flags: ['--log-level=warn'], runDirectory, networkNamespace });
  return {
    name: 'tscompose',
    socket: daemon.socket,
    compose: [join(ROOT, 'src/launch/tscompose')],
    docker: [],
    pid: daemon.keeperPid,
    directory: daemon.directory,
    stop: async () => {
      await daemon.stop();
    },
  };
}

/** Three containers: iperf3 and nginx with published ports, and one that asks. */
async function fill(engine: Contender, host: string, neighbour: string, image: Buffer): Promise<Site> {
  await callOk(engine, 'POST', '/images/create?fromSrc=-&repo=network-bench&tag=latest', Readable.from([image]));
  await callOk(engine, 'POST', '/networks/create', { Name: 'bench' });
  const start = async (name: string, command: readonly string[], port?: readonly [number, number]) => {
    const ports = port && { [`${port[0]}/tcp`]: [{ HostPort: String(port[1]) }] };
    const { Id } = (await callOk(engine, 'POST', `/containers/create?name=${name}`, {
      Image: IMAGE,
      Cmd: command,
      ...(ports && { ExposedPorts: Object.fromEntries(Object.keys(ports).map((key) => [key, {}])) }),
      HostConfig: { NetworkMode: 'bench', ...(ports && { PortBindings: ports }) },
    })) as { Id: string };
    await callOk(engine, 'POST', `/containers/${Id}/start`);
    return (await callOk(engine, 'GET', `/containers/${Id}/json`)) as {
      State: { Pid: number };
      NetworkSettings: { Networks: Record<string, { IPAddress: string }> };
    };
  };
  const server = await start('iperf', ['/usr/bin/iperf3', '-s'], [IPERF_PORT, IPERF_PORT]);
  await start('web', ['/usr/sbin/nginx', '-c', '/bench.conf'], [80, HTTP_PORT]);
  const client = await start('client', ['/usr/bin/iperf3', '-s']);
  return {
    engine,
    host,
    neighbour,
    client: `/proc/${client.State.Pid}/ns/net`,
    server: server.NetworkSettings.Networks['bench']?.IPAddress ?? '',
  };
}

async function removeAll(engine: Contender): Promise<void> {
  for (const name of ['iperf', 'web', 'client']) await call(engine, 'DELETE', `/containers/${name}?force=1`);
  await call(engine, 'POST', '/networks/prune');
}
