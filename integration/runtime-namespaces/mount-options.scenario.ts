import { chmodSync, chownSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunResult, runProgram } from '../../src/host/index.ts';
import { type Bundle, type Config, type ConfigMount, RUNTIME } from '../kit/bundle.ts';
import { Containers } from './containers.ts';

let containers: Containers;
beforeAll(() => {
  containers = new Containers();
});
afterAll(() => containers.close());

/** A directory with one below, to be mounted from. */
function source(name: string): string {
  const path = join(containers.shop.directory, name);
  mkdirSync(join(path, 'below'), { recursive: true });
  writeFileSync(join(path, 'file'), 'from the source\n');
  return path;
}

const mounting =
  (...mounts: ConfigMount[]) =>
  (config: Config) => {
    config.mounts.push(...mounts);
  };

/** Runs a container in a mount namespace of its own, prepared by a script with the words as $1 …. */
function prepared(bundle: Bundle, script: string, ...words: string[]): Promise<RunResult> {
  const run = [RUNTIME, ...bundle.options, 'run', '--bundle', bundle.directory, bundle.id];
  const text = `${script}; shift ${words.length}; exec "$@"`;
  return runProgram('/usr/bin/unshare', [
    '-m',
    '--propagation',
    'private',
    '/bin/sh',
    '-ec',
    text,
    'sh',
    ...words,
    ...run,
  ]);
}

/** Mount options, optional fields and file system options of what is mounted there. */
function mountOf(mountinfo: string, path: string): { options: string[]; fields: string; own: string } {
  const line = mountinfo.split('\n').find((entry) => entry.split(' ')[4] === path) ?? '';
  const [front = '', back = ''] = line.split(' - ');
  const [, , , , , options = '', ...fields] = front.split(' ');
  return { options: options.split(','), fields: fields.join(' '), own: back };
}

describe('attributes', () => {
  test.each([
    [['ro'], ['ro']],
    [['ro', 'rw'], ['rw']],
    [
      ['nosuid', 'nodev', 'noexec'],
      ['nosuid', 'nodev', 'noexec'],
    ],
    [['nosuid', 'suid'], ['rw']],
    [['noatime'], ['noatime']],
    [['relatime'], ['relatime']],
    [
      ['noatime', 'nodiratime'],
      ['noatime', 'nodiratime'],
    ],
    [['strictatime'], ['rw']],
    [['nosymfollow'], ['nosymfollow']],
    [['nosymfollow', 'symfollow'], ['rw']],
    [['rro'], ['ro']],
    [
      ['rnoexec', 'rnosuid'],
      ['nosuid', 'noexec'],
    ],
  ])('%j', async (options, expected) => {
    const bind = { destination: '/bind', type: 'bind', source: source('attributes'), options: ['bind', ...options] };
    const fresh = { destination: '/fresh', type: 'tmpfs', source: 'tmpfs', options };
    const text = await containers.inside(['mounts'], mounting(bind, fresh), 0);
    for (const path of ['/bind', '/fresh']) {
      const found = mountOf(text, path).options;
      expect(found, path).toEqual(expect.arrayContaining(expected));
      for (const word of ['nosuid', 'noexec', 'nosymfollow', 'noatime', 'relatime'])
        if (!expected.includes(word) && (word !== 'relatime' || options.includes('strictatime')))
          expect(found, path).not.toContain(word);
    }
  });

  test('the r forms reach the mounts below, the others do not, and each can clear', async () => {
    const place = source('recursive');
    const look = async (option: string) => {
      const bind = { destination: '/tree', type: 'bind', source: place, options: ['rbind', ...option.split(' ')] };
      const bundle = containers.bundle(['mounts'], mounting(bind), 0);
      const result = await prepared(bundle, 'mount -t tmpfs -o nosuid,noatime deep "$1/below"', place);
      expect(result).toMatchObject({ status: 0, stderr: '' });
      return mountOf(result.stdout, '/tree/below').options;
    };
    expect(await look('ro')).toContain('rw');
    expect(await look('rro')).toEqual(expect.arrayContaining(['ro', 'nosuid', 'noatime']));
    expect(await look('rnodev rnoexec rnosymfollow')).toEqual(
      expect.arrayContaining(['nodev', 'noexec', 'nosymfollow']),
    );
    expect(await look('rsuid rstrictatime')).toEqual(['rw']);
    expect(await look('rrelatime')).toContain('relatime');
    expect(await look('rro rrw')).toContain('rw');
  });

  test('options of the file system, and one that it does not know', async () => {
    const text = await containers.inside(
      ['mounts', 'stat', '/t'],
      mounting({ destination: '/t', type: 'tmpfs', options: ['size=64k', 'mode=0711', 'nr_inodes=10', 'uid=7'] }),
      0,
    );
    expect(mountOf(text, '/t').own).toContain('size=64k,nr_inodes=10,mode=711,uid=7');
    expect(text).toContain('stat /t: mode=40711 uid=7');
    expect(
      await containers.refusal(mounting({ destination: '/t', type: 'tmpfs', options: ['shape=round'] })),
    ).toContain("mount: /t: option 'shape=round': Invalid argument");
    expect(await containers.refusal(mounting({ destination: '/t', type: 'moonfs' }))).toContain(
      'this kernel has no file system type moonfs',
    );
  });
});

describe('tmpfs over a directory of the image', () => {
  const image = (bundle: Bundle) => {
    mkdirSync(join(bundle.rootfs, 'var/deep'), { recursive: true });
    writeFileSync(join(bundle.rootfs, 'var/deep/file'), 'of the image\n');
    chownSync(join(bundle.rootfs, 'var/deep/file'), 11, 12);
    chmodSync(join(bundle.rootfs, 'var/deep/file'), 0o4751);
    symlinkSync('/etc/shadow', join(bundle.rootfs, 'var/link'));
    chmodSync(join(bundle.rootfs, 'var'), 0o1770);
  };
  const words = ['stat', '/var', 'stat', '/var/deep/file', 'stat', '/var/link', 'write', '/var/new', 'x'];
  const look = async (options: string[]) => {
    const bundle = containers.bundle(words, mounting({ destination: '/var', type: 'tmpfs', options }), 0);
    image(bundle);
    const result = await bundle.runtime('run', bundle.id);
    expect(result).toMatchObject({ status: 0, stderr: '' });
    return result.stdout;
  };

  test('has its mode unless it says another', async () => {
    const text = await look([]);
    expect(text).toContain('stat /var: mode=41770 uid=0');
    expect(text).toContain('stat /var/deep/file: No such file');
    expect(await look(['mode=700'])).toContain('stat /var: mode=40700');
  });

  test('tmpcopyup: begins with its content, links as links', async () => {
    const text = await look(['tmpcopyup']);
    expect(text).toContain('stat /var: mode=41770 uid=0');
    expect(text).toContain('stat /var/deep/file: mode=104751 uid=11 gid=12 rdev=0:0 size=13');
    expect(text).toContain('stat /var/link: mode=120777');
    expect(text).toContain('write /var/new: ok');
    expect(await look(['tmpcopyup', 'ro'])).toContain('write /var/new: Read-only file system');
  });

  test('tmpcopyup that does not fit is an error', async () => {
    const bundle = containers.bundle(
      ['true'],
      mounting({ destination: '/var', type: 'tmpfs', options: ['tmpcopyup', 'size=4k'] }),
      0,
    );
    mkdirSync(join(bundle.rootfs, 'var'));
    writeFileSync(join(bundle.rootfs, 'var/large'), 'x'.repeat(100_000));
    const result = await bundle.runtime('run', bundle.id);
    expect(result.stderr).toContain('mount: /var: tmpcopyup: cannot copy large: No space left on device');
  });
});

describe('remount', () => {
  test('changes a bind mount, and a file system', async () => {
    const bind = { destination: '/b', type: 'bind', source: source('remount'), options: ['bind'] };
    const text = await containers.inside(
      ['mounts'],
      mounting(
        bind,
        { destination: '/b', type: 'none', options: ['remount', 'bind', 'ro', 'nosuid'] },
        { destination: '/t', type: 'tmpfs', options: ['size=64k'] },
        { destination: '/t', type: 'tmpfs', options: ['remount', 'size=128k', 'noexec'] },
        { destination: '/proc', options: ['remount', 'ro'] },
      ),
      0,
    );
    expect(mountOf(text, '/b').options).toEqual(expect.arrayContaining(['ro', 'nosuid']));
    expect(mountOf(text, '/t').own).toContain('size=128k');
    expect(mountOf(text, '/t').options).toContain('noexec');
    expect(mountOf(text, '/proc').options).toContain('ro');
  });

  test('of what is no mount is refused', async () => {
    const change = mounting({ destination: '/bin', options: ['remount', 'ro'] });
    expect(await containers.refusal(change)).toContain('mount: /bin: remount: nothing is mounted there');
  });
});

describe('destinations', () => {
  test('are made: directories, files, below links to nothing; a relative one is told', async () => {
    const place = source('destinations');
    const file = { type: 'bind', source: join(place, 'file'), options: ['bind'] };
    const bundle = containers.bundle(
      [
        'cat',
        '/new/deep/file',
        'cat',
        '/etc/resolv.conf',
        'cat',
        '/run/resolve/stub',
        'cat',
        '/rel/file',
        'ls',
        '/data/in',
      ],
      mounting(
        { destination: '/new/deep/file', ...file },
        { destination: '/etc/resolv.conf', ...file },
        { destination: 'rel', ...file, source: place },
        { destination: '/etc/data/in', ...file, source: place },
      ),
      0,
    );
    mkdirSync(join(bundle.rootfs, 'etc'));
    symlinkSync('../../../run/resolve/stub', join(bundle.rootfs, 'etc/resolv.conf'));
    symlinkSync('/data', join(bundle.rootfs, 'etc/data'));
    const result = await bundle.runtime('run', bundle.id);
    expect(result.stderr).toContain('destination: rel is not absolute, taken as /rel');
    expect(result.stdout).toBe(`${'from the source\n'.repeat(4)}file\nbelow\n`);
    expect(readFileSync(join(bundle.rootfs, 'run/resolve/stub'), 'utf8')).toBe('');
    expect(containers.left(bundle)).toEqual([]);
  });

  test('links in circles end', async () => {
    const bundle = containers.bundle(
      ['true'],
      mounting({ destination: '/a/x', type: 'bind', source: source('circle'), options: ['bind'] }),
      0,
    );
    symlinkSync('b', join(bundle.rootfs, 'a'));
    symlinkSync('a', join(bundle.rootfs, 'b'));
    const result = await bundle.runtime('run', bundle.id);
    expect(result.stderr).toContain('Too many levels of symbolic links');
    expect(containers.left(bundle)).toEqual([]);
  });
});

describe('propagation', () => {
  /** Optional fields of `/` and `/p` in a container, below a host where all is shared; and the source's own on the host. */
  const look = async (root: string | undefined, option: string) => {
    const place = source('propagation');
    const bundle = containers.bundle(
      ['mounts'],
      (config) => {
        if (root !== undefined) config.linux['rootfsPropagation'] = root;
        config.mounts.push({ destination: '/p', type: 'bind', source: place, options: ['rbind', option] });
      },
      0,
    );
    const script = 'mount --make-rshared /; mount --bind "$1" "$1"; grep " $1 " /proc/self/mountinfo';
    const result = await prepared(bundle, script, place);
    expect(result).toMatchObject({ status: 0, stderr: '' });
    const [host = '', ...rest] = result.stdout.split('\n');
    const group = /shared:(\d+)/.exec(host)?.[1] ?? '';
    const text = rest.join('\n');
    expect(group).not.toBe('');
    expect(containers.left(bundle)).toEqual([]);
    return { group, root: mountOf(text, '/').fields, mount: mountOf(text, '/p').fields };
  };

  test('private by default: nothing comes or goes', async () => {
    expect(await look(undefined, 'rprivate')).toMatchObject({ root: '', mount: '' });
  });

  test('slave: what the host mounts arrives', async () => {
    const found = await look('rslave', 'rslave');
    expect(found.mount).toBe(`master:${found.group}`);
    expect(found.root).toMatch(/^master:\d+$/);
  });

  test('shared: one group with the host', async () => {
    const found = await look('shared', 'rshared');
    expect(found.mount).toContain(`shared:${found.group}`);
    expect(found.root).toContain('shared:');
  });

  test('unbindable', async () => {
    const found = await look('unbindable', 'runbindable');
    expect(found).toMatchObject({ root: 'unbindable', mount: 'unbindable' });
  });
});
