import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { type Digest, parseImageRef } from '../../core/index.ts';
import { chainIds } from '../layers/index.ts';
import { describeBlobStore } from './blob-store.contract.ts';
import { createMemoryBlobStore, openLayoutBlobStore } from './blob-store.ts';
import { decodeImageConfig, encodeImageConfig } from './config-codec.ts';
import { findImage } from './find-image.ts';
import { ImageIndex } from './image-index.ts';

const directories: string[] = [];
const temporary = () => {
  const directory = mkdtempSync(join(tmpdir(), 'tsc-images-'));
  directories.push(directory);
  return directory;
};
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

describeBlobStore('memory', async () => createMemoryBlobStore());
describeBlobStore('OCI layout', () => openLayoutBlobStore(temporary()));

it('a layout drops transfers that a crash cut off', async () => {
  const directory = temporary();
  await openLayoutBlobStore(directory);
  writeFileSync(join(directory, 'incoming', 'half'), 'half');
  await openLayoutBlobStore(directory);
  expect(readdirSync(join(directory, 'incoming'))).toEqual([]);
});

const id = (digit: string) => `sha256:${digit.repeat(64)}` as Digest;
const entry = (digit: string, names: readonly string[] = []) => ({
  id: id(digit),
  manifest: { mediaType: 'm', digest: id('f'), size: 1 },
  names: names.map((name) => `docker.io/library/${name}`),
  parent: undefined,
});

describe('index of names', () => {
  it('survives being opened again, names move, rows without names stay', async () => {
    const directory = temporary();
    const index = await ImageIndex.open(directory);
    await index.put(entry('a', ['x:1', 'x:2']));
    await index.put({ ...entry('b', ['x:2']), repoDigests: [`docker.io/library/x@${id('c')}`], parent: id('a') });
    await index.put(entry('c'));
    const again = await ImageIndex.open(directory);
    expect(again.all).toEqual(index.all);
    expect(again.get(id('a'))?.names).toEqual(['docker.io/library/x:1']);
    expect(again.get(id('b'))).toMatchObject({ names: ['docker.io/library/x:2'], parent: id('a') });
    expect(again.byRef(parseImageRef(`x@${id('c')}`))?.id).toBe(id('b'));
    await again.withdraw(id('b'), ['docker.io/library/x:2']);
    await again.remove([id('c')]);
    expect((await ImageIndex.open(directory)).all.map((image) => [image.id, image.names.length])).toEqual([
      [id('a'), 1],
      [id('b'), 0],
    ]);
  });

  it('loses single rows that are damaged, refuses a damaged file', async () => {
    const directory = temporary();
    const index = await ImageIndex.open(directory);
    await index.put(entry('a', ['x:1']));
    const document = JSON.parse(readFileSync(join(directory, 'index.json'), 'utf8'));
    document.manifests.push({ digest: 'sha256:../x', annotations: null }, 7, null);
    writeFileSync(join(directory, 'index.json'), JSON.stringify(document));
    expect((await ImageIndex.open(directory)).all).toHaveLength(1);
    writeFileSync(join(directory, 'index.json'), '{');
    await expect(ImageIndex.open(directory)).rejects.toMatchObject({ code: 'image/corrupt' });
  });

  it('finds by name before prefix, full id before name, and refuses an ambiguous prefix', async () => {
    const index = await ImageIndex.open(temporary());
    await index.put(entry('a', ['abc:latest', 'b:1']));
    await index.put({ ...entry('0'), id: `sha256:abc${'0'.repeat(61)}` as Digest });
    await index.put({ ...entry('0'), id: `sha256:abd${'0'.repeat(61)}` as Digest });
    expect(findImage(index, 'abc')?.image.id).toBe(id('a'));
    expect(findImage(index, 'abc0')?.name).toBeUndefined();
    expect(findImage(index, id('a'))?.name).toBeUndefined();
    expect(findImage(index, 'a'.repeat(64))?.image.id).toBe(id('a'));
    expect(findImage(index, 'b:1')?.name).toBe('docker.io/library/b:1');
    expect(() => findImage(index, 'ab')).toThrow(expect.objectContaining({ code: 'image/conflict' }));
    for (const text of ['', 'b', 'b:2', '../x', 'sha256:', 'sha256:zz', ' '])
      expect(findImage(index, text)).toBeUndefined();
  });
});

describe('image configuration', () => {
  it('reads what it writes', () => {
    const config = decodeImageConfig(
      Buffer.from(
        JSON.stringify({
          architecture: 'amd64',
          os: 'linux',
          created: '2026-01-01T00:00:00.123456789Z',
          config: {
            User: 'app',
            Env: ['A=b', 'EMPTY=', 'not a variable'],
            Cmd: 'old form',
            Entrypoint: [],
            ExposedPorts: { '80/tcp': {}, '99x': {} },
            Volumes: { '/data': {} },
            Labels: { a: 'b', constructor: 'c' },
            Healthcheck: { Test: ['CMD', 'true'], Interval: -5, Retries: 2 },
            StopSignal: 'SIGQUIT',
          },
          rootfs: { type: 'layers', diff_ids: [id('a')] },
          history: [{ created: 'never', created_by: 'x', empty_layer: true }],
        }).replace('"a":"b"', '"a":"b","__proto__":"p"'),
      ),
    );
    expect(config.run).toMatchObject({ env: ['A=b', 'EMPTY='], cmd: ['old form'], entrypoint: undefined });
    expect(config.run.exposedPorts).toEqual(['80/tcp']);
    expect([...config.run.labels.keys()].sort()).toEqual(['__proto__', 'a', 'constructor']);
    expect(config.run.healthcheck).toMatchObject({ interval: 0, retries: 2 });
    expect(config.history[0]).toMatchObject({ created: '', emptyLayer: true });
    const again = decodeImageConfig(Buffer.from(encodeImageConfig(config)));
    expect(again).toEqual(config);
  });

  it.each<[string, unknown]>([
    ['a list', []],
    ['a text', 'x'],
    ['environment of numbers', { config: { Env: [1] } }],
    ['a NUL', { config: { User: 'a\0b' } }],
    ['a bad digest', { rootfs: { diff_ids: ['sha256:../..'] } }],
    ['endless history', { history: Array.from({ length: 10_001 }, () => ({})) }],
    ['labels that are a list', { config: { Labels: ['a'] } }],
  ])('refuses %s', (_, document) => {
    expect(() => decodeImageConfig(Buffer.from(JSON.stringify(document)))).toThrow(
      expect.objectContaining({ code: 'image/corrupt' }),
    );
  });

  it('turns any JSON into a configuration or a refusal', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (config, history) => {
        try {
          decodeImageConfig(Buffer.from(JSON.stringify({ config, history })));
        } catch (error) {
          expect(error).toHaveProperty('code', 'image/corrupt');
        }
      }),
    );
  });
});

it('chain ids follow the image specification', () => {
  // sha256 of "<first> <second>", computed with sha256sum.
  const [first, second] = chainIds([id('a'), id('b')]);
  expect(first).toBe(id('a'));
  expect(second).toBe('sha256:ccd722928bd92476ba1745586fed6e45a102504185ad88cd89e01ff116fd146c');
  expect(chainIds([])).toEqual([]);
});
