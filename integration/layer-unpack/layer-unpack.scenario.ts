import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { type Header, pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openLayerTool } from '../../src/engine/layers/index.ts';
import { busyboxRootfsTar } from '../kit/images.ts';
import { LAYER_PROGRAM, openTestStores } from '../kit/stores.ts';

type Row = Partial<Header> & { readonly name: string; readonly body?: string };

/** A tar of exactly these entries, nothing made valid or added. */
function tarOf(rows: readonly Row[]): Promise<Buffer> {
  const tar = pack();
  for (const { body, ...header } of rows) {
    const full = { mtime: new Date(1000), ...header };
    if (header.type === undefined || header.type === 'file') tar.entry(full, body ?? '');
    else tar.entry(full).end(undefined);
  }
  tar.finalize();
  return buffer(tar as unknown as AsyncIterable<Uint8Array>);
}

const streamOf = (bytes: Uint8Array) => Readable.from([bytes], { objectMode: false });
const directory = (name: string): Row => ({ name, type: 'directory' });
const link = (name: string, target: string): Row => ({ name, type: 'symlink', linkname: target });
const hard = (name: string, target: string): Row => ({ name, type: 'link', linkname: target });

const tool = openLayerTool({ program: LAYER_PROGRAM });
let home: string;
let root: string;
let canary: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'tsc-layer-'));
  root = join(home, 'root');
  canary = join(home, 'canary');
  mkdirSync(root);
  mkdirSync(canary);
  writeFileSync(join(canary, 'secret'), 'secret', { mode: 0o600 });
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** Nothing outside the root changed: names, content, mode, number of links. */
function expectCanaryUntouched(): void {
  expect(readdirSync(home).sort()).toEqual(['canary', 'root']);
  expect(readdirSync(canary)).toEqual(['secret']);
  const { mode, nlink } = statSync(join(canary, 'secret'));
  expect([mode & 0o777, nlink, readFileSync(join(canary, 'secret'), 'utf8')]).toEqual([0o600, 1, 'secret']);
}

const apply = async (rows: readonly Row[], overlay = false) =>
  await tool.apply(root, streamOf(await tarOf(rows)), { overlay });

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
    await apply(rows);
    if (expected) expect(lstatSync(join(root, expected)).isFile()).toBe(true);
    expectCanaryUntouched();
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
    await expect(apply(rows)).rejects.toMatchObject({ code: expect.stringMatching(/^layer\/(invalid|conflict)$/) });
    expectCanaryUntouched();
  });

  it('never reaches the host through /proc/self/root', async () => {
    await expect(apply([link('l', `/proc/self/root${canary}`), { name: 'l/x', body: 'x' }])).rejects.toMatchObject({
      kind: expect.anything(),
    });
    expectCanaryUntouched();
  });
});

describe('X02 hard links', () => {
  it.each<[string, (canaryPath: string) => readonly Row[]]>([
    ['absolute target', (path) => [hard('x', path)]],
    ['dot-dot target', () => [hard('x', '../canary/secret')]],
    ['through a link', (path) => [link('l', dirname(path)), hard('x', 'l/secret')]],
    ['to a directory', () => [directory('d'), hard('x', 'd')]],
  ])('refuses %s', async (_, rows) => {
    await expect(apply(rows(join(canary, 'secret')))).rejects.toMatchObject({ kind: expect.anything() });
    expectCanaryUntouched();
  });

  it('to a link is a second name of the link, not of what it points at', async () => {
    await apply([link('l', '/canary/secret'), hard('x', 'l')]);
    expect(readlinkSync(join(root, 'x'))).toBe('/canary/secret');
    expectCanaryUntouched();
  });

  it('with an absolute name means the root', async () => {
    await apply([{ name: 'a', body: 'a' }, hard('b', '/a')]);
    expect(statSync(join(root, 'a')).nlink).toBe(2);
  });
});

it('X03 attributes never follow a link planted before', async () => {
  symlinkSync(join(canary, 'secret'), join(root, 'f'));
  symlinkSync(canary, join(root, 'd'));
  await apply([
    { name: 'f', body: 'new', mode: 0o777, uid: 7 },
    { name: 'd', type: 'directory', mode: 0o777, uid: 7 },
    { name: 's', type: 'symlink', linkname: '/canary/secret', uid: 7 },
  ]);
  expect(statSync(join(canary, 'secret')).uid).toBe(0);
  expect(lstatSync(join(root, 's')).uid).toBe(7);
  expectCanaryUntouched();
});

it('X04 somebody flips a directory into a link meanwhile', async () => {
  const flipper = spawn(
    '/bin/busybox',
    ['sh', '-c', 'while :; do mkdir -p d; rm -rf d; ln -s "$1" d; rm -f d; done', 'sh', canary],
    { cwd: root, stdio: 'ignore' },
  );
  try {
    const rows: Row[] = [];
    for (let index = 0; index < 400; index += 1) rows.push(directory(`d`), { name: `d/f${index}`, body: 'x' });
    const bytes = await tarOf(rows);
    for (let round = 0; round < 10; round += 1) await tool.apply(root, streamOf(bytes)).catch(() => undefined);
  } finally {
    flipper.kill('SIGKILL');
    await new Promise((resolve) => flipper.once('close', resolve));
  }
  expectCanaryUntouched();
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
    await tool.apply(root, streamOf(await patched(patch))).catch(() => undefined);
    expectCanaryUntouched();
    for (const name of readdirSync(root)) expect(['a', 'b']).toContain(name);
  });

  it('an archive cut short is an error', async () => {
    const tar = await tarOf([{ name: 'a', body: 'a'.repeat(5000) }]);
    await expect(tool.apply(root, streamOf(tar.subarray(0, 2048)))).rejects.toMatchObject({ code: 'layer/invalid' });
    await expect(tool.apply(root, streamOf(gzipSync(tar).subarray(0, 40)))).rejects.toMatchObject({
      code: 'layer/invalid',
    });
  });

  it('what is no archive is an error', async () => {
    await expect(tool.apply(root, streamOf(Buffer.alloc(2048, 'x')))).rejects.toMatchObject({ code: 'layer/invalid' });
  });
});

describe('X06 whiteouts', () => {
  it.each(['.wh.', '.wh..', '.wh...', 'd/.wh.', 'd/.wh...', '.wh..wh.', '.wh..wh..'])('%s is refused', async (name) => {
    await expect(apply([directory('d'), { name, body: '' }], true)).rejects.toMatchObject({ code: 'layer/invalid' });
    expectCanaryUntouched();
  });

  it('below a link stay inside', async () => {
    await apply([directory('canary'), link('l', '../canary'), { name: 'l/.wh.secret', body: '' }], true);
    expect(statSync(join(root, 'canary/secret')).isCharacterDevice()).toBe(true);
    expectCanaryUntouched();
  });

  it('speak of layers below, not of their own', async () => {
    await apply(
      [
        { name: 'kept', body: 'k' },
        { name: '.wh.kept', body: '' },
        directory('again'),
        { name: 'again/x', body: 'x' },
        { name: '.wh.again', body: '' },
        { name: '.wh.later', body: '' },
        directory('later'),
        directory('opaque'),
        { name: 'opaque/mine', body: 'm' },
        { name: 'opaque/.wh..wh..opq', body: '' },
        { name: '.wh..wh.plnk', body: 'aufs' },
      ],
      true,
    );
    expect(readFileSync(join(root, 'kept'), 'utf8')).toBe('k');
    expect(readFileSync(join(root, 'again/x'), 'utf8')).toBe('x');
    expect(readFileSync(join(root, 'opaque/mine'), 'utf8')).toBe('m');
    for (const name of ['again', 'later', 'opaque'])
      expect(attributes(join(root, name))).toContain('trusted.overlay.opaque');
    expect(existsSync(join(root, '.wh..wh.plnk'))).toBe(false);
  });

  it('are refused outside of layers', async () => {
    await expect(apply([{ name: '.wh.x', body: '' }])).rejects.toMatchObject({ code: 'layer/invalid' });
  });
});

/** Names of extended attributes, read by the shell's own tool through python-less means: getfattr is not a given. */
function attributes(path: string): string[] {
  const tar = execFileSync('tar', [
    '--xattrs',
    '--xattrs-include=*',
    '-cf',
    '-',
    '--no-recursion',
    '-C',
    dirname(path),
    '--format=pax',
    path.slice(dirname(path).length + 1),
  ]);
  return [...tar.toString('latin1').matchAll(/SCHILY\.xattr\.([\w.]+)=/g)].map((match) => match[1]!);
}

it('X07 overlay controls and foreign security labels are dropped, capabilities and user attributes kept', async () => {
  const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex').toString('latin1');
  await apply(
    [
      {
        name: 'f',
        body: 'f',
        pax: {
          'SCHILY.xattr.user.note': 'hello',
          'SCHILY.xattr.trusted.overlay.redirect': '/etc',
          'SCHILY.xattr.trusted.overlay.metacopy': 'x',
          'SCHILY.xattr.user.overlay.opaque': 'y',
          'SCHILY.xattr.security.selinux': 'system_u',
          'SCHILY.xattr.security.capability': capability,
        },
      },
      { name: 'd', type: 'directory', pax: { 'SCHILY.xattr.trusted.overlay.opaque': 'y' } },
    ],
    true,
  );
  expect(attributes(join(root, 'f')).sort()).toEqual(['security.capability', 'user.note']);
  expect(attributes(join(root, 'd'))).toEqual([]);
});

it('X08 devices: impossible numbers are refused, possible ones and fifos made', async () => {
  await expect(apply([{ name: 'x', type: 'character-device', devmajor: 2 ** 20, devminor: 1 }])).rejects.toMatchObject({
    code: 'layer/invalid',
  });
  await apply([
    { name: 'null', type: 'character-device', devmajor: 1, devminor: 3, mode: 0o666 },
    { name: 'pipe', type: 'fifo', mode: 0o640, uid: 5 },
  ]);
  expect(statSync(join(root, 'null')).rdev).toBe(0x103);
  expect(statSync(join(root, 'pipe'))).toMatchObject({ uid: 5, mode: 0o010640 });
});

describe('X09 bombs', () => {
  const run = (args: readonly string[], input: Uint8Array) =>
    JSON.parse(
      execFileSync('/bin/sh', ['-c', '"$0" "$@" 2>&1 || true', LAYER_PROGRAM, 'apply', '--root', root, ...args], {
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
    const sparse = join(home, 'sparse');
    execFileSync('truncate', ['-s', '1T', sparse]);
    const tar = execFileSync('tar', ['-S', '-cf', '-', '-C', home, 'sparse']);
    unlinkSync(sparse);
    expect(run([], tar).error.code).toBe('exhausted');
  });

  it('refuses paths that are too deep', async () => {
    await expect(apply([{ name: `${'a/'.repeat(1500)}x`, body: '' }])).rejects.toMatchObject({ code: 'layer/invalid' });
  });
});

describe('faithful unpacking', () => {
  it('keeps modes, owners, nanoseconds, sparse files, names in any form', async () => {
    const source = join(home, 'source');
    mkdirSync(join(source, 'dir'), { recursive: true });
    writeFileSync(join(source, 'dir/su'), 'x');
    execFileSync('chown', ['12:34', join(source, 'dir/su')]);
    chmodSync(join(source, 'dir/su'), 0o4755);
    execFileSync('truncate', ['-s', '10M', join(source, 'hole')]);
    writeFileSync(join(source, 'e\u0301'), 'decomposed');
    writeFileSync(Buffer.concat([Buffer.from(`${source}/raw-`), Buffer.from([0xff, 0xfe])]), 'raw');
    execFileSync('touch', ['-d', '2001-02-03 04:05:06.123456789Z', join(source, 'dir')]);
    for (const args of [['--format=pax'], ['--format=gnu', '-S']]) {
      rmSync(root, { recursive: true });
      mkdirSync(root);
      await tool.apply(
        root,
        streamOf(execFileSync('tar', [...args, '-cf', '-', '-C', source, '.'], { maxBuffer: 1 << 26 })),
      );
      expect(statSync(join(root, 'dir/su'))).toMatchObject({ uid: 12, gid: 34, mode: 0o104755 });
      expect(existsSync(join(root, 'e\u0301'))).toBe(true);
      expect(execFileSync('ls', ['-b', root], { encoding: 'utf8' })).toContain('raw-\\377\\376');
      expect(statSync(join(root, 'hole')).size).toBe(10 << 20);
    }
    expect(statSync(join(root, 'hole')).blocks).toBeLessThan(100);
    await tool.apply(
      root,
      streamOf(execFileSync('tar', ['--format=pax', '-cf', '-', '-C', source, '.'], { maxBuffer: 1 << 26 })),
    );
    expect(statSync(join(root, 'dir'), { bigint: true }).mtimeNs % 1_000_000_000n).toBe(123456789n);
    rmSync(source, { recursive: true });
  });

  it('pack gives the same bytes for the same tree, and survives the round trip', async () => {
    await apply([
      directory('d'),
      { name: 'd/file', body: 'content', mode: 0o640, uid: 3 },
      hard('d/other', 'd/file'),
      link('l', 'd/file'),
      { name: `d/${'long'.repeat(50)}`, body: 'long', pax: { 'SCHILY.xattr.user.k': 'v' } },
      { name: 'big-owner', body: '', uid: 3_000_000 },
    ]);
    const first = await buffer(tool.pack(root));
    const second = join(home, 'second');
    mkdirSync(second);
    await tool.apply(second, streamOf(first));
    expect((await buffer(tool.pack(second))).equals(first)).toBe(true);
    expect(execFileSync('tar', ['-tf', '-'], { input: first, encoding: 'utf8' }).split('\n')).toContain('d/other');
    rmSync(second, { recursive: true });
  });
});

describe('layers above others', () => {
  it('settles implied directories, links to files below and an opaque root', async () => {
    await using stores = await openTestStores();
    const base = await stores.images.addLayer(
      streamOf(
        await tarOf([
          { name: 'data', type: 'directory', mode: 0o1777, uid: 33 },
          directory('usr'),
          { name: 'usr/lib', type: 'directory', mode: 0o711 },
          link('lib', 'usr/lib'),
          { name: 'usr/lib/below', body: 'below' },
        ]),
      ),
    );
    const top = await stores.images.addLayer(
      streamOf(
        await tarOf([{ name: 'data/f', body: 'f' }, { name: 'lib/new', body: 'n' }, hard('alias', 'usr/lib/below')]),
      ),
    );
    const veil = await stores.images.addLayer(
      streamOf(await tarOf([{ name: '.wh..wh..opq', body: '' }, directory('usr'), { name: 'usr/only', body: 'o' }])),
    );
    const open = (digest: string) => async () =>
      streamOf(readFileSync(join(stores.directory, 'images/blobs/sha256', digest.slice(7))));
    const contents = [base, top, veil].map((layer) => ({ diffId: layer.diffId, open: open(layer.digest) }));
    const lower = await stores.layers.ensure(contents.slice(0, 2));
    expect(statSync(join(lower[0]!, 'data'))).toMatchObject({ uid: 33, mode: 0o041777 });
    expect(readFileSync(join(lower[0]!, 'usr/lib/new'), 'utf8')).toBe('n');
    expect(existsSync(join(lower[0]!, 'lib'))).toBe(false);
    expect(readFileSync(join(lower[0]!, 'alias'), 'utf8')).toBe('below');
    expect(statSync(join(lower[0]!, 'alias')).nlink).toBe(2);
    const all = await stores.layers.ensure(contents);
    const names = await listMerged(all);
    expect(names).toEqual(['usr/', 'usr/only']);
  });

  it('X10 refuses a layer that does not have its diff id and keeps nothing', async () => {
    await using stores = await openTestStores();
    const bytes = await tarOf([{ name: 'a', body: 'a' }]);
    const claimed = `sha256:${'1'.repeat(64)}` as never;
    await expect(stores.layers.ensure([{ diffId: claimed, open: async () => streamOf(bytes) }])).rejects.toMatchObject({
      code: 'layer/corrupt',
    });
    expect(readdirSync(join(stores.directory, 'layers'))).toEqual(['staging']);
    expect(readdirSync(join(stores.directory, 'layers/staging'))).toEqual([]);
  });

  it('hashes what follows the end of the tar', async () => {
    const plain = await tarOf([{ name: 'a', body: 'a' }]);
    const first = await tool.apply(root, streamOf(plain));
    const padded = await tool.apply(root, streamOf(Buffer.concat([plain, Buffer.alloc(10_240)])));
    expect(padded.diffId).not.toBe(first.diffId);
    expect((await tool.apply(root, streamOf(gzipSync(plain)))).diffId).toBe(first.diffId);
  });

  it('diff writes whiteouts back and refuses names it could not store', async () => {
    await apply(
      [
        { name: 'gone/.wh.x', body: '' },
        directory('veiled'),
        { name: 'veiled/.wh..wh..opq', body: '' },
        { name: 'veiled/y', body: 'y' },
      ],
      true,
    );
    const names = execFileSync('tar', ['-tf', '-'], { input: await buffer(tool.diff(root)), encoding: 'utf8' });
    expect(names.split('\n').filter(Boolean)).toEqual([
      'gone/',
      'gone/.wh.x',
      'veiled/',
      'veiled/.wh..wh..opq',
      'veiled/y',
    ]);
    writeFileSync(join(root, '.wh.trap'), '');
    await expect(buffer(tool.diff(root))).rejects.toMatchObject({ code: 'layer/invalid' });
  });
});

async function listMerged(lower: readonly string[]): Promise<string[]> {
  const archive = await buffer(tool.archive({ tree: { kind: 'overlay', lower }, path: '/' }));
  return execFileSync('tar', ['-tf', '-'], { input: archive, encoding: 'utf8' }).split('\n').filter(Boolean);
}

describe('COPY and ADD', () => {
  let lower: string;
  let upper: string;
  let work: string;
  let context: string;
  beforeEach(async () => {
    [lower, upper, work, context] = ['lower', 'upper', 'work', 'context'].map((name) => join(home, name)) as [
      string,
      string,
      string,
      string,
    ];
    for (const path of [lower, upper, work, context]) mkdirSync(path);
    await tool.apply(lower, busyboxRootfsTar());
    mkdirSync(join(lower, 'opt/real'), { recursive: true });
    symlinkSync('/opt/real', join(lower, 'opt/link'));
    symlinkSync(canary, join(lower, 'escape'));
    mkdirSync(join(context, 'dir/sub'), { recursive: true });
    writeFileSync(join(context, 'dir/sub/deep'), 'deep');
    writeFileSync(join(context, 'dir/a'), 'a', { mode: 0o640 });
    linkSync(join(context, 'dir/a'), join(context, 'dir/b'));
    symlinkSync('a', join(context, 'dir/l'));
    symlinkSync(join(canary, 'secret'), join(context, 'out'));
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
      expect(readdirSync(canary)).toEqual(['secret']);
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
    const [lower, upper, work, volume] = ['lower', 'upper', 'work', 'volume'].map((name) => join(home, name)) as [
      string,
      string,
      string,
      string,
    ];
    for (const path of [lower, upper, work, volume]) mkdirSync(path);
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
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(home);
  });

  it('X11 of a running one while it swaps the path for a link', async () => {
    await tool.apply(root, busyboxRootfsTar());
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
        root,
        canary,
      ],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    try {
      await new Promise((resolve) => started.stdout.once('data', resolve));
      const tree = { kind: 'pid', pid: started.pid! } as const;
      const input = await tarOf([{ name: 'from-host', body: 'x' }]);
      for (let round = 0; round < 100; round += 1) {
        await tool.extract({ tree, path: '/w/d' }, streamOf(input)).catch(() => undefined);
        const out = await text(tool.archive({ tree, path: '/w/d/' })).catch(() => '');
        expect(out).not.toContain('secret');
      }
      expect(await tool.stat({ tree, path: '/bin/busybox' })).toMatchObject({ name: 'busybox' });
    } finally {
      started.kill('SIGKILL');
      await new Promise((resolve) => started.once('close', resolve));
    }
    expectCanaryUntouched();
  });
});
