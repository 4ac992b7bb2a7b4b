import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { runProgram, spawnProgram } from '../../src/host/index.ts';
import { ATTACK, type Bundle, type Config, PAYLOAD, RUNTIME, type Workshop } from '../kit/bundle.ts';
import { until } from '../kit/keeper.ts';
import { createContainer } from '../kit/oci-container.ts';

/** Attacks that win by numbers: a few rounds in every run of the tests, the full count in the long ones. */

const TRACER = ['CAP_SYS_PTRACE', 'CAP_DAC_OVERRIDE', 'CAP_DAC_READ_SEARCH', 'CAP_KILL', 'CAP_SETUID', 'CAP_SETGID'];

const withTracer = (config: Config): void => {
  config.process['noNewPrivileges'] = false;
  config.process['capabilities'] = { bounding: TRACER, effective: TRACER, permitted: TRACER };
};

async function spy(shop: Workshop) {
  const bundle = shop.bundle([], (config) => {
    config.process.args = ['/bin/attack', 'spy', '3600'];
    withTracer(config);
  });
  copyFileSync(ATTACK, join(bundle.rootfs, 'bin/attack'));
  const { pid, output } = await createContainer(bundle);
  expect(await bundle.runtime('start', bundle.id)).toMatchObject({ status: 0, stderr: '' });
  await until('the spy', () => output().includes('spying'));
  return { bundle, pid, said: output, held: () => output().match(/^held /gm)?.length ?? 0 };
}

/** A container in the pid namespace of `pid`, with secrets of the host in all that the runtime reads for it. */
export function joiner(shop: Workshop, pid: number, change: (config: Config) => void = () => undefined): Bundle {
  const hidden = join(shop.directory, 'SECRET-source');
  mkdirSync(hidden, { recursive: true });
  return shop.bundle(['true'], (config) => {
    withTracer(config);
    config.linux.namespaces = config.linux.namespaces.map((item) =>
      item.type === 'pid' ? { type: 'pid', path: `/proc/${pid}/ns/pid` } : item,
    );
    config.mounts.push({ destination: '/source', type: 'bind', source: hidden, options: ['bind'] });
    for (const kind of ['prestart', 'createRuntime', 'createContainer', 'poststart', 'poststop'])
      config.hooks[kind] = [{ path: '/bin/true', env: ['PASSWORD=SECRET of a hook'] }];
    change(config);
  });
}

/** On /dev/null alone, so that every other descriptor stands out; with a secret in the caller's environment. */
async function quietly(bundle: Bundle, verb: string, ...words: string[]): Promise<number | null> {
  const command = [RUNTIME, ...bundle.options, verb, ...words, bundle.id];
  const { status } = await runProgram('/bin/sh', ['-c', 'exec "$@" </dev/null >/dev/null 2>&1', 'sh', ...command], {
    environment: { PASSWORD: 'SECRET of the host' },
    cwd: bundle.directory,
  });
  return status;
}

/**
 * CVE-2016-9962 at create: process 1 of the pid namespace that containers join may trace. It stops whatever appears
 * beside it and looks for descriptors, roots and memory of the host, and for capabilities to use.
 */
export async function spyOnCreates(
  shop: Workshop,
  verbs: readonly (readonly string[])[],
  rounds: number,
): Promise<void> {
  const { bundle, pid, said, held } = await spy(shop);
  const other = joiner(shop, pid);
  for (let round = 1; round <= rounds; round++)
    for (const [verb = '', ...options] of verbs) {
      const status = await quietly(other, verb, ...options);
      expect(status, `${verb} in round ${round}: ${said()}`).toBe(0);
      // The process waits for `start`: it is caught every time.
      if (verb === 'create') await until('a look', () => held() >= round);
    }
  expect(said()).not.toContain('seen');
  expect(held()).toBeGreaterThanOrEqual(1);
  await bundle.runtime('delete', '--force', bundle.id);
}

/**
 * CVE-2021-30465: a mount target in a shared volume is swapped for a link out of the root all the time. No mount may
 * appear outside, and what the link leads to stays as it is.
 */
export async function flipMountTarget(shop: Workshop, rounds: number): Promise<void> {
  const canary = mkdtempSync('/tmp/tsc-canary-');
  writeFileSync(join(canary, 'file'), 'untouched');
  const volume = join(shop.directory, 'volume');
  mkdirSync(join(volume, 'target'), { recursive: true });
  symlinkSync(canary, join(volume, 'link'));
  const flipper = spawnProgram(PAYLOAD, ['flip', join(volume, 'target'), join(volume, 'link')], { stdio: 'ignore' });
  const bundle = shop.bundle(['mounts'], (config) => {
    config.mounts.push(
      { destination: '/volume', type: 'bind', source: volume, options: ['rbind'] },
      { destination: '/volume/target', type: 'tmpfs', source: 'mark', options: ['nosuid'] },
    );
  });
  let inside = 0;
  try {
    for (let round = 0; round < rounds; round++) {
      const { status, stdout } = await bundle.runtime('run', bundle.id);
      if (status !== 0) continue; // Lost the race: refused, nothing is left.
      inside += 1;
      // Below the volume, or where the link leads inside the container's own root.
      expect(stdout).toMatch(new RegExp(` (/volume/(target|link)|${canary}) rw,nosuid`));
    }
  } finally {
    flipper.kill('SIGKILL');
    await new Promise((resolve) => flipper.on('close', resolve));
  }
  expect(inside).toBeGreaterThan(0);
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(canary);
  expect(readdirSync(canary)).toEqual(['file']);
  expect(readFileSync(join(canary, 'file'), 'utf8')).toBe('untouched');
  expect(shop.leftovers()).toEqual([]);
  rmSync(canary, { recursive: true });
}
