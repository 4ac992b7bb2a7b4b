import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { defaultSeccompProfile } from '../../src/engine/runtime/index.ts';
import { runProgram } from '../../src/host/index.ts';
import { type Config, openWorkshop, RUNTIME } from '../kit/bundle.ts';
import { peer } from '../kit/peers.ts';
import { type Measure, timed } from './measure.ts';

interface Runtime {
  readonly name: string;
  readonly command: readonly string[];
}

const CAPABILITIES = ['CAP_CHOWN', 'CAP_MKNOD', 'CAP_NET_BIND_SERVICE', 'CAP_KILL', 'CAP_SETUID', 'CAP_SETGID'];

/** Ours and every peer that can be had here; one that cannot run the bundle is named with the reason. */
async function chooseRuntimes(states: string, bundle: string): Promise<Runtime[]> {
  const state = (name: string) => ['--root', join(states, name)];
  const found: Runtime[] = [{ name: 'tscompose', command: [RUNTIME, ...state('tscompose')] }];
  for (const name of ['crun', 'runc'] as const) {
    const program = await peer(name);
    if ('reason' in program) continue;
    const variants: Runtime[] = [
      { name, command: [program.path, ...state(name)] },
      ...(name === 'crun'
        ? [{ name: 'crun, no cgroups', command: [program.path, '--cgroup-manager=disabled', ...state('crun-none')] }]
        : []),
    ];
    for (const variant of variants) {
      const { status, stderr } = await run(variant, ['run', '--bundle', bundle, 'bench-probe']);
      if (status === 0) found.push(variant);
      else {
        console.warn(`${variant.name} cannot run here: ${stderr.trim()}`);
        await run(variant, ['delete', '--force', 'bench-probe']);
      }
    }
  }
  return found;
}

/**
 * crun refuses a hybrid host whose v2 tree offers controllers. In a mount namespace of ours that offer is covered by an empty file, for every contender
 * alike; the host keeps what it has. Returns undefined when there is nothing to cover.
 */
export function hybridCover(): string | undefined {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const unified = mounts.find((line) => / - cgroup2 /.test(line))?.split(' ')[4];
  if (unified === undefined || !mounts.some((line) => / - cgroup /.test(line))) return undefined;
  const offer = join(unified, 'cgroup.controllers');
  return readFileSync(offer, 'utf8').trim() === '' ? undefined : offer;
}

/** Not every runtime can show a hybrid host's cgroups. */
function withoutCgroupMount(config: Config): void {
  config.mounts = config.mounts.filter(({ type }) => type !== 'cgroup');
}

function run({ command }: Runtime, args: readonly string[]) {
  const [file = '', ...options] = command;
  return runProgram(file, [...options, ...args]);
}

/** Not with our pipes: we would wait for their end as long as the container lives. */
function detached({ name, command }: Runtime): Runtime {
  return { name, command: ['/bin/sh', '-c', 'exec "$@" > /dev/null 2>&1', 'sh', ...command] };
}

async function need(runtime: Runtime, args: readonly string[]): Promise<void> {
  const { status, stderr } = await run(runtime, args);
  if (status !== 0) throw new Error(`${runtime.name} ${args.join(' ')}: status ${status}: ${stderr.trim()}`);
}

async function stepByStep(runtime: Runtime, bundle: string, id: string): Promise<void> {
  await need(detached(runtime), ['create', '--bundle', bundle, id]);
  await need(runtime, ['start', id]);
  await need(runtime, ['delete', '--force', id]);
}

/** The OCI runtimes alone: `run` of a static true with and without the default policy for system calls, `exec` of true. */
export async function openRuntimes(): Promise<{
  readonly names: readonly string[];
  readonly measures: readonly Measure[];
  close(): Promise<void>;
}> {
  const workshop = openWorkshop();
  // Where all of them keep it unless told otherwise: in memory.
  const states = mkdtempSync('/run/tsc-bench-');
  const policy = defaultSeccompProfile(new Set(CAPABILITIES));
  const plain = workshop.bundle(['true'], withoutCgroupMount);
  const confined = workshop.bundle(['true'], (config) => {
    withoutCgroupMount(config);
    config.linux['seccomp'] = policy;
  });
  const paused = workshop.bundle(['pause']);
  const runtimes = await chooseRuntimes(states, plain.directory);
  const byName = (name: string) => {
    const runtime = runtimes.find((candidate) => candidate.name === name);
    if (!runtime) throw new Error(`no runtime ${name}`);
    return runtime;
  };
  const idOf = (name: string) => `bench-${name.replaceAll(/\W+/g, '-')}`;
  for (const runtime of runtimes) {
    // A cgroup of its own for each: their paths must not meet.
    paused.write((config) => {
      withoutCgroupMount(config);
      config.linux['seccomp'] = policy;
      config.linux['cgroupsPath'] = `${workshop.cgroup}/${idOf(runtime.name)}`;
    });
    await need(detached(runtime), ['run', '--detach', '--bundle', paused.directory, idOf(runtime.name)]);
  }
  const runOf = (bundle: string) => (name: string) =>
    timed(() => need(byName(name), ['run', '--bundle', bundle, `${idOf(name)}-run`]));
  return {
    names: runtimes.map((runtime) => runtime.name),
    measures: [
      { name: 'run of a static true', rounds: 30, once: runOf(plain.directory) },
      { name: 'run of a static true, default seccomp profile', rounds: 30, once: runOf(confined.directory) },
      {
        name: 'create, start, delete of a static true, default seccomp profile',
        rounds: 20,
        once: (name) => timed(() => stepByStep(byName(name), confined.directory, `${idOf(name)}-steps`)),
      },
      {
        name: 'exec of true, default seccomp profile',
        rounds: 30,
        once: (name) => timed(() => need(byName(name), ['exec', idOf(name), '/bin/payload', 'true'])),
      },
    ],
    async close() {
      for (const runtime of runtimes) await run(runtime, ['delete', '--force', idOf(runtime.name)]);
      await workshop.close();
      rmSync(states, { recursive: true, force: true });
    },
  };
}
