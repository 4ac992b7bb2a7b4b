import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProgram, spawnProgram } from '../../src/host/index.ts';
import { type Bundle, type Config, RUNTIME } from '../kit/bundle.ts';
import { createContainer } from '../kit/oci-container.ts';
import { workshopOfFile } from '../kit/workshop.ts';
import { flipMountTarget } from './attacks.ts';

const shop = workshopOfFile();
let canary: string;
const pattern = readFileSync('/proc/sys/kernel/core_pattern', 'utf8');
beforeAll(() => {
  canary = mkdtempSync('/tmp/tsc-canary-');
  writeFileSync(join(canary, 'file'), 'untouched');
});
afterAll(() => {
  expect(readdirSync(canary)).toEqual(['file']);
  expect(readFileSync(join(canary, 'file'), 'utf8')).toBe('untouched');
  expect(readFileSync('/proc/sys/kernel/core_pattern', 'utf8')).toBe(pattern);
  rmSync(canary, { recursive: true });
});

async function attempt(
  prepare: (bundle: Bundle) => void,
  change: (config: Config) => void = () => undefined,
  words = ['true'],
) {
  const bundle = shop.bundle(words, change);
  prepare(bundle);
  const result = await bundle.runtime('run', bundle.id);
  expect(shop.leftovers()).toEqual([]);
  return result;
}

describe('an image with symbolic links where the runtime works', () => {
  test.each(['proc', 'sys'])('/%s leading elsewhere is refused', async (name) => {
    const result = await attempt(({ rootfs }) => symlinkSync(canary, join(rootfs, name)));
    expect(result.status).toBe(1);
    expect(result.stderr).toContain(`refused: /${name}`);
  });

  test('/dev leading elsewhere gets no device there (CVE-2026-41579)', async () => {
    const result = await attempt(
      ({ rootfs }) => symlinkSync(canary, join(rootfs, 'dev')),
      (config) => {
        config.mounts = config.mounts.filter(({ destination }) => !destination.startsWith('/dev'));
      },
    );
    expect(result.status).toBe(1);
    expect(result.stderr).toContain('refused: /dev');
  });

  test('/dev leading elsewhere with a tmpfs on it stays inside the root', async () => {
    await attempt(({ rootfs }) => symlinkSync(canary, join(rootfs, 'dev')));
    expect(readdirSync(canary)).toEqual(['file']);
  });

  test('a mount target leading elsewhere is followed inside the root only', async () => {
    const result = await attempt(
      ({ rootfs }) => {
        mkdirSync(join(rootfs, canary), { recursive: true });
        symlinkSync(canary, join(rootfs, 'data'));
      },
      (config) => {
        config.mounts.push({ destination: '/data/below', type: 'tmpfs', options: ['nosuid'] });
      },
      ['mounts'],
    );
    expect(result.stdout).toContain(` ${canary}/below rw,nosuid`);
  });

  test('/dev/console and /dev/null as links to core_pattern change nothing (CVE-2025-31133, CVE-2025-52565)', async () => {
    const result = await attempt(
      ({ rootfs }) => {
        mkdirSync(join(rootfs, 'dev'));
        symlinkSync('/proc/sys/kernel/core_pattern', join(rootfs, 'dev/null'));
        symlinkSync('/proc/sys/kernel/core_pattern', join(rootfs, 'dev/console'));
      },
      (config) => {
        config.mounts = config.mounts.filter(({ destination }) => destination !== '/dev');
      },
    );
    expect(result.stderr).toContain('/dev/null: File exists');
  });
});

describe('mounts over what the runtime relies on', () => {
  test.each([
    { destination: '/proc', type: 'tmpfs', text: 'only procfs' },
    { destination: '/proc/self/attr', type: 'tmpfs', text: 'nothing may be mounted inside' },
    { destination: '/proc/sys/kernel', type: 'tmpfs', text: 'nothing may be mounted inside' },
  ])('$type on $destination is refused (CVE-2025-52881)', async ({ destination, type, text }) => {
    const result = await attempt(
      () => undefined,
      (config) => {
        config.mounts.push({ destination, type });
      },
    );
    expect(result.status).toBe(1);
    expect(result.stderr).toContain(text);
  });
});

describe('descriptors of the host (CVE-2024-21626)', () => {
  test.each([3, 7, 8, 9, 12])('/proc/self/fd/%d is no working directory', async (fd) => {
    const result = await attempt(
      () => undefined,
      (config) => {
        config.process['cwd'] = `/proc/self/fd/${fd}`;
      },
      ['cwd'],
    );
    expect(result.status).toBe(1);
    expect(result.stderr).toContain('enter working directory');
  });

  test('one that the caller leaves open does not arrive', async () => {
    const bundle = shop.bundle(['fds']);
    const held = openSync(canary, 'r');
    const { stdout } = await runProgram('/bin/bash', [
      '--norc',
      '-c',
      `exec 17</ 18<${canary}; "$@"`,
      'bash',
      RUNTIME,
      ...bundle.options,
      'run',
      '--bundle',
      bundle.directory,
      bundle.id,
    ]);
    expect(held).toBeGreaterThan(2);
    expect(stdout.match(/^fd \d+/gm)).toEqual(['fd 0', 'fd 1', 'fd 2']);
  });
});

test('the binary that enters cannot be written from inside (CVE-2019-5736)', async () => {
  const bundle = shop.bundle(['pause'], (config) => {
    config.annotations['dev.tscompose.init'] = 'true';
  });
  // A binary that nobody else executes: it must not be its being busy that protects it.
  const own = join(shop.directory, 'runtime');
  copyFileSync(RUNTIME, own);
  const pidFile = join(bundle.directory, 'pid');
  await runProgram('/bin/sh', [
    '-c',
    '"$@" >/dev/null 2>&1',
    'sh',
    own,
    ...bundle.options,
    'create',
    '--bundle',
    bundle.directory,
    '--pid-file',
    pidFile,
    bundle.id,
  ]);
  const pid = readFileSync(pidFile, 'utf8');
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  expect(status).toContain('CapInh:\t0000000000000000');
  expect(() => openSync(`/proc/${pid}/exe`, 'r+')).toThrow(/ETXTBSY|EROFS|EPERM/);
  const held = openSync(`/proc/${pid}/exe`, 'r');
  await bundle.runtime('kill', bundle.id, 'KILL');
  await expect.poll(() => existsSync(`/proc/${pid}/exe`)).toBe(false);
  expect(() => openSync(`/proc/self/fd/${held}`, 'r+')).toThrow(/EROFS|EPERM/);
  closeSync(openSync(own, 'r+'));
  closeSync(held);
  await bundle.runtime('delete', '--force', bundle.id);
});

test('a mount target that is swapped for a link all the time never leads outside (CVE-2021-30465)', () =>
  flipMountTarget(shop, 100));

test('a recycled process id gets no signal', async () => {
  const bundle = shop.bundle(['pause']);
  await createContainer(bundle);
  const file = join(shop.directory, 'state', bundle.id, 'state.json');
  const state = JSON.parse(readFileSync(file, 'utf8')) as { start_time: number; pid: number };
  const stranger = spawnProgram('/bin/sleep', ['60'], { stdio: 'ignore' });
  // Start times count in hundredths of a second, and both processes may fall into the same one: the old one began earlier.
  writeFileSync(file, JSON.stringify({ ...state, start_time: state.start_time - 1, pid: stranger.pid }));
  expect((await bundle.runtime('kill', bundle.id, 'KILL')).stderr).toContain('it is stopped');
  expect(await bundle.runtime('delete', '--force', bundle.id)).toMatchObject({ status: 0 });
  expect(stranger.exitCode).toBe(null);
  process.kill(stranger.pid ?? 0, 0);
  stranger.kill('SIGKILL');
  expect(shop.leftovers()).toEqual([]);
});

describe('hostile documents', () => {
  test.each([
    { name: 'not JSON', text: '{' },
    { name: 'two documents', text: '{} {}' },
    { name: 'no object', text: '[]' },
    { name: 'too deep', text: `${'['.repeat(500)}${']'.repeat(500)}` },
    { name: 'no version', text: '{}' },
  ])('$name is refused', async ({ text }) => {
    const result = await attempt(({ directory }) => writeFileSync(join(directory, 'config.json'), text));
    expect(result.status).toBe(1);
    expect(result.stderr).toContain('config.json');
  });

  test.each([4294967295, -1, 4294967296, '0', 1.5])('user %j is refused (CVE-2024-40635)', async (uid) => {
    const result = await attempt(
      () => undefined,
      (config) => {
        config.process.user = { uid, gid: 0 };
      },
    );
    expect(result.status).toBe(1);
    expect(result.stderr).toContain('process.user.uid');
  });
});
