import { isIP } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { TscError } from '../core/index.ts';

/** How a daemon runs; every path is absolute. */
export interface DaemonOptions {
  readonly dataDir: string;
  readonly runDir: string;
  /** At most 7 of `[a-z0-9]`. */
  readonly instance: string;
  /** Path of the API socket. */
  readonly socket: string;
  /** Group that may use the socket; undefined: the owner alone. */
  readonly socketGroup: string | undefined;
  readonly nativeDir: string;
  /** undefined: stderr. */
  readonly logFile: string | undefined;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  /** Seconds without containers and requests after which daemon and keeper leave; 0: never. */
  readonly idleSeconds: number;
  /** Nobody supervises the keeper: when it is killed while containers run, the daemon starts another. */
  readonly replaceKeeper: boolean;
  /** Where subnets of networks are chosen from; a family without one has the engine's default. */
  readonly addressPools: readonly { readonly base: string; readonly size: number }[];
}

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export const DEFAULT_IDLE_SECONDS = 600;

/** What `tscomposed --help` prints. */
export const DAEMON_HELP = `Usage: tscomposed [OPTIONS]

The tscompose daemon in the foreground, under its keeper. SIGTERM ends it; containers stay.

Options:
  --data-dir PATH       images, layers, containers, volumes, networks (/var/lib/tscompose; TSCOMPOSE_DATA_DIR)
  --run-dir PATH        socket, lock, what lives until reboot (/run/tscompose; TSCOMPOSE_RUN_DIR)
  --instance NAME       at most 7 of a-z and 0-9, part of every name in the kernel (tsc; TSCOMPOSE_INSTANCE)
  --socket PATH         the API socket (tscompose.sock in the run directory)
  --socket-group NAME   group that may use the socket (none: its owner alone)
  --native-dir PATH     the native programs (beside this one)
  --log-file PATH       instead of standard error
  --log-level LEVEL     ${LEVELS.join(', ')} (info; TSCOMPOSE_LOG_LEVEL)
  --idle-exit SECONDS   leave after that long without containers and requests (${DEFAULT_IDLE_SECONDS}; 0: never; TSCOMPOSE_IDLE_EXIT)
  --replace-keeper      keep the keeper in the background, and start another when it is killed while containers run;
                        for daemons that no service manager watches (the command starts its own so)
  --default-address-pool base=CIDR,size=PREFIX
                        where subnets of networks are chosen from, of either family; may be given several times
                        (172.20.0.0/14 and others in /24; TSCOMPOSE_ADDRESS_POOLS, separated by spaces)
  --help                this text
`;

/** Reads the flags of the daemon; `program` is the directory of the running bundle or source. Throws `daemon/invalid`. */
export function parseDaemonOptions(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  program: string,
): DaemonOptions {
  const { values } = parseFlags(argv);
  const runDir = resolve(values['run-dir'] ?? environment['TSCOMPOSE_RUN_DIR'] ?? '/run/tscompose');
  const instance = values.instance ?? environment['TSCOMPOSE_INSTANCE'] ?? 'tsc';
  if (!/^[a-z0-9]{1,7}$/.test(instance)) {
    throw new TscError('daemon/invalid', `invalid instance ${JSON.stringify(instance.slice(0, 40))}`, {
      hint: 'use at most 7 of a-z and 0-9',
    });
  }
  return {
    dataDir: resolve(values['data-dir'] ?? environment['TSCOMPOSE_DATA_DIR'] ?? '/var/lib/tscompose'),
    runDir,
    instance,
    socket: resolve(values.socket ?? join(runDir, 'tscompose.sock')),
    socketGroup: values['socket-group'],
    nativeDir: resolve(values['native-dir'] ?? defaultNativeDir(program)),
    logFile: values['log-file'] && resolve(values['log-file']),
    logLevel: readLevel(values['log-level'] ?? environment['TSCOMPOSE_LOG_LEVEL']),
    idleSeconds: readSeconds(values['idle-exit'] ?? environment['TSCOMPOSE_IDLE_EXIT']),
    replaceKeeper: values['replace-keeper'] ?? false,
    addressPools:
      (values['default-address-pool'] ?? environment['TSCOMPOSE_ADDRESS_POOLS']?.split(/\s+/).filter(Boolean))?.map(
        readAddressPool,
      ) ?? [],
  };
}

function parseFlags(argv: readonly string[]) {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args: [...argv],
      options: {
        'data-dir': text,
        'run-dir': text,
        instance: text,
        socket: text,
        'socket-group': text,
        'native-dir': text,
        'log-file': text,
        'log-level': text,
        'idle-exit': text,
        'replace-keeper': { type: 'boolean' },
        'default-address-pool': { ...text, multiple: true },
      },
    });
  } catch (error) {
    throw new TscError('daemon/invalid', 'the flags of the daemon are wrong', { cause: error });
  }
}

// The bundle is dist/tscompose.cjs, the sources are src/: the binaries are dist/native in both cases.
function defaultNativeDir(program: string): string {
  return program.endsWith('/dist') ? join(program, 'native') : join(dirname(program), 'dist', 'native');
}

function readLevel(text: string | undefined): DaemonOptions['logLevel'] {
  const level = LEVELS.find((item) => item === (text ?? 'info'));
  if (level) return level;
  throw new TscError('daemon/invalid', `invalid log level ${JSON.stringify(text)}`, {
    hint: `use one of ${LEVELS.join(', ')}`,
  });
}

function readSeconds(text: string | undefined): number {
  if (text === undefined) return DEFAULT_IDLE_SECONDS;
  if (/^\d{1,7}$/.test(text)) return Number(text);
  throw new TscError('daemon/invalid', `invalid idle-exit ${JSON.stringify(text.slice(0, 40))}`, {
    hint: 'write seconds',
  });
}

/** The form of dockerd. What the numbers mean together is checked by the engine. */
function readAddressPool(text: string): DaemonOptions['addressPools'][number] {
  const [, base = '', length, size] = /^base=([0-9A-Fa-f.:]+)\/(\d{1,3}),size=(\d{1,3})$/.exec(text) ?? [];
  const bits = isIP(base) === 6 ? 128 : 32;
  if (isIP(base) !== 0 && Number(length) <= Number(size) && Number(size) <= bits - 2)
    return { base: `${base}/${length}`, size: Number(size) };
  throw new TscError('daemon/invalid', `invalid default-address-pool ${JSON.stringify(text.slice(0, 80))}`, {
    hint: 'write base=10.10.0.0/16,size=24: a subnet, and the prefix length of each network in it',
  });
}

/** The flags that give the same options again. */
export function formatDaemonOptions(options: DaemonOptions): readonly string[] {
  return [
    `--data-dir=${options.dataDir}`,
    `--run-dir=${options.runDir}`,
    `--instance=${options.instance}`,
    `--socket=${options.socket}`,
    `--native-dir=${options.nativeDir}`,
    `--log-level=${options.logLevel}`,
    `--idle-exit=${options.idleSeconds}`,
    ...(options.replaceKeeper ? ['--replace-keeper'] : []),
    ...options.addressPools.map(({ base, size }) => `--default-address-pool=base=${base},size=${size}`),
    ...(options.logFile === undefined ? [] : [`--log-file=${options.logFile}`]),
  ];
}
