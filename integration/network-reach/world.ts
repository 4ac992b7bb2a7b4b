import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SETS, type SetName } from '../../src/engine/network/firewall/ruleset.ts';
import {
  createNetworkService,
  type DnsSettings,
  type EndpointSpec,
  type NetworkService,
  type NetworkServiceOptions,
  type PortRequest,
} from '../../src/engine/network/index.ts';
import type { KeeperLink } from '../../src/engine/runtime/index.ts';
import { newObjectId, runProgram } from '../../src/host/index.ts';
import { RUNTIME_BINARY, TestKeeper } from '../kit/keeper.ts';

/** Instance of the service under test; its table and bridges live in the world's own host namespace. */
export const INSTANCE = 'tscnet';
/** The world's host as its neighbour sees it, and the neighbour. */
export const HOST = '192.0.2.1';
export const NEIGHBOUR = '192.0.2.2';
export const HOST_6 = '2001:db8::1';
export const NEIGHBOUR_6 = '2001:db8::2';

/** Answers every TCP connection and UDP packet with its name and the peer's address. */
const SERVER = `
const [name, port, address] = process.argv.slice(1);
const tcp = require('node:net').createServer((socket) => {
  socket.on('error', () => {});
  socket.end(name + ' saw ' + socket.remoteAddress.replace('::ffff:', ''));
});
const udp = require('node:dgram').createSocket(address.includes(':') ? 'udp6' : 'udp4');
udp.on('message', (_, peer) => udp.send(name + ' saw ' + peer.address.replace('::ffff:', ''), peer.port, peer.address));
tcp.listen(Number(port), address, () => udp.bind(Number(port), address, () => console.log('ready')));
`;

/** Prints the answer, or the error's code; \`timeout\` when there is none. */
const PROBE = `
const [protocol, address, port, local] = process.argv.slice(1);
setTimeout(() => { console.log('timeout'); process.exit(0); }, 1200);
const done = (text) => { console.log(text); process.exit(0); };
if (protocol === 'tcp') {
  let text = '';
  const socket = require('node:net').connect({ host: address, port: Number(port), ...(local && { localPort: Number(local) }) });
  socket.on('data', (chunk) => { text += chunk; }).on('end', () => done(text)).on('error', (e) => done(e.code));
} else {
  const socket = require('node:dgram').createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (m) => done(String(m))).on('error', (e) => done(e.code));
  const send = () => socket.send('hello', Number(port), address);
  if (local) socket.bind(Number(local), send); else send();
}
`;

const LOOKUP = `
const [type, name] = process.argv.slice(1);
const resolver = new (require('node:dns').promises.Resolver)({ timeout: 700, tries: 2 });
resolver.setServers(['127.0.0.11']);
const ask = type === 'PTR' ? resolver.reverse(name) : resolver.resolve(name, type);
ask.then((answer) => console.log(answer.join()), (e) => console.log(e.code));
`;

/** A DNS server of one answer: 203.0.113.9 for everything, truncated over UDP when the name starts with `large`. */
const DNS = `
const answer = (query, udp) => {
  const large = query.includes('large');
  const head = Buffer.from(query);
  head[2] |= large && udp ? 0x82 : 0x80;
  if (large && udp) return head;
  head[7] = 1;
  return Buffer.concat([head, Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 203, 0, 113, 9])]);
};
const udp = require('node:dgram').createSocket('udp6');
udp.on('message', (m, peer) => udp.send(answer(m, true), peer.port, peer.address));
require('node:net').createServer((s) => s.on('error', () => {}).on('data', (m) => {
  const reply = answer(m.subarray(2), false);
  s.write(Buffer.concat([Buffer.from([reply.length >> 8, reply.length & 255]), reply]));
})).listen(53, '::', () => udp.bind(53, '::', () => console.log('ready')));
`;

async function run(file: string, args: readonly string[]): Promise<string> {
  const result = await runProgram(file, args);
  if (result.status !== 0) throw new Error(`${file} ${args.join(' ')}: ${result.stderr}`);
  return result.stdout;
}

const KEEPER = 'keeper-in-namespace';

/** The host of a world has files of its own: at first no name servers. */
function serviceOf(keeper: KeeperLink, directory: string, options: WorldOptions): NetworkService {
  const hostFiles = { resolvConf: join(directory, 'resolv.conf'), hosts: '/etc/hosts' };
  return createNetworkService({ keeper, instance: INSTANCE, dataDirectory: directory, hostFiles, ...options });
}

export type WorldOptions = Pick<NetworkServiceOptions, 'addressPools' | 'firewallCmd'>;

/** A network namespace with a process that holds it. */
export class Place {
  readonly path: string;
  readonly #holder: ChildProcess | undefined;

  constructor(path: string, holder?: ChildProcess) {
    this.path = path;
    this.#holder = holder;
  }

  static async make(): Promise<Place> {
    const holder = spawn('/usr/bin/unshare', ['--net', '/bin/sh', '-c', 'echo ready; exec sleep 600'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (holder.stdout) await once(holder.stdout, 'data');
    const place = new Place(`/proc/${holder.pid}/ns/net`, holder);
    await place.run('/usr/sbin/ip', 'link', 'set', 'lo', 'up');
    return place;
  }

  get pid(): number {
    return this.#holder?.pid ?? 0;
  }

  run(...command: string[]): Promise<string> {
    return run('/usr/bin/nsenter', [`--net=${this.path}`, ...command]);
  }

  async probe(protocol: 'tcp' | 'udp', address: string, port: number, localPort?: number): Promise<string> {
    const local = localPort === undefined ? [] : [String(localPort)];
    return (await this.run(process.execPath, '-e', PROBE, protocol, address, String(port), ...local)).trim();
  }

  /** Whether one ping is answered. */
  async ping(address: string): Promise<boolean> {
    const command = ['/bin/busybox', 'ping', '-c', '1', '-W', '2', address];
    return (await runProgram('/usr/bin/nsenter', [`--net=${this.path}`, ...command])).status === 0;
  }

  async lookup(type: 'A' | 'AAAA' | 'PTR' | 'TXT', name: string): Promise<string> {
    return (await this.run(process.execPath, '-e', LOOKUP, type, name)).trim();
  }

  close(): void {
    this.#holder?.kill('SIGKILL');
  }
}

/** A container without a root file system: a sandbox and a server in it. */
export interface Member extends Place {
  readonly id: string;
  /** The process that lives in it. */
  readonly server: number;
  readonly address: string;
  /** Empty on networks without IPv6. */
  readonly address6: string;
}

/** A host of its own (namespace), a neighbour on its LAN, a keeper and the network service. */
export class World {
  readonly host: Place;
  readonly neighbour: Place;
  readonly directory: string;
  keeper: TestKeeper;
  link: KeeperLink;
  service: NetworkService;
  readonly #servers: ChildProcess[] = [];
  readonly #outputs = new Map<Place, string>();
  readonly #options: WorldOptions;

  private constructor(
    parts: Pick<World, 'host' | 'neighbour' | 'directory' | 'keeper' | 'link' | 'service'>,
    options: WorldOptions,
  ) {
    this.#options = options;
    this.host = parts.host;
    this.neighbour = parts.neighbour;
    this.directory = parts.directory;
    this.keeper = parts.keeper;
    this.link = parts.link;
    this.service = parts.service;
  }

  static async make(options: WorldOptions = {}): Promise<World> {
    const directory = await mkdtemp(join(tmpdir(), 'tsc-world-'));
    const [host, neighbour] = await Promise.all([Place.make(), Place.make()]);
    const ip = '/usr/sbin/ip';
    await host.run(ip, 'link', 'add', 'lan0', 'type', 'veth', 'peer', 'name', 'lan0', 'netns', String(neighbour.pid));
    for (const [place, four, six] of [
      [host, HOST, HOST_6],
      [neighbour, NEIGHBOUR, NEIGHBOUR_6],
    ] as const) {
      await place.run(ip, 'addr', 'add', `${four}/24`, 'dev', 'lan0');
      await place.run(ip, 'addr', 'add', `${six}/64`, 'dev', 'lan0', 'nodad');
      await place.run(ip, 'link', 'set', 'lan0', 'up');
    }
    const wrapper = join(directory, KEEPER);
    await writeFile(wrapper, `#!/bin/sh\nexec /usr/bin/nsenter --net=${host.path} ${RUNTIME_BINARY} "$@"\n`);
    await chmod(wrapper, 0o755);
    const keeper = await TestKeeper.start({ binary: wrapper });
    const link = await keeper.link();
    const service = serviceOf(link, directory, options);
    await service.recover();
    return new World({ host, neighbour, directory, keeper, link, service }, options);
  }

  /** The daemon died and came back: a service that knows only the records. */
  async restartService() {
    this.service = serviceOf(this.link, this.directory, this.#options);
    return this.service.recover();
  }

  /** The keeper died with all it held, and another one came with the daemon. */
  async loseKeeper() {
    process.kill(this.keeper.pid, 'SIGKILL');
    await this.keeper.ended;
    await this.keeper.stop();
    this.keeper = await TestKeeper.start({ binary: join(this.directory, KEEPER) });
    this.link = await this.keeper.link();
    return this.restartService();
  }

  /** A running container with a server on port 80. */
  async start(
    name: string,
    endpoints: readonly EndpointSpec[],
    ports: readonly PortRequest[] = [],
    dns: DnsSettings = {},
  ): Promise<Member> {
    const id = newObjectId();
    const [endpoint] = await this.service.prepare({ containerId: id, name, endpoints, dns });
    const { path } = await this.service.openSandbox(id);
    const place = new Place(path ?? this.host.path);
    const pid = await this.serve(name, place, 80);
    await this.service.publish(id, ports);
    return Object.assign(place, {
      id,
      server: pid,
      address: endpoint?.address ?? '',
      address6: endpoint?.address6 ?? '',
    });
  }

  async serve(name: string, place: Place, port: number, address = '::'): Promise<number> {
    const server = spawn(
      '/usr/bin/nsenter',
      [`--net=${place.path}`, process.execPath, '-e', SERVER, name, String(port), address],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    this.#servers.push(server);
    if (server.stdout) await once(server.stdout, 'data');
    return server.pid ?? 0;
  }

  /** A program that lives in a place until the world ends, once it has said that it is ready. */
  async spawn(place: Place, ...command: string[]): Promise<ChildProcess> {
    const program = spawn('/usr/bin/nsenter', [`--net=${place.path}`, ...command], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#servers.push(program);
    const said = once(program.stdout, 'data');
    program.stdout.on('data', (text) => this.#outputs.set(place, this.output(place) + text));
    await said;
    return program;
  }

  /** A program that is spoken to by its stdin and stdout, until the world ends. */
  async talk(place: Place, ...command: string[]): Promise<ChildProcess> {
    const program = spawn('/usr/bin/nsenter', [`--net=${place.path}`, ...command], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.#servers.push(program);
    await once(program, 'spawn');
    return program;
  }

  /** What the spawned programs of a place have said. */
  output(place: Place): string {
    return this.#outputs.get(place) ?? '';
  }

  /** Keys of the ports that the keeper holds. */
  async holds(): Promise<readonly string[]> {
    return (await this.link.list()).ports.map((port) => port.key);
  }

  /** Elements of a set or map in the kernel, as nft's JSON has them. */
  async elements(name: SetName): Promise<readonly unknown[]> {
    const { kind } = SETS[name];
    const listed = JSON.parse(await this.host.run('/usr/sbin/nft', '-j', 'list', kind, 'inet', INSTANCE, name));
    return listed.nftables[1][kind].elem ?? [];
  }

  /** A DNS server on port 53. */
  async serveDns(place: Place): Promise<void> {
    const server = spawn('/usr/bin/nsenter', [`--net=${place.path}`, process.execPath, '-e', DNS], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#servers.push(server);
    if (server.stdout) await once(server.stdout, 'data');
  }

  /** Ends every server; their namespaces then die with the last descriptor. */
  async stopServers(): Promise<void> {
    const ends = this.#servers
      .filter((server) => server.exitCode === null && server.signalCode === null)
      .map((server) => once(server, 'exit'));
    for (const server of this.#servers) server.kill('SIGKILL');
    await Promise.all(ends);
  }

  async close(): Promise<void> {
    await this.stopServers();
    await this.keeper.stop();
    this.host.close();
    this.neighbour.close();
    await rm(this.directory, { recursive: true, force: true });
  }
}
