import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { spawnProgram } from '../../src/host/index.ts';
import { type Bundle, type Config, PAYLOAD } from '../kit/bundle.ts';
import { Containers, FIRST_ID, giveTree, withUsers } from './containers.ts';

let containers: Containers;
let canary: string;
const pattern = readFileSync('/proc/sys/kernel/core_pattern', 'utf8');
beforeAll(() => {
  containers = new Containers();
  canary = mkdtempSync('/tmp/tsc-canary-');
  writeFileSync(join(canary, 'file'), 'untouched');
  // Writable for the containers' root: only confinement keeps it out.
  giveTree(canary, FIRST_ID);
});
afterAll(async () => {
  await containers.close();
  expect(readdirSync(canary)).toEqual(['file']);
  expect(readFileSync(join(canary, 'file'), 'utf8')).toBe('untouched');
  expect(readFileSync('/proc/sys/kernel/core_pattern', 'utf8')).toBe(pattern);
  rmSync(canary, { recursive: true });
});

const withoutDev = (config: Config): void => {
  config.mounts = config.mounts.filter(({ destination }) => !destination.startsWith('/dev'));
};

async function attempt(
  prepare: (bundle: Bundle) => void,
  change: (config: Config) => void = () => undefined,
  words = ['true'],
) {
  const bundle = containers.bundle(words, (config) => {
    withUsers(config);
    change(config);
  });
  prepare(bundle);
  giveTree(bundle.rootfs, FIRST_ID);
  const result = await bundle.runtime('run', bundle.id);
  expect(containers.left(bundle)).toEqual([]);
  return result;
}

describe('an image with symbolic links, in a user namespace', () => {
  test.each(['proc', 'sys', 'dev'])('/%s leading elsewhere is refused', async (name) => {
    const result = await attempt(
      ({ rootfs }) => symlinkSync(canary, join(rootfs, name)),
      name === 'dev' ? withoutDev : undefined,
    );
    expect(result.status).toBe(1);
    expect(result.stderr).toContain(`refused: /${name}`);
  });

  test.each(['null', 'console'])('/dev/%s leading to core_pattern gets no mount', async (name) => {
    const result = await attempt(({ rootfs }) => {
      mkdirSync(join(rootfs, 'dev'));
      symlinkSync('/proc/sys/kernel/core_pattern', join(rootfs, 'dev', name));
    }, withoutDev);
    if (name === 'null') expect(result.stderr).toContain('refused: /dev/null of the container');
    else expect(result.status).toBe(0);
  });

  test('a device below a directory leading elsewhere is refused', async () => {
    const result = await attempt(
      ({ rootfs }) => symlinkSync(canary, join(rootfs, 'nodes')),
      (config) => {
        config.linux['devices'] = [{ path: '/nodes/null', type: 'c', major: 1, minor: 3 }];
      },
    );
    expect(result.stderr).toContain('refused: /nodes of the container');
  });

  test('a mount target leading to nothing is made inside the root', async () => {
    const outside = join(canary, 'made');
    const result = await attempt(
      ({ rootfs }) => symlinkSync(`../../../..${outside}`, join(rootfs, 'data')),
      (config) => {
        config.mounts.push({ destination: '/data', type: 'tmpfs', options: ['nosuid'] });
      },
      ['mounts'],
    );
    expect(result).toMatchObject({ status: 0, stderr: '' });
    expect(result.stdout).toContain(` ${outside} rw,nosuid`);
  });

  test('tmpcopyup copies a link, not what it leads to, and no device', async () => {
    const result = await attempt(
      ({ rootfs }) => {
        mkdirSync(join(rootfs, 'var'));
        symlinkSync(join(canary, 'file'), join(rootfs, 'var/secret'));
        symlinkSync(canary, join(rootfs, 'var/directory'));
      },
      (config) => {
        config.mounts.push({ destination: '/var', type: 'tmpfs', options: ['tmpcopyup'] });
      },
      ['stat', '/var/secret', 'stat', '/var/directory', 'cat', '/var/secret', 'exit', '0'],
    );
    expect(result.stdout).toContain('stat /var/secret: mode=120777');
    expect(result.stdout).toContain('stat /var/directory: mode=120777');
    expect(result.stdout).not.toContain('untouched');
  });

  test('a tmpfs destination that is a link to a tree outside copies nothing of it', async () => {
    const result = await attempt(
      ({ rootfs }) => symlinkSync(canary, join(rootfs, 'var')),
      (config) => {
        config.mounts.push({ destination: '/var', type: 'tmpfs', options: ['tmpcopyup'] });
      },
      ['ls', canary],
    );
    expect(result).toMatchObject({ status: 0, stdout: '' });
  });
});

describe('the host from a user namespace', () => {
  test('its files are nobody’s, its kernel cannot be set, no device made', async () => {
    const result = await attempt(
      () => undefined,
      (config) => {
        const all = ['CAP_SYS_ADMIN', 'CAP_DAC_OVERRIDE', 'CAP_CHOWN', 'CAP_MKNOD', 'CAP_SYS_RESOURCE'];
        config.process['capabilities'] = { bounding: all, permitted: all, effective: all };
        config.linux['maskedPaths'] = [];
        config.linux['readonlyPaths'] = [];
        config.mounts.push({ destination: '/host', type: 'bind', source: '/etc', options: ['rbind'] });
      },
      [
        'write',
        '/host/tsc-made',
        'x',
        'write',
        '/proc/sys/kernel/core_pattern',
        'x',
        'mknod',
        '/d',
        '7',
        '0',
        'cat',
        '/host/shadow',
      ],
    );
    expect(result.stdout).toContain('write /host/tsc-made: Permission denied');
    expect(result.stdout).toContain('open /host/shadow: Permission denied');
    expect(result.stdout).toContain('write /proc/sys/kernel/core_pattern: Permission denied');
    expect(result.stdout).toContain('mknod: Operation not permitted');
  });

  test('a target swapped for a link all the time never leads outside', async () => {
    const volume = join(containers.shop.directory, 'volume');
    mkdirSync(join(volume, 'real'), { recursive: true });
    symlinkSync(canary, join(volume, 'swap'));
    giveTree(volume, FIRST_ID);
    const flipper = spawnProgram(PAYLOAD, ['flip', join(volume, 'real'), join(volume, 'swap')], { stdio: 'ignore' });
    let inside = 0;
    try {
      for (let round = 0; round < 40; round++) {
        const bundle = containers.bundle(['true'], (config) => {
          withUsers(config);
          config.mounts.push(
            { destination: '/v', type: 'bind', source: volume, options: ['bind'] },
            { destination: '/v/real/in', type: 'tmpfs', options: [] },
          );
        });
        const { status } = await bundle.runtime('run', bundle.id);
        inside += status === 0 ? 1 : 0;
        expect(statSync(canary).uid).toBe(FIRST_ID);
        expect(readdirSync(canary)).toEqual(['file']);
      }
    } finally {
      flipper.kill('SIGKILL');
      await new Promise((resolve) => flipper.on('close', resolve));
    }
    expect(inside).toBeGreaterThan(0);
  });
});
