import { execFileSync, spawn } from 'node:child_process';
import {
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { beforeEach, describe, expect, it } from 'vitest';
import { busyboxRootfsTar } from '../kit/images.ts';
import { identityOf } from '../kit/keeper.ts';
import { directory, Place, streamOf, tarOf, tool } from './place.ts';

/** Content into and out of the merged view: COPY, ADD and cp. */
const place = new Place();

describe('COPY and ADD', () => {
  let lower: string;
  let upper: string;
  let work: string;
  let context: string;
  beforeEach(async () => {
    lower = place.made('lower');
    upper = place.made('upper');
    work = place.made('work');
    context = place.made('context');
    await tool.apply(lower, busyboxRootfsTar());
    mkdirSync(join(lower, 'opt/real'), { recursive: true });
    symlinkSync('/opt/real', join(lower, 'opt/link'));
    symlinkSync(place.canary, join(lower, 'escape'));
    mkdirSync(join(context, 'dir/sub'), { recursive: true });
    writeFileSync(join(context, 'dir/sub/deep'), 'deep');
    writeFileSync(join(context, 'dir/a'), 'a', { mode: 0o640 });
    linkSync(join(context, 'dir/a'), join(context, 'dir/b'));
    symlinkSync('a', join(context, 'dir/l'));
    symlinkSync(join(place.canary, 'secret'), join(context, 'out'));
    writeFileSync(join(context, 'file'), 'file');
    execFileSync('chown', ['-R', '1234:1234', context]);
    execFileSync('tar', ['-czf', join(context, 'x.tgz'), '-C', context, 'dir']);
  });

  const copy = (destination: string, paths: readonly string[], extra: object = {}) =>
    tool.copy({
      lower: [lower],
      upper,
      work,
      source: { kind: 'directory', root: context, paths },
      destination,
      ...extra,
    });

  it.each<[string, string, readonly string[], object, readonly string[]]>([
    ['a file to a new name', '/srv/new', ['file'], {}, ['srv/new']],
    ['a file into an existing directory', '/etc', ['file'], {}, ['etc/file']],
    ['a file with a trailing slash', '/fresh/', ['file'], {}, ['fresh/file']],
    ['a file through a link', '/opt/link', ['file'], {}, ['opt/real/file']],
    ['the content of a directory', '/app', ['dir'], {}, ['app/a', 'app/b', 'app/l', 'app/sub/deep']],
    ['several sources', '/many/', ['file', 'dir'], {}, ['many/a', 'many/b', 'many/file', 'many/l', 'many/sub/deep']],
    [
      'the whole context',
      '/all/',
      ['.'],
      {},
      ['all/dir/a', 'all/dir/b', 'all/dir/l', 'all/dir/sub/deep', 'all/file', 'all/out', 'all/x.tgz'],
    ],
    [
      'an archive that is unpacked',
      '/unpacked',
      ['x.tgz'],
      { extractArchives: true },
      ['unpacked/dir/a', 'unpacked/dir/b', 'unpacked/dir/l', 'unpacked/dir/sub/deep'],
    ],
    ['an archive that is not', '/unpacked/', ['x.tgz'], {}, ['unpacked/x.tgz']],
    ['an ordinary file by ADD', '/f', ['file'], { extractArchives: true }, ['f']],
    ['with parents', '/p/', ['dir/sub/deep'], { parents: true }, ['p/dir/sub/deep']],
    ['a destination that leads out', '/escape/x', ['file'], {}, []],
  ])('%s', async (_, destination, paths, extra, expected) => {
    if (expected.length === 0) {
      await expect(copy(destination, paths, extra)).rejects.toMatchObject({ kind: expect.anything() });
      expect(readdirSync(place.canary)).toEqual(['secret']);
      return;
    }
    await copy(destination, paths, extra);
    const found = execFileSync('find', ['.', '!', '-type', 'd'], { cwd: upper, encoding: 'utf8' });
    expect(
      found
        .split('\n')
        .filter(Boolean)
        .map((path) => path.slice(2))
        .sort(),
    ).toEqual(expected);
  });

  it('gives everything to root, or to the owner and mode asked for', async () => {
    await copy('/app', ['dir']);
    expect(lstatSync(join(upper, 'app/a'))).toMatchObject({ uid: 0, gid: 0, mode: 0o100640, nlink: 2 });
    await copy('/mine/app/', ['file'], { owner: { uid: 5, gid: 6 }, mode: 0o751 });
    expect(statSync(join(upper, 'mine/app/file'))).toMatchObject({ uid: 5, gid: 6, mode: 0o100751 });
    expect(statSync(join(upper, 'mine'))).toMatchObject({ uid: 5, mode: 0o040755 });
  });

  it('copies from other layers with their owners, links in the source stay inside it', async () => {
    await tool.copy({
      lower: [lower],
      upper,
      work,
      source: { kind: 'layers', lower: [context, lower], paths: ['dir/a'] },
      destination: '/from',
    });
    expect(statSync(join(upper, 'from'))).toMatchObject({ uid: 1234 });
    await expect(copy('/stolen', ['out'])).rejects.toMatchObject({ code: 'layer/not-found' });
    await expect(copy('/stolen', ['../canary/secret'])).rejects.toMatchObject({ code: 'layer/not-found' });
  });

  it('on scratch writes straight into the upper directory', async () => {
    await tool.copy({
      lower: [],
      upper,
      work,
      source: { kind: 'directory', root: context, paths: ['file'] },
      destination: '/',
    });
    expect(readFileSync(join(upper, 'file'), 'utf8')).toBe('file');
  });

  it('refuses a file over a directory and a directory over a file', async () => {
    mkdirSync(join(context, 'clash/etc/passwd'), { recursive: true });
    await expect(copy('/', ['clash'])).rejects.toMatchObject({ code: 'layer/conflict' });
  });
});

describe('cp in and out', () => {
  it('of a stopped container, volumes included, without any mount on the host', async () => {
    const lower = place.made('lower');
    const upper = place.made('upper');
    const work = place.made('work');
    const volume = place.made('volume');
    await tool.apply(lower, busyboxRootfsTar());
    writeFileSync(join(volume, 'v'), 'volume');
    const tree = {
      kind: 'overlay',
      lower: [lower],
      upper,
      work,
      mounts: [{ source: volume, target: '/var/www', readOnly: true }],
    } as const;
    expect(await tool.stat({ tree, path: '/bin/sh' })).toMatchObject({ name: 'sh', linkTarget: 'busybox' });
    const names = execFileSync('tar', ['-tf', '-'], {
      input: await buffer(tool.archive({ tree, path: '/var' })),
      encoding: 'utf8',
    });
    expect(names).toContain('var/www/v');
    await tool.extract({ tree, path: '/etc' }, streamOf(await tarOf([{ name: 'put', body: 'put', uid: 9 }])));
    expect(statSync(join(upper, 'etc/put'))).toMatchObject({ uid: 0 });
    await expect(
      tool.extract({ tree, path: '/var/www' }, streamOf(await tarOf([{ name: 'w', body: '' }]))),
    ).rejects.toMatchObject({ code: 'layer/denied' });
    await expect(tool.stat({ tree, path: '/nope' })).rejects.toMatchObject({ code: 'layer/not-found' });
    await expect(
      tool.extract({ tree, path: '/etc', noOverwriteDirNonDir: true }, streamOf(await tarOf([directory('passwd')]))),
    ).rejects.toMatchObject({ code: 'layer/conflict' });
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(place.home);
  });

  it('X11 of a running one while it swaps the path for a link', async () => {
    await tool.apply(place.root, busyboxRootfsTar());
    const started = spawn(
      'unshare',
      [
        '--mount',
        '--propagation',
        'private',
        '/bin/busybox',
        'sh',
        '-c',
        'mount --bind "$1" "$1" && cd "$1" && mkdir old && /sbin/pivot_root . old && umount -l /old && exec /bin/sh -c \'mkdir -p /w/d; echo ready; while :; do mkdir /w/d; echo in > /w/d/f; rm -rf /w/d; ln -s "$0" /w/d; rm -f /w/d; done\' "$2"',
        'sh',
        place.root,
        place.canary,
      ],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    try {
      await new Promise((resolve) => started.stdout.once('data', resolve));
      const tree = { kind: 'process', process: await identityOf(started.pid ?? 0) } as const;
      const input = await tarOf([{ name: 'from-host', body: 'x' }]);
      for (let round = 0; round < 100; round += 1) {
        await tool.extract({ tree, path: '/w/d' }, streamOf(input)).catch(() => undefined);
        const out = await text(tool.archive({ tree, path: '/w/d/' })).catch(() => '');
        expect(out).not.toContain('secret');
      }
      expect(await tool.stat({ tree, path: '/bin/busybox' })).toMatchObject({ name: 'busybox' });
      // The container may have ended since, and its number be that of a process of the host.
      const { pid, startTime } = tree.process;
      const later = { kind: 'process', process: { pid, startTime: startTime - 1 } } as const;
      await expect(tool.extract({ tree: later, path: '/' }, streamOf(input))).rejects.toThrow(/has ended/);
      await expect(tool.stat({ tree: later, path: '/bin/busybox' })).rejects.toThrow(/has ended/);
    } finally {
      started.kill('SIGKILL');
      await new Promise((resolve) => started.once('close', resolve));
    }
    place.expectCanaryUntouched();
  });
});
