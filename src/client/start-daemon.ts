import { open } from 'node:fs/promises';
import { get } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { TscError } from '../core/index.ts';
import {
  CLEAN_ENVIRONMENT,
  isErrno,
  makeDirectory,
  pathExists,
  readTextIfExists,
  spawnProgram,
} from '../host/index.ts';

/** What the local daemon is started with; paths are absolute. */
export interface DaemonPlace {
  readonly socketPath: string;
  readonly runDirectory: string;
  /** Absent: the daemon's own default. */
  readonly dataDirectory?: string;
  /** Prefix of every name in the kernel. */
  readonly instance: string;
  /** Milliseconds until the start counts as failed. */
  readonly deadline: number;
}

/** Milliseconds that a rival's socket may take once our keeper has found the lock taken. */
const RIVAL_GRACE = 1000;

/** Whether somebody accepts connections on the socket. */
export function isListening(socketPath: string): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const socket = connect(socketPath);
  socket.on('connect', () => {
    socket.destroy();
    resolve(true);
  });
  socket.on('error', (error) => {
    if (isErrno(error, 'ENOENT', 'ECONNREFUSED')) resolve(false);
    else reject(new TscError('client/denied', `cannot use the socket ${socketPath}`, { cause: error }));
  });
  return promise;
}

/** Whether the daemon behind the socket answers in time: the keeper holds the socket also while no daemon runs. */
function answers(socketPath: string, milliseconds: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const call = get({ socketPath, path: '/_ping', timeout: milliseconds, agent: false }, (response) => {
    response.resume();
    resolve(true);
  });
  call.on('timeout', () => call.destroy());
  call.on('error', () => resolve(false));
  return promise;
}

/**
 * Starts keeper and daemon in a session of their own and resolves when the daemon answers. Does nothing when somebody is
 * listening.
 */
export async function startDaemon(place: DaemonPlace): Promise<void> {
  if (await isListening(place.socketPath)) return;
  if (process.getuid?.() !== 0) {
    throw new TscError('client/denied', 'the tscompose daemon is not running and only root can start it', {
      hint: 'run the command as root, or point DOCKER_HOST at a running engine',
    });
  }
  const root = packageRoot();
  const keeper = join(root, 'dist/native/tscompose-runtime');
  if (!(await pathExists(keeper))) {
    throw new TscError('client/not-found', `${keeper} is missing`, { hint: 'run: npm run build' });
  }
  await makeDirectory(place.runDirectory, 0o711);
  const logFile = join(place.runDirectory, 'daemon.log');
  const log = await open(logFile, 'a', 0o600);
  const { size } = await log.stat();
  try {
    const child = spawnProgram(keeper, keeperArguments(root, place), {
      cwd: '/',
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      env: {
        ...CLEAN_ENVIRONMENT,
        TSCOMPOSE_RUN_DIR: place.runDirectory,
        ...(place.dataDirectory && { TSCOMPOSE_DATA_DIR: place.dataDirectory }),
        ...inherited(
          'TSCOMPOSE_LOG_LEVEL',
          'HTTP_PROXY',
          'HTTPS_PROXY',
          'NO_PROXY',
          'http_proxy',
          'https_proxy',
          'no_proxy',
        ),
        ...inherited('NODE_EXTRA_CA_CERTS', 'TSCOMPOSE_EXTRA_CA_CERTS', 'SSL_CERT_FILE'),
      },
    });
    await waitForSocket(place, child, { path: logFile, begin: size });
    child.unref();
  } finally {
    await log.close();
  }
}

function keeperArguments(root: string, place: DaemonPlace): string[] {
  const data = place.dataDirectory ? ['--data-dir', place.dataDirectory] : [];
  const level = process.env['TSCOMPOSE_LOG_LEVEL'];
  const idle = process.env['TSCOMPOSE_IDLE_EXIT'];
  const pools = (process.env['TSCOMPOSE_ADDRESS_POOLS'] ?? '').split(/\s+/).filter(Boolean);
  return [
    'keeper',
    ...['--run-dir', place.runDirectory, '--instance', place.instance, '--socket', place.socketPath, '--'],
    ...[join(root, 'src/launch/node'), join(root, 'dist/tscompose.cjs'), '--daemon'],
    ...['--run-dir', place.runDirectory, '--instance', place.instance, '--socket', place.socketPath, ...data],
    '--replace-keeper',
    ...(level ? ['--log-level', level] : []),
    ...(idle ? ['--idle-exit', idle] : []),
    ...pools.flatMap((pool) => ['--default-address-pool', pool]),
  ];
}

/** Where package.json is: the bundle lies in dist/chunks, the source two levels below the root. */
function packageRoot(): string {
  return import.meta.dirname.replace(/\/(dist|src)(\/.*)?$/, '');
}

function inherited(...names: string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}

async function waitForSocket(
  place: DaemonPlace,
  child: ReturnType<typeof spawnProgram>,
  log: { readonly path: string; readonly begin: number },
): Promise<void> {
  let ended: string | undefined;
  child.on('exit', (status, signal) => {
    ended = signal ? `was killed by ${signal}` : `ended with status ${status}`;
  });
  child.on('error', (error) => {
    ended = `could not be started: ${error.message}`;
  });
  let limit = performance.now() + place.deadline;
  // The socket appears by rename; a connection attempt is the only test that means something, and is cheap.
  for (let pause = 2; performance.now() < limit; pause = Math.min(pause * 1.5, 50)) {
    if ((await isListening(place.socketPath)) && (await answers(place.socketPath, limit - performance.now()))) return;
    // Another command may have won the race for the lock: then this keeper ends, and that one's socket appears at once.
    if (ended !== undefined) limit = Math.min(limit, performance.now() + RIVAL_GRACE);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  const text = Buffer.from((await readTextIfExists(log.path)) ?? '')
    .subarray(log.begin)
    .toString('utf8')
    .trimEnd();
  const lines = text.split('\n').slice(-15).join('\n');
  throw new TscError(
    'client/unavailable',
    `the tscompose daemon did not start: ${ended ?? `no answer on ${place.socketPath} within ${place.deadline / 1000} s`}`,
    { hint: lines ? `last lines of ${log.path}:\n${lines}` : `its log is ${log.path}` },
  );
}
