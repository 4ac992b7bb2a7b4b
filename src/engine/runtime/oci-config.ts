import type { SeccompProfile } from './default-seccomp.ts';
import { buildProcess, type OciProcess, type ProcessInput } from './process-spec.ts';

/** A mount of config.json. */
export interface OciMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

export interface DeviceNode {
  readonly path: string;
  readonly type: 'c' | 'b';
  readonly major: number;
  readonly minor: number;
  readonly fileMode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface DeviceRule {
  readonly allow: boolean;
  readonly type: 'a' | 'b' | 'c';
  /** Absent: any. */
  readonly major?: number;
  readonly minor?: number;
  readonly access: string;
}

/** Limits in the units of the OCI specification; absent: none. */
export interface OciLimits {
  readonly memory?: {
    readonly limit?: number;
    readonly reservation?: number;
    readonly swap?: number;
    readonly swappiness?: number;
    readonly disableOOMKiller?: boolean;
  };
  readonly cpu?: {
    readonly shares?: number;
    readonly quota?: number;
    readonly period?: number;
    readonly cpus?: string;
    readonly mems?: string;
  };
  readonly pids?: { readonly limit: number };
  readonly blockIO?: { readonly weight: number };
}

/** A namespace: a new one, the host's, or that at a path. */
export type NamespaceChoice = 'new' | 'host' | { readonly path: string };

export interface OciConfigInput {
  readonly id: string;
  /** Absolute, an empty directory of the bundle. */
  readonly rootPath: string;
  readonly overlay: { readonly lower: readonly string[]; readonly upper?: string; readonly work?: string };
  readonly readonlyRootfs: boolean;
  readonly hostname: string;
  readonly domainname: string;
  readonly process: ProcessInput;
  readonly namespaces: Readonly<Record<'network' | 'pid' | 'ipc' | 'uts' | 'cgroup', NamespaceChoice>>;
  readonly cgroupsPath: string;
  readonly limits: OciLimits;
  readonly devices: readonly DeviceNode[];
  /** After the leading deny and the standard allowances. */
  readonly deviceRules: readonly DeviceRule[];
  /** In order; one at a standard destination replaces the standard mount. */
  readonly mounts: readonly OciMount[];
  readonly shmSizeBytes: number;
  readonly sysctls: Readonly<Record<string, string>>;
  readonly seccomp: SeccompProfile | undefined;
  /** undefined: the default lists. */
  readonly maskedPaths: readonly string[] | undefined;
  readonly readonlyPaths: readonly string[] | undefined;
  readonly privileged: boolean;
  /** A small init as PID 1. */
  readonly init: boolean;
  readonly annotations: Readonly<Record<string, string>>;
}

/** config.json as we write it. */
export interface OciConfig {
  readonly ociVersion: string;
  readonly process: OciProcess;
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly hostname?: string;
  readonly domainname?: string;
  readonly mounts: readonly OciMount[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly linux: Readonly<Record<string, unknown>>;
}

/** Kernel state of the host that a container must not see: the union of what Docker and podman mask. */
export const DEFAULT_MASKED_PATHS: readonly string[] = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/dev/block',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
  '/sys/fs/selinux',
];

/** Kernel state that a container may read only. */
export const DEFAULT_READONLY_PATHS: readonly string[] = [
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
];

/** null, full, zero, random, urandom, tty, console, ptmx and the pts: what every program expects to open. */
const STANDARD_DEVICE_RULES: readonly DeviceRule[] = [
  { allow: false, type: 'a', access: 'rwm' },
  { allow: true, type: 'c', access: 'm' },
  { allow: true, type: 'b', access: 'm' },
  ...[3, 5, 7, 8, 9].map((minor): DeviceRule => ({ allow: true, type: 'c', major: 1, minor, access: 'rwm' })),
  ...[0, 1, 2].map((minor): DeviceRule => ({ allow: true, type: 'c', major: 5, minor, access: 'rwm' })),
  { allow: true, type: 'c', major: 136, access: 'rwm' },
];

const KIBIBYTE = 1024;

/** The configuration of one container; pure, so that a golden test shows the whole default. */
export function buildOciConfig(input: OciConfigInput): OciConfig {
  const ownUts = input.namespaces.uts !== 'host';
  return {
    ociVersion: '1.1.0',
    process: buildProcess(input.process),
    root: { path: input.rootPath, readonly: input.readonlyRootfs },
    ...(ownUts && { hostname: input.hostname }),
    ...(ownUts && input.domainname !== '' && { domainname: input.domainname }),
    mounts: allMounts(input),
    annotations: {
      ...input.annotations,
      'dev.tscompose.overlay': JSON.stringify(input.overlay),
      ...(input.init && { 'dev.tscompose.init': 'true' }),
    },
    linux: {
      namespaces: namespaceList(input.namespaces),
      cgroupsPath: input.cgroupsPath,
      resources: { ...input.limits, devices: deviceRules(input) },
      ...(input.devices.length > 0 && { devices: input.devices }),
      ...(Object.keys(input.sysctls).length > 0 && { sysctl: input.sysctls }),
      ...(input.seccomp && { seccomp: input.seccomp }),
      maskedPaths: input.maskedPaths ?? (input.privileged ? [] : DEFAULT_MASKED_PATHS),
      readonlyPaths: input.readonlyPaths ?? (input.privileged ? [] : DEFAULT_READONLY_PATHS),
      ...rootPropagation(input.mounts),
    },
  };
}

function namespaceList(choices: OciConfigInput['namespaces']): { type: string; path?: string }[] {
  const list: { type: string; path?: string }[] = [{ type: 'mount' }];
  for (const [type, choice] of Object.entries(choices)) {
    if (choice === 'host') continue;
    list.push(choice === 'new' ? { type } : { type, path: choice.path });
  }
  return list;
}

function deviceRules(input: OciConfigInput): readonly Readonly<Record<string, unknown>>[] {
  if (input.privileged) return [{ allow: true, access: 'rwm' }];
  // The specification spells "all types" by leaving the type out.
  return [...STANDARD_DEVICE_RULES, ...input.deviceRules].map(({ type, ...rest }) =>
    type === 'a' ? rest : { type, ...rest },
  );
}

function allMounts(input: OciConfigInput): OciMount[] {
  const taken = new Set(input.mounts.map((mount) => mount.destination));
  return [...standardMounts(input).filter((mount) => !taken.has(mount.destination)), ...byDepth(input.mounts)];
}

function standardMounts(input: OciConfigInput): OciMount[] {
  const safe = ['nosuid', 'noexec', 'nodev'];
  const kernel = [...safe, ...(input.privileged ? [] : ['ro'])];
  const hostIpc = input.namespaces.ipc === 'host';
  const bind = (path: string): OciMount => ({
    destination: path,
    type: 'bind',
    source: path,
    options: ['rbind', 'rprivate', ...safe],
  });
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: safe },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'noexec', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: kernel },
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: [...kernel, 'relatime'] },
    // It shows the queues of the ipc namespace it is mounted in, the host's too.
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: safe },
    hostIpc
      ? bind('/dev/shm')
      : {
          destination: '/dev/shm',
          type: 'tmpfs',
          source: 'shm',
          options: [...safe, 'mode=1777', `size=${Math.ceil(input.shmSizeBytes / KIBIBYTE)}k`],
        },
  ];
}

/** Parents before children, otherwise as given. */
function byDepth(mounts: readonly OciMount[]): OciMount[] {
  const depth = (mount: OciMount) => mount.destination.split('/').filter((part) => part !== '').length;
  return mounts
    .map((mount, index) => ({ mount, index }))
    .sort((a, b) => depth(a.mount) - depth(b.mount) || a.index - b.index)
    .map(({ mount }) => mount);
}

/** A shared or slave bind mount needs a root that receives events at all. */
function rootPropagation(mounts: readonly OciMount[]): { rootfsPropagation?: string } {
  const options = mounts.flatMap((mount) => mount.options);
  if (options.includes('rshared') || options.includes('shared')) return { rootfsPropagation: 'shared' };
  if (options.includes('rslave') || options.includes('slave')) return { rootfsPropagation: 'slave' };
  return {};
}
