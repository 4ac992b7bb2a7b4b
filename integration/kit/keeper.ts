import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { KeeperLink } from '../../src/engine/runtime/index.ts';
import { connectUnix, isErrno, type ProcessIdentity, pathExists, startTimeOf } from '../../src/host/index.ts';
import { RUNTIME } from './bundle.ts';

/** The native binary under test. */
export const RUNTIME_BINARY = RUNTIME;

/**
 * A daemon for tests: everything between the keeper's control stream (descriptor 4) and one client on `bridge.sock`.
 * It ends with status 0 when told `exit` on `exit.sock`, and when the control stream ends.
 */
const BRIDGE = `
const net = require('node:net'), fs = require('node:fs');
const dir = process.argv[2];
process.on('SIGTERM', () => process.exit(0));
const control = new net.Socket({ fd: 4 });
control.on('end', () => process.exit(3)).on('error', () => process.exit(3)).on('data', () => {}).pause();
fs.writeFileSync(dir + '/daemon.json.tmp', JSON.stringify({
  pid: process.pid, cwd: process.cwd(), umask: process.umask(), env: Object.keys(process.env).sort(),
  descriptors: fs.readdirSync('/proc/self/fd').length }));
for (const name of ['bridge.sock', 'exit.sock']) fs.rmSync(dir + '/' + name, { force: true });
net.createServer((socket) => { socket.pipe(control); control.pipe(socket); socket.on('error', () => {}); })
  .listen(dir + '/bridge.sock', () => fs.renameSync(dir + '/daemon.json.tmp', dir + '/daemon.json'));
net.createServer(() => process.exit(0)).listen(dir + '/exit.sock');
`;

/** What the daemon of the kit saw of its surroundings. */
export interface DaemonFacts {
  readonly pid: number;
  readonly cwd: string;
  readonly umask: number;
  readonly env: readonly string[];
}

/** Resolves when the condition holds; fails after `ms`, saying what was awaited. */
export async function until(what: string, holds: () => Promise<boolean> | boolean, ms = 20_000): Promise<void> {
  const limit = performance.now() + ms;
  while (!(await holds())) {
    if (performance.now() > limit) throw new Error(`waited ${ms} ms for ${what}`);
    await delay(10);
  }
}

/** Whether a process exists and is not a zombie. */
export async function isAlive(pid: number): Promise<boolean> {
  try {
    return !/^State:\s+[ZX]/m.test(await readFile(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** A process that runs, by more than its number. */
export async function identityOf(pid: number): Promise<ProcessIdentity> {
  const startTime = await startTimeOf(pid);
  if (startTime === undefined) throw new Error(`there is no process ${pid}`);
  return { pid, startTime };
}

/** SIGKILL to a process that may have ended meanwhile. */
export function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
  }
}

/** A keeper of one test, with a daemon that passes its control stream on. */
export class TestKeeper {
  readonly directory: string;
  readonly socketPath: string;
  readonly #process: ReturnType<typeof spawn>;
  readonly #ended: Promise<number | null>;
  #links: KeeperLink[] = [];
  #output = '';

  private constructor(directory: string, process: ReturnType<typeof spawn>) {
    this.directory = directory;
    this.socketPath = join(directory, 'api.sock');
    this.#process = process;
    const { promise, resolve: resolveEnd } = Promise.withResolvers<number | null>();
    this.#ended = promise;
    process.on('exit', resolveEnd);
    for (const stream of [process.stdout, process.stderr]) {
      stream?.setEncoding('utf8');
      stream?.on('data', (text: string) => {
        this.#output += text;
      });
    }
  }

  /** Starts a keeper; in a directory of its own unless one is given. */
  static async start(
    options: { directory?: string; binary?: string; instance?: string; background?: boolean } = {},
  ): Promise<TestKeeper> {
    const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'tsc-keeper-')));
    const script = join(directory, 'bridge.cjs');
    await writeFile(script, BRIDGE);
    const instance = options.instance ?? 'tsctest';
    const args = ['keeper', '--run-dir', directory, '--instance', instance, '--socket', join(directory, 'api.sock')];
    const child = spawn(
      options.binary ?? RUNTIME,
      [...args, ...(options.background ? [] : ['--foreground']), '--', process.execPath, script, directory],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH: '/bin', HOME: '/root', SECRET: 'x', TSCOMPOSE_KEPT: '1' },
      },
    );
    const keeper = new TestKeeper(directory, child);
    return keeper;
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** What keeper and daemon printed. */
  get output(): string {
    return this.#output;
  }

  /** Its exit status, once it has ended. */
  get ended(): Promise<number | null> {
    return this.#ended;
  }

  /** Facts of the daemon that runs now (another one than `notPid`). */
  async daemon(notPid = 0): Promise<DaemonFacts> {
    let facts: DaemonFacts | undefined;
    await until('the daemon', async () => {
      if (!(await pathExists(join(this.directory, 'daemon.json')))) return false;
      facts = JSON.parse(await readFile(join(this.directory, 'daemon.json'), 'utf8')) as DaemonFacts;
      return facts.pid !== notPid && (await isAlive(facts.pid));
    });
    if (!facts) throw new Error('no daemon');
    return facts;
  }

  /** A link to the keeper by way of the daemon that runs now. */
  async link(): Promise<KeeperLink> {
    await this.daemon();
    const link = new KeeperLink(await connectUnix(join(this.directory, 'bridge.sock')));
    this.#links.push(link);
    return link;
  }

  /** Ends keeper and daemon in order and removes the directory. */
  async stop(): Promise<void> {
    for (const link of this.#links) await link[Symbol.asyncDispose]();
    this.#links = [];
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill('SIGTERM');
      await this.#ended;
    }
    await rm(this.directory, { recursive: true, force: true });
  }

  /** Tells the daemon to exit with status 0. */
  async endDaemon(): Promise<void> {
    (await connectUnix(join(this.directory, 'exit.sock'))).on('error', () => undefined);
  }
}
