import { execFileSync, spawn } from 'node:child_process';
import { lstatSync, readdirSync, readlinkSync, statSync, symlinkSync, unlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { LAYER_PROGRAM } from '../kit/stores.ts';
import { directory, hard, link, Place, type Row, streamOf, tarOf, tool } from './place.ts';

/** Archives that want out, lie about themselves or want too much. */
const place = new Place();

describe('X01 names and links that lead out stay inside', () => {
  it.each<[string, readonly Row[], string | undefined]>([
    ['dot-dot name', [{ name: '../canary/x', body: 'x' }], 'canary/x'],
    ['many dot-dots', [{ name: '../../../../../../canary/x', body: 'x' }], 'canary/x'],
    ['absolute name', [{ name: '/canary/x', body: 'x' }], 'canary/x'],
    ['dot-dot in the middle', [{ name: 'a/../../canary/x', body: 'x' }], 'canary/x'],
    [
      'absolute link, then through it',
      [link('l', '/canary'), directory('canary'), { name: 'l/x', body: 'x' }],
      'canary/x',
    ],
    [
      'relative link upwards',
      [link('l', '../../../canary'), directory('canary'), { name: 'l/x', body: 'x' }],
      'canary/x',
    ],
    [
      'chain of links',
      [link('a', 'b'), link('b', '../canary'), directory('canary'), { name: 'a/x', body: 'x' }],
      'canary/x',
    ],
    [
      'legal absolute link',
      [directory('run'), directory('var'), link('var/run', '/run'), { name: 'var/run/x', body: 'x' }],
      'run/x',
    ],
    ['file replaces a link', [link('f', '/canary/secret'), { name: 'f', body: 'mine' }], 'f'],
    ['directory replaces a link', [link('d', '/canary'), directory('d'), { name: 'd/x', body: 'x' }], 'd/x'],
  ])('%s', async (_, rows, expected) => {
    await place.apply(rows);
    if (expected) expect(lstatSync(join(place.root, expected)).isFile()).toBe(true);
    place.expectCanaryUntouched();
  });

  it.each<[string, readonly Row[]]>([
    ['through a link that dangles', [link('l', '/nowhere/at/all'), { name: 'l/x', body: 'x' }]],
    ['through a circle of links', [link('a', 'b'), link('b', 'a'), { name: 'a/x', body: 'x' }]],
    [
      'through a file',
      [
        { name: 'f', body: '' },
        { name: 'f/x', body: 'x' },
      ],
    ],
    ['a file in place of the root', [{ name: './', type: 'symlink', linkname: '/canary' }]],
  ])('refuses: %s', async (_, rows) => {
    await expect(place.apply(rows)).rejects.toMatchObject({
      code: expect.stringMatching(/^layer\/(invalid|conflict)$/),
    });
    place.expectCanaryUntouched();
  });

  it('never reaches the host through /proc/self/root', async () => {
    await expect(
      place.apply([link('l', `/proc/self/root${place.canary}`), { name: 'l/x', body: 'x' }]),
    ).rejects.toMatchObject({
      kind: expect.anything(),
    });
    place.expectCanaryUntouched();
  });
});

describe('X02 hard links', () => {
  it.each<[string, (canaryPath: string) => readonly Row[]]>([
    ['absolute target', (path) => [hard('x', path)]],
    ['dot-dot target', () => [hard('x', '../canary/secret')]],
    ['through a link', (path) => [link('l', dirname(path)), hard('x', 'l/secret')]],
    ['to a directory', () => [directory('d'), hard('x', 'd')]],
  ])('refuses %s', async (_, rows) => {
    await expect(place.apply(rows(join(place.canary, 'secret')))).rejects.toMatchObject({ kind: expect.anything() });
    place.expectCanaryUntouched();
  });

  it('to a link is a second name of the link, not of what it points at', async () => {
    await place.apply([link('l', '/canary/secret'), hard('x', 'l')]);
    expect(readlinkSync(join(place.root, 'x'))).toBe('/canary/secret');
    place.expectCanaryUntouched();
  });

  it('with an absolute name means the root', async () => {
    await place.apply([{ name: 'a', body: 'a' }, hard('b', '/a')]);
    expect(statSync(join(place.root, 'a')).nlink).toBe(2);
  });
});

it('X03 attributes never follow a link planted before', async () => {
  symlinkSync(join(place.canary, 'secret'), join(place.root, 'f'));
  symlinkSync(place.canary, join(place.root, 'd'));
  await place.apply([
    { name: 'f', body: 'new', mode: 0o777, uid: 7 },
    { name: 'd', type: 'directory', mode: 0o777, uid: 7 },
    { name: 's', type: 'symlink', linkname: '/canary/secret', uid: 7 },
  ]);
  expect(statSync(join(place.canary, 'secret')).uid).toBe(0);
  expect(lstatSync(join(place.root, 's')).uid).toBe(7);
  place.expectCanaryUntouched();
});

it('X04 somebody flips a directory into a link meanwhile', async () => {
  const flipper = spawn(
    '/bin/busybox',
    ['sh', '-c', 'while :; do mkdir -p d; rm -rf d; ln -s "$1" d; rm -f d; done', 'sh', place.canary],
    { cwd: place.root, stdio: 'ignore' },
  );
  try {
    const rows: Row[] = [];
    for (let index = 0; index < 400; index += 1) rows.push(directory(`d`), { name: `d/f${index}`, body: 'x' });
    const bytes = await tarOf(rows);
    for (let round = 0; round < 10; round += 1) await tool.apply(place.root, streamOf(bytes)).catch(() => undefined);
  } finally {
    flipper.kill('SIGKILL');
    await new Promise((resolve) => flipper.once('close', resolve));
  }
  place.expectCanaryUntouched();
});

describe('X05 headers that smuggle', () => {
  const patched = async (patch: (tar: Buffer) => void) => {
    const tar = await tarOf([
      { name: 'a', body: 'aaaa' },
      { name: 'b', body: 'b' },
    ]);
    patch(tar);
    let sum = 0;
    tar.fill(' ', 148, 156);
    for (const byte of tar.subarray(0, 512)) sum += byte;
    tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    return tar;
  };

  it.each<[string, (tar: Buffer) => void]>([
    ['negative size', (tar) => tar.fill(0xff, 124, 136)],
    ['size beyond the archive', (tar) => void tar.write('00077777777\0', 124, 'latin1')],
    ['size that is no number', (tar) => void tar.write('zzzzzzzzzzz\0', 124, 'latin1')],
  ])('%s ends in an error or in nothing outside', async (_, patch) => {
    await tool.apply(place.root, streamOf(await patched(patch))).catch(() => undefined);
    place.expectCanaryUntouched();
    for (const name of readdirSync(place.root)) expect(['a', 'b']).toContain(name);
  });

  it('an archive cut short is an error', async () => {
    const tar = await tarOf([{ name: 'a', body: 'a'.repeat(5000) }]);
    await expect(tool.apply(place.root, streamOf(tar.subarray(0, 2048)))).rejects.toMatchObject({
      code: 'layer/invalid',
    });
    await expect(tool.apply(place.root, streamOf(gzipSync(tar).subarray(0, 40)))).rejects.toMatchObject({
      code: 'layer/invalid',
    });
  });

  it('what is no archive is an error', async () => {
    await expect(tool.apply(place.root, streamOf(Buffer.alloc(2048, 'x')))).rejects.toMatchObject({
      code: 'layer/invalid',
    });
  });
});

describe('X09 bombs', () => {
  const run = (args: readonly string[], input: Uint8Array) =>
    JSON.parse(
      execFileSync('/bin/sh', ['-c', '"$0" "$@" 2>&1 || true', LAYER_PROGRAM, 'apply', '--root', place.root, ...args], {
        input,
        encoding: 'utf8',
      }),
    );

  it('stops at a ratio', async () => {
    const tar = await tarOf([{ name: 'zeroes', body: '\0'.repeat(16 << 20) }]);
    expect(run(['--max-ratio', '100', '--ratio-from', '1000000'], gzipSync(tar)).error.code).toBe('exhausted');
  });

  it('stops at bytes, content and entries', async () => {
    const tar = await tarOf([
      { name: 'a', body: 'x'.repeat(5000) },
      { name: 'b', body: '' },
    ]);
    expect(run(['--max-bytes', '4000'], tar).error.code).toBe('exhausted');
    expect(run(['--max-content', '4000'], tar).error.code).toBe('exhausted');
    expect(run(['--max-entries', '1'], tar).error.code).toBe('exhausted');
  });

  it('counts holes of sparse files as content', async () => {
    const sparse = join(place.home, 'sparse');
    execFileSync('truncate', ['-s', '1T', sparse]);
    const tar = execFileSync('tar', ['-S', '-cf', '-', '-C', place.home, 'sparse']);
    unlinkSync(sparse);
    expect(run([], tar).error.code).toBe('exhausted');
  });

  it('refuses paths that are too deep', async () => {
    await expect(place.apply([{ name: `${'a/'.repeat(1500)}x`, body: '' }])).rejects.toMatchObject({
      code: 'layer/invalid',
    });
  });
});
