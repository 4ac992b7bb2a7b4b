import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { openTestStores } from '../kit/stores.ts';
import { directory, hard, link, Place, streamOf, tarOf, tool } from './place.ts';

/** What a layer becomes on disk, alone and above others. */
const place = new Place();

describe('X06 whiteouts', () => {
  it.each(['.wh.', '.wh..', '.wh...', 'd/.wh.', 'd/.wh...', '.wh..wh.', '.wh..wh..'])('%s is refused', async (name) => {
    await expect(place.apply([directory('d'), { name, body: '' }], true)).rejects.toMatchObject({
      code: 'layer/invalid',
    });
    place.expectCanaryUntouched();
  });

  it('below a link stay inside', async () => {
    await place.apply([directory('canary'), link('l', '../canary'), { name: 'l/.wh.secret', body: '' }], true);
    expect(statSync(join(place.root, 'canary/secret')).isCharacterDevice()).toBe(true);
    place.expectCanaryUntouched();
  });

  it('speak of layers below, not of their own', async () => {
    await place.apply(
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
    expect(readFileSync(join(place.root, 'kept'), 'utf8')).toBe('k');
    expect(readFileSync(join(place.root, 'again/x'), 'utf8')).toBe('x');
    expect(readFileSync(join(place.root, 'opaque/mine'), 'utf8')).toBe('m');
    for (const name of ['again', 'later', 'opaque'])
      expect(attributes(join(place.root, name))).toContain('trusted.overlay.opaque');
    expect(existsSync(join(place.root, '.wh..wh.plnk'))).toBe(false);
  });

  it('are refused outside of layers', async () => {
    await expect(place.apply([{ name: '.wh.x', body: '' }])).rejects.toMatchObject({ code: 'layer/invalid' });
  });
});

/** Names of extended attributes, as tar stores them: getfattr is not on every machine. */
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
  await place.apply(
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
  expect(attributes(join(place.root, 'f')).sort()).toEqual(['security.capability', 'user.note']);
  expect(attributes(join(place.root, 'd'))).toEqual([]);
});

it('X08 devices: impossible numbers are refused, possible ones and fifos made', async () => {
  await expect(
    place.apply([{ name: 'x', type: 'character-device', devmajor: 2 ** 20, devminor: 1 }]),
  ).rejects.toMatchObject({
    code: 'layer/invalid',
  });
  await place.apply([
    { name: 'null', type: 'character-device', devmajor: 1, devminor: 3, mode: 0o666 },
    { name: 'pipe', type: 'fifo', mode: 0o640, uid: 5 },
  ]);
  expect(statSync(join(place.root, 'null')).rdev).toBe(0x103);
  expect(statSync(join(place.root, 'pipe'))).toMatchObject({ uid: 5, mode: 0o010640 });
});

describe('faithful unpacking', () => {
  it('keeps modes, owners, nanoseconds, sparse files, names in any form', async () => {
    const source = join(place.home, 'source');
    mkdirSync(join(source, 'dir'), { recursive: true });
    writeFileSync(join(source, 'dir/su'), 'x');
    execFileSync('chown', ['12:34', join(source, 'dir/su')]);
    chmodSync(join(source, 'dir/su'), 0o4755);
    execFileSync('truncate', ['-s', '10M', join(source, 'hole')]);
    writeFileSync(join(source, 'e\u0301'), 'decomposed');
    writeFileSync(Buffer.concat([Buffer.from(`${source}/raw-`), Buffer.from([0xff, 0xfe])]), 'raw');
    execFileSync('touch', ['-d', '2001-02-03 04:05:06.123456789Z', join(source, 'dir')]);
    for (const args of [['--format=pax'], ['--format=gnu', '-S']]) {
      rmSync(place.root, { recursive: true });
      mkdirSync(place.root);
      await tool.apply(
        place.root,
        streamOf(execFileSync('tar', [...args, '-cf', '-', '-C', source, '.'], { maxBuffer: 1 << 26 })),
      );
      expect(statSync(join(place.root, 'dir/su'))).toMatchObject({ uid: 12, gid: 34, mode: 0o104755 });
      expect(existsSync(join(place.root, 'e\u0301'))).toBe(true);
      expect(execFileSync('ls', ['-b', place.root], { encoding: 'utf8' })).toContain('raw-\\377\\376');
      expect(statSync(join(place.root, 'hole')).size).toBe(10 << 20);
    }
    expect(statSync(join(place.root, 'hole')).blocks).toBeLessThan(100);
    await tool.apply(
      place.root,
      streamOf(execFileSync('tar', ['--format=pax', '-cf', '-', '-C', source, '.'], { maxBuffer: 1 << 26 })),
    );
    expect(statSync(join(place.root, 'dir'), { bigint: true }).mtimeNs % 1_000_000_000n).toBe(123456789n);
    rmSync(source, { recursive: true });
  });

  it('pack gives the same bytes for the same tree, and survives the round trip', async () => {
    await place.apply([
      directory('d'),
      { name: 'd/file', body: 'content', mode: 0o640, uid: 3 },
      hard('d/other', 'd/file'),
      link('l', 'd/file'),
      { name: `d/${'long'.repeat(50)}`, body: 'long', pax: { 'SCHILY.xattr.user.k': 'v' } },
      { name: 'big-owner', body: '', uid: 3_000_000 },
    ]);
    const first = await buffer(tool.pack(place.root));
    const second = join(place.home, 'second');
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
    const first = await tool.apply(place.root, streamOf(plain));
    const padded = await tool.apply(place.root, streamOf(Buffer.concat([plain, Buffer.alloc(10_240)])));
    expect(padded.diffId).not.toBe(first.diffId);
    expect((await tool.apply(place.root, streamOf(gzipSync(plain)))).diffId).toBe(first.diffId);
  });

  it('diff writes whiteouts back and refuses names it could not store', async () => {
    await place.apply(
      [
        { name: 'gone/.wh.x', body: '' },
        directory('veiled'),
        { name: 'veiled/.wh..wh..opq', body: '' },
        { name: 'veiled/y', body: 'y' },
      ],
      true,
    );
    const names = execFileSync('tar', ['-tf', '-'], { input: await buffer(tool.diff(place.root)), encoding: 'utf8' });
    expect(names.split('\n').filter(Boolean)).toEqual([
      'gone/',
      'gone/.wh.x',
      'veiled/',
      'veiled/.wh..wh..opq',
      'veiled/y',
    ]);
    writeFileSync(join(place.root, '.wh.trap'), '');
    await expect(buffer(tool.diff(place.root))).rejects.toMatchObject({ code: 'layer/invalid' });
  });
});

async function listMerged(lower: readonly string[]): Promise<string[]> {
  const archive = await buffer(tool.archive({ tree: { kind: 'overlay', lower }, path: '/' }));
  return execFileSync('tar', ['-tf', '-'], { input: archive, encoding: 'utf8' }).split('\n').filter(Boolean);
}
