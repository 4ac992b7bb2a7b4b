import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { type RunResult, runProgram } from '../../src/host/index.ts';

const ROOT = resolve(import.meta.dirname, '../..');
/** The native binary under test. */
export const RUNTIME = process.env['TSCOMPOSE_RUNTIME'] ?? join(ROOT, 'dist/native/tscompose-runtime');
/** The static program that containers of the scenarios run. */
export const PAYLOAD = join(ROOT, 'dist/native/payload');
/** Asks a seccomp filter from inside and outside. */
export const PROBE = join(ROOT, 'dist/native/probe');
/** What a hostile container does to the runtime that works on it. */
export const ATTACK = join(ROOT, 'dist/native/attack');
/** Speaks SCTP, also where the kernel has no sockets for it. */
export const SCTP = join(ROOT, 'dist/native/sctp');
/** Asks a name server at a load. */
export const ASK = join(ROOT, 'dist/native/ask');
/** A file system that does not answer whoever reads a file of it. */
export const HANG = join(ROOT, 'dist/native/hang');
/** Its first instruction is a system call, its exit status the errno. */
export const FIRST = join(ROOT, 'dist/native/first');

export interface IdMap {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

export interface ConfigMount {
  destination: string;
  type?: string;
  source?: string;
  options?: string[];
  uidMappings?: IdMap[];
  gidMappings?: IdMap[];
}

/** Whether scenarios that make calls by the numbers of x86-64 cannot run here; says so. */
export function lacksX64Calls(): boolean {
  const lacks = process.arch !== 'x64';
  if (lacks) console.warn(`not run on ${process.arch}: the calls are numbered as on x86-64`);
  return lacks;
}

/** config.json, as far as the scenarios change it. */
export type Config = ReturnType<typeof baseConfig>;

export interface Bundle {
  readonly id: string;
  readonly directory: string;
  readonly rootfs: string;
  /** Arguments before the verb. */
  readonly options: readonly string[];
  runtime(...args: string[]): Promise<RunResult>;
  /** Writes config.json anew. */
  write(change: (config: Config) => void): void;
}

export interface Workshop {
  readonly directory: string;
  readonly cgroup: string;
  /** A bundle whose container runs the payload with these words. */
  bundle(words: readonly string[], change?: (config: Config) => void): Bundle;
  /** What is left of containers, cgroups and mounts; empty when all is clean. */
  leftovers(): string[];
  close(): Promise<void>;
}

/** config.json of a container that runs the payload with these words. */
export function baseConfig(words: readonly string[], cgroupsPath: string) {
  const capabilities = ['CAP_CHOWN', 'CAP_MKNOD', 'CAP_NET_BIND_SERVICE', 'CAP_KILL', 'CAP_SETUID', 'CAP_SETGID'];
  const safe = ['nosuid', 'noexec', 'nodev'];
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 } as Record<string, unknown>,
      args: ['/bin/payload', ...words],
      env: ['PATH=/bin', 'HOME=/root'],
      cwd: '/',
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities } as Record<
        string,
        string[]
      >,
      noNewPrivileges: true,
    } as Record<string, unknown> & { args: string[]; env: string[]; user: Record<string, unknown> },
    root: { path: 'rootfs', readonly: false },
    hostname: 'box',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc', options: safe },
      {
        destination: '/dev',
        type: 'tmpfs',
        source: 'tmpfs',
        options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
      },
      {
        destination: '/dev/pts',
        type: 'devpts',
        source: 'devpts',
        options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
      },
      { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: [...safe, 'mode=1777', 'size=65536k'] },
      { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: safe },
      { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...safe, 'ro'] },
      { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: [...safe, 'relatime', 'ro'] },
    ] as ConfigMount[],
    annotations: {} as Record<string, string>,
    hooks: {} as Record<string, unknown>,
    linux: {
      namespaces: ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({ type })) as {
        type: string;
        path?: string;
      }[],
      cgroupsPath,
      resources: {} as Record<string, unknown>,
      sysctl: {} as Record<string, string>,
      maskedPaths: ['/proc/acpi', '/proc/keys', '/proc/timer_list', '/proc/kcore', '/sys/firmware'],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    } as Record<string, unknown> & {
      namespaces: { type: string; path?: string }[];
      resources: Record<string, unknown>;
    },
  };
}

/** Directories of one cgroup in every hierarchy of this host. */
export function cgroupDirectories(path: string): string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return mounts
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => `${line.split(' ')[4] ?? ''}${path}`)
    .filter((directory) => existsSync(directory));
}

/** A place of its own for bundles, runtime state and cgroups. */
export function openWorkshop(): Workshop {
  const directory = mkdtempSync('/tmp/tsc-rt-');
  const cgroup = `/tscompose-test-${directory.slice(-6)}`;
  const options = ['--root', join(directory, 'state')];
  const ids: string[] = [];
  const leftovers = () => [
    ...(existsSync(join(directory, 'state')) ? readdirSync(join(directory, 'state')) : []).filter(
      (name) => !name.startsWith('.'),
    ),
    ...ids.flatMap((id) => cgroupDirectories(`${cgroup}/${id}`)),
    ...readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(directory)),
  ];
  return {
    directory,
    cgroup,
    leftovers,
    bundle(words, change = () => undefined) {
      const id = `c${ids.length + 1}`;
      ids.push(id);
      const home = join(directory, id);
      const rootfs = join(home, 'rootfs');
      mkdirSync(join(rootfs, 'bin'), { recursive: true });
      copyFileSync(PAYLOAD, join(rootfs, 'bin/payload'));
      const write = (edit: (config: Config) => void) => {
        const config = baseConfig(words, `${cgroup}/${id}`);
        edit(config);
        writeFileSync(join(home, 'config.json'), JSON.stringify(config));
      };
      write(change);
      const runtime = (...args: string[]) => runProgram(RUNTIME, [...options, ...args], { cwd: home });
      return { id, directory: home, rootfs, options, write, runtime };
    },
    async close() {
      for (const id of ids) await runProgram(RUNTIME, [...options, 'delete', '--force', id]);
      for (const place of cgroupDirectories(cgroup)) rmdirSync(place);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** `Key:\tvalue` lines of /proc/PID/status. */
export function statusOf(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split('\n').flatMap((line) => {
      const at = line.indexOf(':');
      return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 1).trim()]];
    }),
  );
}
