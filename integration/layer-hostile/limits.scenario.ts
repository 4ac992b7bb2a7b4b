import { execFileSync, spawnSync } from 'node:child_process';
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openLayerStore, openLayerTool } from '../../src/engine/layers/index.ts';
import { archive, extended, file, header } from '../kit/raw-tar.ts';
import { LAYER_PROGRAM, openTestStores } from '../kit/stores.ts';

const tool = openLayerTool({ program: LAYER_PROGRAM });
const streamOf = (bytes: Uint8Array) => Readable.from([bytes], { objectMode: false });
let home: string;
let root: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'tsc-limits-'));
  root = join(home, 'root');
  mkdirSync(root);
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** The helper on its own: its error, or undefined when it went well. */
function apply(input: Uint8Array, ...args: readonly string[]): { code: string; message: string } | undefined {
  const result = spawnSync(LAYER_PROGRAM, ['apply', '--overlay', '--root', root, ...args], { input });
  return result.status === 0 ? undefined : JSON.parse(result.stderr.toString()).error;
}

describe('X08 devices', () => {
  it.each<[string, number, number]>([
    ['a huge major number', 2 ** 20, 1],
    ['a huge minor number', 1, 2 ** 21 - 1],
  ])('%s is refused', (_, major, minor) => {
    expect(apply(archive(header({ name: 'x', type: '3', major, minor })))?.code).toBe('invalid');
  });

  it('0/0 in a layer is no whiteout: it is refused', () => {
    expect(apply(archive(header({ name: 'passwd', type: '3', major: 0, minor: 0 })))?.message).toContain('number 0');
    expect(readdirSync(root)).toEqual([]);
  });

  it('a disk is made with its number; that a container cannot open it is the device rules’ part', () => {
    expect(apply(archive(header({ name: 'sda', type: '4', major: 8, minor: 0 })))).toBeUndefined();
    expect(lstatSync(join(root, 'sda')).isBlockDevice()).toBe(true);
  });
});

describe('X09 bombs stop at their limit', () => {
  it('10 MiB of gzip that are 10 GiB', () => {
    const member = gzipSync(Buffer.alloc(64 << 20), { level: 9 });
    const head = gzipSync(header({ name: 'zeroes', size: 10 * 2 ** 30 - 1 }));
    const bomb = Buffer.concat([head, ...Array.from({ length: 160 }, () => member)]);
    expect(bomb.length).toBeLessThan(11 << 20);
    expect(apply(bomb)).toMatchObject({ code: 'exhausted', message: expect.stringContaining('times its size') });
    expect(statSync(join(root, 'zeroes')).size).toBeLessThan(4.3 * 2 ** 30);
  });

  it('entries, a path of 5,000 parts, a part of 300 bytes, a file beyond all limits', () => {
    const many = Buffer.concat(Array.from({ length: 3000 }, (_, index) => header({ name: `f${index}` })));
    expect(apply(many, '--max-entries', '2000')?.code).toBe('exhausted');
    expect(apply(archive(extended([['path', 'd/'.repeat(5000)]]), header({ type: '5' })))?.code).toBe('invalid');
    expect(apply(archive(extended([['path', 'n'.repeat(300)]]), file('x')))?.code).toBe('invalid');
    expect(apply(archive(extended([['size', String(2 ** 52)]]), header({})))?.code).toBe('exhausted');
  });

  it('a map of 500,000 pieces, and one that claims more than it has', () => {
    const pieces = Array.from({ length: 60_000 }, (_, index) => `${index * 2},1`).join(',');
    const records = (map: string, size: number) =>
      extended([
        ['GNU.sparse.size', String(size)],
        ['GNU.sparse.numblocks', String(map.split(',').length / 2)],
        ['GNU.sparse.map', map],
      ]);
    expect(apply(archive(records(pieces, 120_000), file('s', 'x'.repeat(60_000))))).toBeUndefined();
    expect(statSync(join(root, 's')).size).toBe(120_000);
    expect(apply(archive(records(`0,1,${2 ** 60},1`, 2 ** 61), file('s', 'xx')))?.code).toBe('exhausted');
  });

  it('an extended header of 2 MiB', () => {
    expect(apply(archive(extended([['comment', 'x'.repeat(2 << 20)]]), file('x')))?.code).toBe('invalid');
  });

  it('keeps a reserve of the disk free', () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', root]);
    try {
      const filled = archive(file('a', 'x'.repeat(20 << 20)), file('b', 'x'.repeat(20 << 20)), file('c'));
      expect(apply(filled, '--reserve', String(30 << 20))).toMatchObject({
        code: 'exhausted',
        message: expect.stringContaining('kept free'),
      });
      expect(apply(archive(file('d')), '--reserve', String(60 << 20))?.code).toBe('exhausted');
    } finally {
      execFileSync('umount', [root]);
    }
  });

  it('F06 a full disk is an error in words, and the staging is removed', async () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', root]);
    try {
      const layers = await openLayerStore({ directory: join(root, 'layers'), tool });
      const bytes = archive(file('big', 'x'.repeat(20 << 20)));
      const diffId = `sha256:${'0'.repeat(64)}` as never;
      await expect(layers.ensure([{ diffId, open: async () => streamOf(bytes) }])).rejects.toMatchObject({
        code: 'layer/exhausted',
      });
      expect(readdirSync(join(root, 'layers/staging'))).toEqual([]);
      writeFileSync(join(root, 'room'), 'x'.repeat(4 << 20));
    } finally {
      execFileSync('umount', [root]);
    }
  });
});

describe('X10 what is not what it says', () => {
  const plain = archive(file('a', 'one'));
  it.each<[string, Uint8Array]>([
    ['bytes behind gzip', Buffer.concat([gzipSync(plain), Buffer.from('tail')])],
    ['bytes behind zstd', Buffer.concat([zstdCompressSync(plain), Buffer.from('tail')])],
    ['a second archive behind the first', Buffer.concat([plain, plain])],
    ['a second archive in a second member', Buffer.concat([gzipSync(plain), gzipSync(plain)])],
    [
      'gzip with a wrong checksum',
      Buffer.concat([gzipSync(plain).subarray(0, -8), Buffer.from('0123456789abcdef', 'hex')]),
    ],
    ['gzip with an odd header', Buffer.concat([Buffer.from([0x1f, 0x8b, 9]), gzipSync(plain).subarray(3)])],
    ['zeroes between members', Buffer.concat([gzipSync(plain), Buffer.alloc(4), gzipSync(Buffer.alloc(512))])],
    ['gzip cut short', gzipSync(plain).subarray(0, -4)],
    ['zstd cut short', zstdCompressSync(plain).subarray(0, -4)],
  ])('%s is refused', (_, bytes) => {
    expect(apply(bytes)?.code).toBe('invalid');
  });

  it.each<[string, Uint8Array]>([
    ['gzip in several members', Buffer.concat([gzipSync(plain.subarray(0, 700)), gzipSync(plain.subarray(700))])],
    [
      'zstd in several frames',
      Buffer.concat([zstdCompressSync(plain.subarray(0, 700)), zstdCompressSync(plain.subarray(700))]),
    ],
    [
      'zstd with a frame to skip',
      Buffer.concat([zstdCompressSync(plain), Buffer.from('502a4d1804000000abcdabcd', 'hex')]),
    ],
    ['zeroes behind gzip', Buffer.concat([gzipSync(plain), Buffer.alloc(512)])],
    ['zeroes behind the archive', Buffer.concat([plain, Buffer.alloc(9216)])],
  ])('%s is read', (_, bytes) => {
    expect(apply(bytes)).toBeUndefined();
    expect(readFileSync(join(root, 'a'), 'utf8')).toBe('one');
  });

  it('a diff id that is another’s: refused, nothing is kept', async () => {
    await using stores = await openTestStores();
    const diffId = `sha256:${'1'.repeat(64)}` as never;
    await expect(stores.layers.ensure([{ diffId, open: async () => streamOf(gzipSync(plain)) }])).rejects.toMatchObject(
      {
        code: 'layer/corrupt',
      },
    );
    expect(readdirSync(join(stores.directory, 'layers/staging'))).toEqual([]);
  });
});

describe('X14 names in an image archive are names in it, nothing else', () => {
  const manifest = (layer: string, config = 'config.json') =>
    JSON.stringify([{ Config: config, RepoTags: ['evil:latest'], Layers: [layer] }]);
  const config = JSON.stringify({
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: [`sha256:${'0'.repeat(64)}`] },
  });
  const withManifest = (text: string, ...more: readonly Buffer[]) =>
    archive(file('manifest.json', text), file('config.json', config), ...more);

  it.each<[string, Buffer]>([
    ['layer that climbs out', withManifest(manifest('../../../etc/passwd'))],
    ['absolute layer', withManifest(manifest('/etc/passwd'))],
    ['config that climbs out', withManifest(manifest('layer.tar', '../../../etc/passwd'), file('layer.tar', 'x'))],
    [
      'layer that is a link out',
      withManifest(manifest('layer.tar'), header({ name: 'layer.tar', type: '2', link: '/etc/passwd' })),
    ],
    [
      'layer that is a hard link out',
      withManifest(manifest('layer.tar'), header({ name: 'layer.tar', type: '1', link: '/etc/passwd' })),
    ],
    ['directory as layer', withManifest(manifest('layer.tar'), header({ name: 'layer.tar', type: '5' }))],
  ])('%s is refused', async (_, bytes) => {
    await using stores = await openTestStores();
    await expect(stores.images.load(streamOf(bytes))).rejects.toMatchObject({
      code: expect.stringMatching(/^image\//),
    });
  });
});
