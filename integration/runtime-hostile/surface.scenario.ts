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
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  ALL_CAPABILITIES,
  chooseCapabilities,
  DEFAULT_MASKED_PATHS,
  DEFAULT_READONLY_PATHS,
  defaultSeccompProfile,
} from '../../src/engine/runtime/index.ts';
import { spawnProgram } from '../../src/host/index.ts';
import { ATTACK, type Bundle, type Config, lacksX64Calls, PAYLOAD, PROBE } from '../kit/bundle.ts';
import { workshopOfFile } from '../kit/workshop.ts';

/** What a container that is set up as the engine does it can reach of the kernel. */
const OTHER_NUMBERS = lacksX64Calls();

const shop = workshopOfFile();
let canary: string;
beforeAll(() => {
  canary = mkdtempSync('/tmp/tsc-canary-');
  writeFileSync(join(canary, 'file'), 'untouched');
});
afterAll(() => {
  expect(readdirSync(canary)).toEqual(['file']);
  rmSync(canary, { recursive: true });
});

const DEFAULT = chooseCapabilities({ privileged: false, add: [], drop: [], available: ALL_CAPABILITIES });

function asTheEngine(args: readonly string[], change: (config: Config) => void = () => undefined): Bundle {
  const bundle = shop.bundle([], (config) => {
    config.process.args = [...args];
    config.process['noNewPrivileges'] = false;
    config.process['capabilities'] = { bounding: DEFAULT, effective: DEFAULT, permitted: DEFAULT };
    config.linux['maskedPaths'] = DEFAULT_MASKED_PATHS;
    config.linux['readonlyPaths'] = DEFAULT_READONLY_PATHS;
    config.linux['seccomp'] = defaultSeccompProfile(new Set(DEFAULT), 'x64');
    change(config);
  });
  copyFileSync(ATTACK, join(bundle.rootfs, 'bin/attack'));
  copyFileSync(PROBE, join(bundle.rootfs, 'bin/probe'));
  return bundle;
}

async function inside(args: readonly string[], change?: (config: Config) => void): Promise<string> {
  const bundle = asTheEngine(args, change);
  const result = await bundle.runtime('run', bundle.id);
  expect(result).toMatchObject({ status: 0, stderr: '' });
  return result.stdout;
}

test.skipIf(OTHER_NUMBERS)(
  'of /proc and /sys, root may write to its own processes, and ask to be woken under pressure',
  async () => {
    const listed = (await inside(['/bin/attack', 'writable', '/proc', '/sys'])).trim().split('\n');
    expect(listed.pop()).toBe('listed');
    expect(listed.filter((path) => !/^\/proc\/pressure\/(io|cpu|memory|irq)$/.test(path))).toEqual([]);
  },
);

test.skipIf(OTHER_NUMBERS).each([
  { what: 'a user namespace', call: ['272', '0x10000000'] },
  { what: 'mount, network and cgroup namespaces', call: ['272', '0x42020000'] },
  { what: 'a mount', call: ['165', '0', '0', '0', '0'] },
  { what: 'a detached mount', call: ['430', '0', '0'] },
  { what: 'a file by handle', call: ['304', '0', '0', '0'] },
  { what: 'keys', call: ['250', '0', '-3'] },
  { what: 'io_uring', call: ['425', '1', '0'] },
  { what: 'a userfaultfd', call: ['323', '0'] },
  { what: 'bpf', call: ['321', '0', '0', '0'] },
  { what: 'AF_ALG', call: ['41', '38', '5', '0'] },
  { what: 'AF_VSOCK', call: ['41', '40', '1', '0'] },
])('$what is refused', async ({ call }) => {
  expect(await inside(['/bin/probe', 'call', ...call])).toBe(`call ${call[0] ?? ''}: Operation not permitted\n`);
});

test.skipIf(OTHER_NUMBERS)('no release agent of a control group (CVE-2022-0492)', async () => {
  const files = ['release_agent', 'notify_on_release', 'cgroup.procs', 'devices/devices.allow', 'memory/release_agent'];
  const words = files.flatMap((file) => ['write', `/sys/fs/cgroup/${file}`, '1']);
  const text = await inside(['/bin/payload', ...words, 'mkdir', '/sys/fs/cgroup/memory/x']);
  expect(text.match(/: (?!Read-only file system|No such file or directory|Permission denied)/g)).toBe(null);
});

describe.skipIf(OTHER_NUMBERS)('masks', () => {
  test('through links of the image stay in its root (CVE-2025-31133)', async () => {
    const bundle = asTheEngine(['/bin/payload', 'ls', '/secret', 'ls', canary], (config) => {
      config.linux['maskedPaths'] = ['/secret', '/far/below'];
    });
    mkdirSync(join(bundle.rootfs, canary), { recursive: true });
    writeFileSync(join(bundle.rootfs, canary, 'own'), '');
    symlinkSync(`../../../../..${canary}`, join(bundle.rootfs, 'secret'));
    symlinkSync(canary, join(bundle.rootfs, 'far'));
    const result = await bundle.runtime('run', bundle.id);
    expect(result).toMatchObject({ status: 0, stdout: '', stderr: '' });
  });

  test('of a directory that is swapped for a link all the time never land outside', async () => {
    const bundle = asTheEngine(['/bin/payload', 'echo', 'in'], (config) => {
      config.linux['maskedPaths'] = ['/work/target/below'];
      config.linux['readonlyPaths'] = ['/work/target'];
    });
    const work = join(bundle.rootfs, 'work');
    mkdirSync(join(work, 'target/below'), { recursive: true });
    symlinkSync(canary, join(work, 'link'));
    const flipper = spawnProgram(PAYLOAD, ['flip', join(work, 'target'), join(work, 'link')], { stdio: 'ignore' });
    try {
      for (let round = 0; round < 60; round++) await bundle.runtime('run', bundle.id);
    } finally {
      flipper.kill('SIGKILL');
      await new Promise((resolve) => flipper.on('close', resolve));
    }
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(canary);
    expect(shop.leftovers()).toEqual([]);
  });
});

describe.skipIf(OTHER_NUMBERS)('much of everything', () => {
  test('works, or is refused: nothing is cut off (CVE-2021-43784)', async () => {
    const long = 'x'.repeat(100 << 10);
    const env = Array.from({ length: 15 }, (_, index) => `V${index}=${long}`);
    const text = await inside(['/bin/payload', 'echo', long, 'env'], (config) => {
      config.process.env = env;
      config.mounts.push(
        ...Array.from({ length: 300 }, (_, index) => ({
          destination: `/many/${index}`,
          type: 'tmpfs',
          options: ['ro'],
        })),
      );
    });
    expect(text).toBe(`${long}\n${env.join('\n')}\n`);
  });

  test.each([
    { what: 'an argument', change: (config: Config) => config.process.args.push('y'.repeat(200 << 10)) },
    {
      what: 'the environment',
      change: (config: Config) => {
        config.process.env = Array.from({ length: 40 }, (_, index) => `V${index}=${'z'.repeat(100 << 10)}`);
      },
    },
  ])('$what beyond the kernel’s limit', async ({ change }) => {
    const bundle = asTheEngine(['/bin/payload', 'true'], change);
    const result = await bundle.runtime('run', bundle.id);
    expect(result.status).not.toBe(0);
    expect(result.stderr).toContain('Argument list too long');
  });

  test('a path of 100 KiB', async () => {
    const bundle = asTheEngine(['/bin/payload', 'true'], (config) => {
      config.process.cwd = `/${'d/'.repeat(50 << 10)}`;
    });
    const result = await bundle.runtime('run', bundle.id);
    expect(result.status).toBe(1);
    expect(result.stderr).toContain('File name too long');
  });
});
