import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { defaultSeccompProfile } from '../../src/engine/runtime/index.ts';
import { runProgram } from '../../src/host/index.ts';
import { type Config, openWorkshop, RUNTIME, type Workshop } from '../kit/bundle.ts';
import { peersDirectory } from '../kit/peers.ts';
import { type Measure, timed } from './measure.ts';

interface Runtime {
  readonly name: string;
  readonly command: readonly string[];
}

const CAPABILITIES = ['CAP_CHOWN', 'CAP_MKNOD', 'CAP_NET_BIND_SERVICE', 'CAP_KILL', 'CAP_SETUID', 'CAP_SETGID'];

/** A peer's binary: on the PATH, else in the cache of peers. */
function findRuntime(name: string): string | undefined {
  const places = [...(process.env['PATH'] ?? '').split(':'), join(peersDirectory(), name)];
  return places.map((place) => join(place, name)).find(existsSync);
}

/** Ours and every peer that is here and can run the bundle; a peer that is not is named with the reason. */
async function chooseRuntimes(workshop: Workshop, bundle: string): Promise<Runtime[]> {
  const state = (name: string) => ['--root', join(workshop.directory, `state-${name}`)];
  const found: Runtime[] = [{ name: 'tscompose', command: [RUNTIME, ...state('tscompose')] }];
  for (const name of ['crun', 'runc']) {
    const program = findRuntime(name);
    if (!program) {
      console.warn(`${name} is not available: neither in PATH nor in ${peersDirectory()}`);
      continue;
    }
    // A peer that cannot manage the host's cgroups still competes, without that work.
    const variants: Runtime[] = [
      { name, command: [program, ...state(name)] },
      ...(name === 'crun'
        ? [{ name: 'crun, no cgroups', command: [program, '--cgroup-manager=disabled', ...state(name)] }]
        : []),
    ];
    let reason = '';
    for (const variant of variants) {
      const { status, stderr } = await run(variant, ['run', '--bundle', bundle, 'bench-probe']);
      if (status === 0) {
        found.push(variant);
        break;
      }
      reason = stderr.trim();
      await run(variant, ['delete', '--force', 'bench-probe']);
    }
    if (!found.some((runtime) => runtime.name.startsWith(name))) console.warn(`${name} cannot run here: ${reason}`);
  }
  return found;
}

/** Not every runtime can show a hybrid host's cgroups. */
function withoutCgroupMount(config: Config): void {
  config.mounts = config.mounts.filter(({ type }) => type !== 'cgroup');
}

function run({ command }: Runtime, args: readonly string[]) {
  const [file = '', ...options] = command;
  return runProgram(file, [...options, ...args]);
}

async function need(runtime: Runtime, args: readonly string[]): Promise<void> {
  const { status, stderr } = await run(runtime, args);
  if (status !== 0) throw new Error(`${runtime.name} ${args.join(' ')}: status ${status}: ${stderr.trim()}`);
}

/** The OCI runtimes alone: `run` of a static true with and without the default policy for system calls, `exec` of true. */
export async function openRuntimes(): Promise<{
  readonly names: readonly string[];
  readonly measures: readonly Measure[];
  close(): Promise<void>;
}> {
  const workshop = openWorkshop();
  const policy = defaultSeccompProfile(new Set(CAPABILITIES));
  const plain = workshop.bundle(['true'], withoutCgroupMount);
  const confined = workshop.bundle(['true'], (config) => {
    withoutCgroupMount(config);
    config.linux['seccomp'] = policy;
  });
  const paused = workshop.bundle(['pause']);
  const runtimes = await chooseRuntimes(workshop, plain.directory);
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
    // Not with our pipes: we would wait for their end as long as the container lives.
    const command = ['/bin/sh', '-c', 'exec "$@" > /dev/null 2>&1', 'sh', ...runtime.command];
    const detached = { name: runtime.name, command };
    await need(detached, ['run', '--detach', '--bundle', paused.directory, idOf(runtime.name)]);
  }
  const runOf = (bundle: string) => (name: string) =>
    timed(() => need(byName(name), ['run', '--bundle', bundle, `${idOf(name)}-run`]));
  return {
    names: runtimes.map((runtime) => runtime.name),
    measures: [
      { name: 'run of a static true', rounds: 30, once: runOf(plain.directory) },
      { name: 'run of a static true, default seccomp profile', rounds: 30, once: runOf(confined.directory) },
      {
        name: 'exec of true, default seccomp profile',
        rounds: 30,
        once: (name) => timed(() => need(byName(name), ['exec', idOf(name), '/bin/payload', 'true'])),
      },
    ],
    async close() {
      for (const runtime of runtimes) await run(runtime, ['delete', '--force', idOf(runtime.name)]);
      await workshop.close();
    },
  };
}
