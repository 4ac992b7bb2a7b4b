import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { workshopOfFile } from '../kit/workshop.ts';
import { containersOf } from './containers.ts';

/** Mounts, masks, the overlay and devices, seen from inside. */
const shop = workshopOfFile();
const { created, inside } = containersOf(shop);

describe('file systems', () => {
  test('masked paths are empty, read-only ones refuse writes', async () => {
    const masked = ['/proc/keys', '/proc/timer_list', '/sys/firmware', '/proc/acpi'].filter((path) => existsSync(path));
    expect(masked).not.toEqual([]);
    const words = masked.flatMap((path) => (statSync(path).isDirectory() ? ['ls', path] : ['cat', path]));
    expect(await inside(words)).toBe('');
    const text = await inside([
      'write',
      '/proc/sys/kernel/core_pattern',
      'x',
      'write',
      '/proc/keys',
      'x',
      'write',
      '/sys/kernel/x',
      'x',
      'mounts',
    ]);
    expect(text).toContain('write /proc/sys/kernel/core_pattern: Read-only file system');
    expect(text).toMatch(/ \/proc\/sys ro,nosuid,nodev,noexec/);
  });

  test('the root can be read-only, the container keeps its tmpfs', async () => {
    const text = await inside(
      ['write', '/file', 'x', 'write', '/dev/shm/file', 'x', 'mounts'],
      (config) => {
        config.root.readonly = true;
        config.process.cwd = '/srv/made';
      },
      (bundle) => {
        for (const name of ['proc', 'dev', 'sys']) mkdirSync(join(bundle.rootfs, name));
      },
    );
    expect(text).toContain('write /file: Read-only file system\nwrite /dev/shm/file: ok\n');
  });

  test('bind mounts take their options, recursively on request', async () => {
    const source = join(shop.directory, 'source');
    mkdirSync(join(source, 'below'), { recursive: true });
    writeFileSync(join(source, 'file'), 'content');
    const text = await inside(
      [
        'write',
        '/ro/file',
        'x',
        'write',
        '/rw/new',
        'x',
        'cat',
        '/etc/one',
        'write',
        '/rro/proc/sys/kernel/hostname',
        'x',
        'mounts',
      ],
      (config) => {
        config.mounts.push(
          { destination: '/ro', type: 'bind', source, options: ['rbind', 'ro', 'nosuid', 'rprivate'] },
          { destination: '/rw', type: 'bind', source, options: ['bind', 'noexec'] },
          { destination: '/etc/one', type: 'bind', source: join(source, 'file'), options: ['bind', 'ro'] },
          { destination: '/rro', type: 'bind', source: '/', options: ['rbind', 'rro'] },
        );
      },
    );
    expect(text).toContain(
      'write /ro/file: Read-only file system\nwrite /rw/new: ok\ncontentwrite /rro/proc/sys/kernel/hostname: Read-only file system',
    );
    expect(text).toMatch(/ \/ro ro,nosuid/);
    expect(text).toMatch(/ \/rw rw,noexec/);
    expect(text).not.toMatch(/ \/rro\/\S* rw/);
  });

  test('nothing propagates to the host or back', async () => {
    const { bundle, pid } = await created();
    const text = readFileSync(`/proc/${pid}/mountinfo`, 'utf8');
    expect(text).not.toMatch(/ (shared|master):/);
    expect(shop.leftovers().filter((line) => line.includes('rootfs'))).toEqual([]);
    await bundle.runtime('delete', '--force', bundle.id);
  });

  test('the overlay is mounted inside, and shows no path of the host', async () => {
    const layers = ['top', 'middle', 'bottom'].map((name) => join(shop.directory, 'layers:x', name));
    for (const [index, layer] of layers.entries()) {
      mkdirSync(layer, { recursive: true });
      writeFileSync(join(layer, 'same'), `from ${index}\n`);
    }
    const bundle = shop.bundle(['cat', '/same', 'write', '/new', 'kept', 'mounts'], (config) => {
      const upper = join(shop.directory, 'upper');
      const work = join(shop.directory, 'work');
      for (const directory of [upper, work]) mkdirSync(directory, { recursive: true });
      config.annotations['dev.tscompose.overlay'] = JSON.stringify({ lower: layers, upper, work });
    });
    mkdirSync(join(layers[2] ?? '', 'bin'), { recursive: true });
    await runProgram('/bin/cp', [join(bundle.rootfs, 'bin/payload'), join(layers[2] ?? '', 'bin/payload')]);
    const result = await bundle.runtime('run', bundle.id);
    expect(result).toMatchObject({ status: 0, stderr: '' });
    expect(result.stdout).toContain('from 0\nwrite /new: ok\n');
    expect(result.stdout).toMatch(/ \/ rw,relatime - overlay overlay /);
    expect(result.stdout).not.toContain(shop.directory);
    expect(readFileSync(join(shop.directory, 'upper/new'), 'utf8')).toBe('kept');
    expect(existsSync(join(bundle.rootfs, 'new'))).toBe(false);
    expect(shop.leftovers()).toEqual([]);
  });

  test('default devices are there, others are closed', async () => {
    const text = await inside(
      ['stat', '/dev/null', 'stat', '/dev/tty', 'stat', '/dev/ptmx', 'stat', '/dev/fd', 'mknod', '/disk', '254', '0'],
      (config) => {
        config.linux['devices'] = [{ path: '/dev/net/tun', type: 'c', major: 10, minor: 200, fileMode: 0o600, uid: 3 }];
      },
    );
    expect(text).toContain('stat /dev/null: mode=20666 uid=0 gid=0 rdev=1:3');
    expect(text).toContain('stat /dev/tty: mode=20666 uid=0 gid=0 rdev=5:0');
    expect(text).toContain('stat /dev/ptmx: mode=120777');
    expect(text).toContain('stat /dev/fd: mode=120777');
    expect(text).toContain('mknod: ok\nopen: Operation not permitted');
  });
});

test('a working directory that is a symbolic link of the image stays inside', async () => {
  const canary = join(shop.directory, 'canary');
  mkdirSync(canary);
  const text = await inside(
    ['cwd'],
    (config) => {
      config.process['cwd'] = '/link/made';
    },
    (bundle) => {
      mkdirSync(join(bundle.rootfs, canary), { recursive: true });
      symlinkSync(canary, join(bundle.rootfs, 'link'));
    },
  );
  expect(text).toBe(`${canary}/made\n`);
  expect(readdirSync(canary)).toEqual([]);
});
