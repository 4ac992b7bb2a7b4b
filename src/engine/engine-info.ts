import { randomUUID } from 'node:crypto';
import { arch, cpus, hostname, machine, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { type Clock, cgroupVersion, readTextIfExists, timestamp, writeAtomically } from '../host/index.ts';
import type { EngineInfo, EngineOptions } from './engine-face.ts';
import { DEFAULT_POOLS } from './network/index.ts';

/** The engine's own id, made once. */
export async function readEngineId(dataDir: string): Promise<string> {
  const path = join(dataDir, 'engine-id');
  const known = (await readTextIfExists(path))?.trim();
  if (known) return known;
  const id = randomUUID();
  await writeAtomically(path, `${id}\n`, { durable: true });
  return id;
}

export interface InfoInput {
  readonly id: string;
  readonly options: Pick<EngineOptions, 'dataDir' | 'network'>;
  readonly clock: Clock;
  readonly counts: {
    readonly total: number;
    readonly running: number;
    readonly paused: number;
    readonly stopped: number;
  };
  readonly images: number;
  readonly appArmor: { readonly active: boolean; readonly problem?: string };
  /** Lines of advice about other firewalls. */
  readonly advice: readonly string[];
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/** What `info` shows, read now. */
export async function gatherInfo(input: InfoInput): Promise<EngineInfo> {
  const osRelease = (await readTextIfExists('/etc/os-release')) ?? '';
  const field = (name: string) => new RegExp(`^${name}="?([^"\n]*)"?$`, 'm').exec(osRelease)?.[1] ?? '';
  const { addressPools } = input.options.network ?? {};
  const modules = (await readTextIfExists('/sys/kernel/security/lsm').catch(() => undefined)) ?? '';
  return {
    id: input.id,
    hostName: hostname(),
    operatingSystem: field('PRETTY_NAME') || 'Linux',
    osVersion: field('VERSION_ID'),
    kernelVersion: release(),
    machine: machine(),
    architecture: ARCHITECTURES[arch()] ?? arch(),
    cpus: cpus().length,
    memoryBytes: totalmem(),
    cgroupVersion: await cgroupVersion(),
    dataDir: input.options.dataDir,
    addressPools: addressPools?.length ? addressPools : DEFAULT_POOLS,
    containers: input.counts.total,
    containersRunning: input.counts.running,
    containersPaused: input.counts.paused,
    containersStopped: input.counts.stopped,
    images: input.images,
    securityOptions: [
      ...(input.appArmor.active ? ['name=apparmor'] : []),
      'name=seccomp,profile=builtin',
      'name=cgroupns',
    ],
    runtimes: ['tscompose'],
    defaultRuntime: 'tscompose',
    systemTime: timestamp(input.clock),
    // 32 bit programs reach every socket family through socketcall(2), which a filter cannot look into.
    warnings: [
      ...(input.appArmor.active || modules.includes('selinux') ? [] : ['no AppArmor or SELinux on this host']),
      ...input.advice,
      ...(input.appArmor.problem === undefined ? [] : [`containers run without AppArmor: ${input.appArmor.problem}`]),
    ],
  };
}
