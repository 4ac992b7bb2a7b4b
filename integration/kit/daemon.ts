import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { spawnProgram } from '../../src/host/index.ts';
import { busyboxRootfsBytes } from './images.ts';
import { isAlive } from './keeper.ts';
import { type Ledger, leftovers, takeLedger } from './ledger.ts';

const ROOT = resolve(import.meta.dirname, '../..');

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The body as JSON. */
  json<T = Record<string, unknown>>(): T;
  text(): string;
}

export interface TestDaemon {
  /** Prefix of its names in the kernel. */
  readonly instance: string;
  /** Everything of it lies below here. */
  readonly directory: string;
  readonly socket: string;
  /** Value for DOCKER_HOST. */
  readonly host: string;
  /** Process id of the keeper. */
  readonly keeperPid: number;
  /** Process id of the daemon now. */
  daemonPid(): Promise<number>;
  /** One call of the API. */
  call(method: string, path: string, body?: object | Uint8Array | Readable): Promise<Answer>;
  /** Imports the busybox test image; names it `busybox:latest` unless told. */
  importBusybox(name?: string): Promise<void>;
  /** Waits until the daemon answers, and starts keeper and daemon again when the keeper has ended. */
  revive(): Promise<void>;
  /** What keeper and daemon wrote. */
  log(): string;
  /** What is there of it now. */
  ledger(): Promise<Ledger>;
  /** Removes every container and network, ends keeper and daemon, and removes its files. Returns what is left then. */
  stop(): Promise<Ledger>;
}

export interface TestDaemonOptions {
  /** Below the test's own directory unless told. */
  readonly runDirectory?: string;
  readonly idleSeconds?: number;
  /** More flags of the daemon. */
  readonly flags?: readonly string[];
  /** Path of a network namespace that is its host; this process's own unless told. */
  readonly networkNamespace?: string;
  /** In a pid namespace of its own, where a test decides who gets which number; the daemon then tells numbers of in there. */
  readonly ownPids?: boolean;
}

const START_MS = 20_000;
const STOP_MS = 20_000;

/** Starts a daemon of its own under its own keeper and waits until it answers. */
export async function startTestDaemon(options: TestDaemonOptions = {}): Promise<TestDaemon> {
  // Short: a socket's path has at most 107 bytes.
  const directory = mkdtempSync('/tmp/tsc-');
  const instance = `t${randomBytes(8).toString('hex').slice(0, 5)}`;
  const run = options.runDirectory ?? join(directory, 'run');
  const socket = join(run, 'tscompose.sock');
  const logFile = join(directory, 'log');
  const native = join(ROOT, 'dist/native');
  const flags = [
    ...[`--data-dir=${directory}/data`, `--run-dir=${run}`, `--instance=${instance}`],
    ...[`--socket=${socket}`, `--native-dir=${native}`, '--log-level=debug'],
    ...[`--idle-exit=${options.idleSeconds ?? 0}`, ...(options.flags ?? [])],
  ];
  const runtime = join(native, 'tscompose-runtime');
  const inside =
    options.networkNamespace === undefined
      ? [runtime]
      : ['/usr/bin/nsenter', `--net=${options.networkNamespace}`, runtime];
  const unshare = options.ownPids ? ['/usr/bin/unshare', '--pid', '--fork', '--mount-proc'] : [];
  const [program = '', ...leading] = [...unshare, ...inside];
  const words = [
    ...leading,
    ...['keeper', '--run-dir', run, '--instance', instance, '--socket', socket, '--foreground', '--'],
    ...[join(ROOT, 'src/launch/node'), entryFile(), '--daemon', ...flags],
  ];
  let ended = false;
  const launch = () => {
    const log = openSync(logFile, 'a');
    const child = spawnProgram(program, words, { stdio: ['ignore', log, log], detached: true });
    closeSync(log);
    ended = false;
    child.on('exit', () => {
      ended = true;
    });
    return child;
  };
  let keeper = launch();
  // unshare waits for the keeper it has started, and passes no signal on.
  const keeperPid = () => {
    const { pid = 0 } = keeper;
    return options.ownPids && !ended ? Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')) : pid;
  };
  const end = (signal: 'SIGTERM' | 'SIGKILL') => process.kill(keeperPid(), signal);
  const readLog = () => readFileSync(logFile, 'utf8');
  const call = (method: string, path: string, body?: object | Uint8Array | Readable) =>
    callApi(socket, method, path, body);
  const answers = () =>
    waitUntil(START_MS, async () => {
      if (ended) throw new Error(`the keeper ended:\n${readLog()}`);
      return (
        existsSync(socket) &&
        (await call('GET', '/_ping').then(
          ({ status }) => status === 200,
          () => false,
        ))
      );
    }).catch((error: unknown) => {
      keeper.kill('SIGKILL');
      throw new Error(`the daemon did not start: ${error}\n${readLog().slice(-4000)}`);
    });
  await answers();
  return {
    instance,
    directory,
    socket,
    host: `unix://${socket}`,
    get keeperPid() {
      return keeperPid();
    },
    revive: async () => {
      // A killed one is a zombie until Node hears of it.
      const alive = await isAlive(keeper.pid ?? 0);
      if (!alive && !ended) await once(keeper, 'exit');
      if (ended) keeper = launch();
      await answers();
    },
    daemonPid: async () => (await call('GET', '/tscompose/info')).json<{ pid: number }>().pid,
    call,
    importBusybox: async (name = 'busybox:latest') => {
      const [repository = '', tag = 'latest'] = name.split(':');
      const query = `fromSrc=-&repo=${repository}&tag=${tag}&changes=${encodeURIComponent('CMD ["/bin/sh"]')}`;
      const answer = await call('POST', `/images/create?${query}`, await busyboxRootfsBytes());
      if (answer.status !== 200 || answer.text().includes('"error"'))
        throw new Error(`import failed: ${answer.text()}`);
    },
    log: readLog,
    ledger: () => takeLedger(instance, directory),
    stop: async () => {
      if (!ended) {
        await removeEverything(call);
        end('SIGTERM');
        await waitUntil(STOP_MS, async () => ended).catch(() => end('SIGKILL'));
      }
      const text = readLog();
      rmSync(directory, { recursive: true, force: true });
      // The kernel takes namespaces and their links apart after the last process is gone.
      let left = await takeLedger(instance, directory);
      for (let turn = 0; turn < 50 && leftovers(left).length > 0; turn += 1) {
        await delay(100);
        left = await takeLedger(instance, directory);
      }
      if (process.env['TSCOMPOSE_TEST_LOG']) console.warn(text);
      return left;
    },
  };
}

/** The bundle as it is shipped; the sources when `TSCOMPOSE_ENTRY=src` or nothing is bundled. */
function entryFile(): string {
  const bundle = join(ROOT, 'dist/tscompose.cjs');
  return process.env['TSCOMPOSE_ENTRY'] !== 'src' && existsSync(bundle) ? bundle : join(ROOT, 'src/main.ts');
}

async function removeEverything(call: TestDaemon['call']): Promise<void> {
  const containers = (await call('GET', '/containers/json?all=1')).json<readonly { Id: string }[]>();
  await Promise.all(containers.map(({ Id }) => call('DELETE', `/containers/${Id}?force=1&v=1`)));
  await call('POST', '/networks/prune');
}

/** Polls a condition that nothing announces; fails after the deadline. */
export async function waitUntil(deadlineMs: number, condition: () => Promise<boolean>): Promise<void> {
  const limit = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > limit) throw new Error(`not so within ${deadlineMs} ms`);
    await delay(20);
  }
}

function callApi(
  socketPath: string,
  method: string,
  path: string,
  body?: object | Uint8Array | Readable,
): Promise<Answer> {
  const { promise, resolve: done, reject } = Promise.withResolvers<Answer>();
  const isStream = body !== undefined && 'pipe' in body;
  const bytes = body === undefined || isStream ? undefined : body instanceof Uint8Array ? body : JSON.stringify(body);
  const type = typeof bytes === 'string' ? 'application/json' : 'application/x-tar';
  const headers = { Host: 'docker', ...(body !== undefined && { 'Content-Type': type }) };
  const request = httpRequest({ socketPath, method, path, headers }, (response) => {
    buffer(response).then((data) => {
      const text = () => data.toString('utf8');
      done({
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: data,
        text,
        json: () => JSON.parse(text()),
      });
    }, reject);
  });
  request.on('error', reject);
  if (isStream) (body as Readable).pipe(request);
  else request.end(bytes);
  return promise;
}
