import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeArchive } from '../../src/archive/index.ts';
import { openLayerStore } from '../../src/engine/layers/index.ts';
import { busyboxRootfsBytes, busyboxRootfsTar } from '../kit/images.ts';
import { openTestStores, type TestStores } from '../kit/stores.ts';

const nobody = { usersOf: () => [] };
const bytesStream = (bytes: Uint8Array) => Readable.from([bytes], { objectMode: false });

describe('images come in, go out and go away', () => {
  let stores: TestStores;
  beforeAll(async () => {
    stores = await openTestStores();
  });
  afterAll(() => stores[Symbol.asyncDispose]());

  it('imports a root file system with changes', async () => {
    const image = await stores.images.importRootfs(busyboxRootfsTar(), {
      repository: 'busy',
      tag: 'one',
      changes: ['CMD ["sh"]', 'ENV A=b', 'WORKDIR /srv', 'EXPOSE 80'],
      message: 'made here',
    });
    expect(image.tags).toEqual(['busy:one']);
    expect(image.config.run).toMatchObject({ cmd: ['sh'], workingDir: '/srv', exposedPorts: ['80/tcp'] });
    expect(image.config.run.env).toContain('A=b');
    const [lower] = await stores.images.lowerDirectories(image);
    expect(readFileSync(join(lower!, 'etc/group'), 'utf8')).toContain('app:x:1000');
    expect(execFileSync('chroot', [lower!, '/bin/sh', '-c', 'echo alive'], { encoding: 'utf8' })).toBe('alive\n');
    expect(image.size).toBeGreaterThan(1_000_000);
    expect(await stores.images.history('busy:one')).toMatchObject([{ id: image.id, comment: 'made here' }]);
  });

  it.each([
    ['gzip', (data: Buffer) => gzipSync(data)],
    ['zstd', (data: Buffer) => zstdCompressSync(data)],
    ['xz', (data: Buffer) => execFileSync('xz', ['-c', '-0'], { input: data, maxBuffer: 1 << 28 })],
  ])('imports %s', async (name, compress) => {
    const data = compress(await busyboxRootfsBytes());
    const image = await stores.images.importRootfs(bytesStream(data), { repository: `busy-${name}` });
    const [lower] = await stores.images.lowerDirectories(image);
    expect(existsSync(join(lower!, 'bin/busybox'))).toBe(true);
  });

  it('saves what another store loads, with the same id', async () => {
    await stores.images.tag('busy:one', 'example.org:5000/team/busy:two');
    const archive = await buffer(await stores.images.save(['busy:one', 'example.org:5000/team/busy:two']));
    await using other = await openTestStores();
    expect(await other.images.load(bytesStream(gzipSync(archive)))).toEqual([
      'busy:one',
      'example.org:5000/team/busy:two',
    ]);
    expect((await other.images.resolve('busy:one')).id).toBe((await stores.images.resolve('busy:one')).id);
    const layout = await buffer(await dropEntry(archive, 'manifest.json'));
    await using third = await openTestStores();
    expect(await third.images.load(bytesStream(layout))).toEqual(['busy:one', 'example.org:5000/team/busy:two']);
  });

  it('builds upon an image: diff of an upper directory becomes a layer', async () => {
    const base = await stores.images.resolve('busy:one');
    const upper = join(stores.directory, 'upper');
    mkdirSync(join(upper, 'etc'), { recursive: true });
    writeFileSync(join(upper, 'etc/new'), 'new');
    execFileSync('mknod', [join(upper, 'etc/hosts'), 'c', '0', '0']);
    const layer = await stores.images.commitLayer(upper);
    expect(existsSync(upper)).toBe(false);
    const built = await stores.images.createImage({
      config: { ...base.config, run: { ...base.config.run, cmd: ['new'] } },
      layers: [...base.layers, layer],
      parent: base.id,
      tags: ['built'],
    });
    expect(built.tags).toEqual(['built:latest']);
    const lower = await stores.images.lowerDirectories(built);
    expect(lower).toHaveLength(2);
    expect(readFileSync(join(lower[0]!, 'etc/new'), 'utf8')).toBe('new');
    // The stored archive unpacks to the same thing elsewhere.
    await using other = await openTestStores();
    await other.images.load(await stores.images.save(['built']));
    const [top] = await other.images.lowerDirectories(await other.images.resolve('built'));
    expect(execFileSync('stat', ['-c', '%F %t %T', join(top!, 'etc/hosts')], { encoding: 'utf8' })).toBe(
      'character special file 0 0\n',
    );
  });

  it('finds by name, id and prefix, and says what is missing', async () => {
    const { id } = await stores.images.resolve('busy:one');
    expect((await stores.images.resolve(id)).id).toBe(id);
    expect((await stores.images.resolve(id.slice(7, 19))).id).toBe(id);
    await expect(stores.images.resolve('nope')).rejects.toMatchObject({ code: 'image/not-found' });
    expect(await stores.images.find('nope:1')).toBeUndefined();
  });

  it('removes names first, content with the last one, and never under a running container', async () => {
    const { id, layers } = await stores.images.resolve('built');
    const user = (running: boolean) => ({ usersOf: () => [{ container: 'c'.repeat(64), running }] });
    await expect(stores.images.remove('built', user(false))).rejects.toMatchObject({ code: 'image/in-use' });
    await expect(stores.images.remove(id, { force: true, ...user(true) })).rejects.toMatchObject({
      code: 'image/in-use',
    });
    await stores.images.tag('built', 'built:2');
    expect(await stores.images.remove('built:2', nobody)).toEqual([{ untagged: 'built:2' }]);
    const deletions = await stores.images.remove('built', nobody);
    expect(deletions.slice(0, 2)).toEqual([{ untagged: 'built:latest' }, { deleted: id }]);
    expect(deletions).toHaveLength(3);
    const blobs = readdirSync(join(stores.directory, 'images/blobs/sha256'));
    expect(blobs).not.toContain(layers[1]!.digest.slice(7));
    expect(blobs).toContain(layers[0]!.digest.slice(7));
    await expect(stores.images.resolve('built')).rejects.toMatchObject({ code: 'image/not-found' });
  });

  it('prunes dangling images, with all=true every unused one, and leaves nothing behind', async () => {
    const before = await stores.images.list();
    await stores.images.importRootfs(busyboxRootfsTar(), { message: 'no name' });
    const { deletions } = await stores.images.prune(nobody);
    expect(deletions.filter((item) => 'deleted' in item).length).toBeGreaterThan(0);
    expect(await stores.images.list()).toHaveLength(before.length);
    await stores.images.prune({ all: true, ...nobody });
    expect(await stores.images.list()).toEqual([]);
    expect(readdirSync(join(stores.directory, 'images/blobs/sha256'))).toEqual([]);
    expect(readdirSync(join(stores.directory, 'layers'))).toEqual(['staging']);
  });
});

it('a layer that a power cut may have hit is unpacked again, a synced one is kept', async () => {
  await using stores = await openTestStores();
  const image = await stores.images.importRootfs(busyboxRootfsTar(), { repository: 'busy' });
  const directory = join(stores.directory, 'layers');
  const layer = join(directory, image.layers[0]!.diffId.slice(7));
  const record = () => JSON.parse(readFileSync(join(layer, 'layer.json'), 'utf8'));
  await expect.poll(() => record().synced, { timeout: 20_000 }).toBe(true);
  await openLayerStore({ directory, tool: stores.tool });
  expect(existsSync(layer)).toBe(true);
  writeFileSync(join(layer, 'layer.json'), JSON.stringify({ ...record(), synced: false }));
  await openLayerStore({ directory, tool: stores.tool });
  expect(existsSync(layer)).toBe(true);
  writeFileSync(join(layer, 'layer.json'), JSON.stringify({ ...record(), synced: false, boot: 'another' }));
  await openLayerStore({ directory, tool: stores.tool });
  expect(existsSync(layer)).toBe(false);
  const [lower] = await stores.images.lowerDirectories(image);
  expect(existsSync(join(lower!, 'bin/busybox'))).toBe(true);
});

describe('hostile archives for load', () => {
  const row = (layers: string[], config = 'c.json') =>
    JSON.stringify([{ Config: config, RepoTags: ['evil:1'], Layers: layers }]);
  const config = JSON.stringify({
    os: 'linux',
    architecture: 'amd64',
    rootfs: { type: 'layers', diff_ids: [`sha256:${'0'.repeat(64)}`] },
  });

  it.each<[string, readonly { name: string; content?: string; link?: string }[], string]>([
    [
      'path that leads out',
      [
        { name: 'manifest.json', content: row(['../../../../etc/passwd']) },
        { name: 'c.json', content: config },
      ],
      'image/invalid',
    ],
    [
      'absolute path',
      [
        { name: 'manifest.json', content: row(['/etc/passwd']) },
        { name: 'c.json', content: config },
      ],
      'image/invalid',
    ],
    [
      'link that leads out',
      [
        { name: 'manifest.json', content: row(['l.tar']) },
        { name: 'c.json', content: config },
        { name: 'l.tar', link: '/etc/passwd' },
      ],
      'image/invalid',
    ],
    [
      'links in a circle',
      [
        { name: 'manifest.json', content: row(['a']) },
        { name: 'c.json', content: config },
        { name: 'a', link: 'b' },
        { name: 'b', link: 'a' },
      ],
      'image/invalid',
    ],
    [
      'layer with another digest',
      [
        { name: 'manifest.json', content: row(['l.tar']) },
        { name: 'c.json', content: config },
        { name: 'l.tar', content: 'x'.repeat(1024) },
      ],
      'image/corrupt',
    ],
    [
      'number of layers',
      [
        { name: 'manifest.json', content: row([]) },
        { name: 'c.json', content: config },
      ],
      'image/corrupt',
    ],
    [
      'config that is no JSON',
      [
        { name: 'manifest.json', content: row([]) },
        { name: 'c.json', content: '{' },
      ],
      'image/corrupt',
    ],
    ['nothing in it', [{ name: 'readme', content: 'hello' }], 'image/invalid'],
    ['manifest of the wrong shape', [{ name: 'manifest.json', content: '{"a":1}' }], 'image/invalid'],
  ])('refuses: %s', async (_, entries, code) => {
    await using stores = await openTestStores();
    const archive = writeArchive(async (writer) => {
      for (const { name, content = '', link } of entries)
        await writer.add(link === undefined ? { name } : { name, type: 'symlink', linkName: link }, content);
    });
    await expect(stores.images.load(archive)).rejects.toMatchObject({ code });
    expect(await stores.images.list()).toEqual([]);
    expect(readdirSync(join(stores.directory, 'images/blobs/sha256'))).toEqual([]);
  });

  it('refuses what is no tar at all', async () => {
    await using stores = await openTestStores();
    await expect(stores.images.load(bytesStream(Buffer.alloc(4096, 'x')))).rejects.toMatchObject({
      code: 'archive/invalid',
    });
  });
});

async function dropEntry(archive: Buffer, dropped: string): Promise<Readable> {
  const { readArchive } = await import('../../src/archive/index.ts');
  return writeArchive(async (writer) => {
    for await (const entry of readArchive(bytesStream(archive)))
      if (entry.name !== dropped)
        if (entry.type === 'directory') await writer.add({ name: entry.name, type: 'directory' });
        else await writer.addStream({ name: entry.name }, entry.size, entry.content);
  });
}
