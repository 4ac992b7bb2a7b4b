import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type ArchiveHeader,
  compileIgnorePatterns,
  decompressArchive,
  detectCompression,
  parseIgnoreFile,
  readArchive,
  readEntryBytes,
  writeArchive,
} from './index.ts';

const streamOf = (data: Uint8Array, step = data.length || 1) =>
  Readable.from(
    Array.from({ length: Math.ceil(data.length / step) }, (_, index) =>
      data.subarray(index * step, (index + 1) * step),
    ),
    { objectMode: false },
  );

describe('tar streams', () => {
  it('read back what was written', async () => {
    const headers: ArchiveHeader[] = [
      { name: 'd/', type: 'directory', mode: 0o711, uid: 5, gid: 6 },
      { name: 'd/f', mode: 0o640, mtime: 1_700_000_000_000 },
      { name: 'd/l', type: 'symlink', mode: 0o777, linkName: '../x' },
      { name: 'd/h', type: 'link', linkName: 'd/f' },
      { name: `${'long/'.repeat(40)}name`, uid: 3_000_000 },
    ];
    const bytes = await buffer(
      writeArchive(async (writer) => {
        for (const header of headers) await writer.add(header, header.type === undefined ? 'content' : undefined);
        await writer.addStream({ name: 'streamed' }, 6, streamOf(Buffer.from('abcdef'), 2));
      }),
    );
    const seen: object[] = [];
    for await (const entry of readArchive(streamOf(bytes, 777))) {
      const { content: _, ...rest } = entry;
      seen.push({ ...rest, text: (await readEntryBytes(entry, 100)).toString() });
    }
    expect(seen).toHaveLength(6);
    expect(seen[0]).toMatchObject({ name: 'd/', type: 'directory', mode: 0o711, uid: 5, gid: 6 });
    expect(seen[1]).toMatchObject({ name: 'd/f', mode: 0o640, mtime: 1_700_000_000_000, text: 'content' });
    expect(seen[2]).toMatchObject({ type: 'symlink', linkName: '../x' });
    expect(seen[3]).toMatchObject({ type: 'link', linkName: 'd/f' });
    expect(seen[4]).toMatchObject({ name: `${'long/'.repeat(40)}name`, uid: 3_000_000 });
    expect(seen[5]).toMatchObject({ name: 'streamed', text: 'abcdef' });
  });

  it('pass over content that nobody reads', async () => {
    const bytes = await buffer(
      writeArchive(async (writer) => {
        for (let index = 0; index < 20; index += 1) await writer.add({ name: `f${index}` }, 'x'.repeat(100_000));
      }),
    );
    const names: string[] = [];
    for await (const entry of readArchive(streamOf(bytes))) names.push(entry.name);
    expect(names).toHaveLength(20);
  });

  it('a failure of the producer is the failure of the stream', async () => {
    const archive = writeArchive(async (writer) => {
      await writer.add({ name: 'a' }, 'a');
      throw new Error('no more');
    });
    await expect(buffer(archive)).rejects.toThrow('no more');
    const short = writeArchive((writer) => writer.addStream({ name: 'a' }, 10, streamOf(Buffer.from('abc'))));
    await expect(buffer(short)).rejects.toMatchObject({ code: 'archive/failed' });
  });

  it.each<[string, Parameters<typeof readArchive>[1], string]>([
    ['entries', { entries: 1 }, 'archive/exhausted'],
    ['bytes', { bytes: 10 }, 'archive/exhausted'],
    ['names', { nameLength: 2 }, 'archive/exhausted'],
  ])('stop at a limit of %s', async (_, limits, code) => {
    const archive = writeArchive(async (writer) => {
      await writer.add({ name: 'one' }, 'x'.repeat(8));
      await writer.add({ name: 'two' }, 'x'.repeat(8));
    });
    await expect(Array.fromAsync(readArchive(archive, limits))).rejects.toMatchObject({ code });
  });

  it('damage is an error, whatever the damage', async () => {
    const good = await buffer(writeArchive((writer) => writer.add({ name: 'a' }, 'a'.repeat(700))));
    await expect(Array.fromAsync(readArchive(streamOf(good.subarray(0, 600))))).rejects.toMatchObject({
      code: 'archive/invalid',
    });
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.nat(255), async (place, value) => {
        const bad = Buffer.from(good);
        bad[place] = value;
        try {
          for await (const entry of readArchive(streamOf(bad))) await readEntryBytes(entry, 10_000);
        } catch (error) {
          expect(error).toHaveProperty('code', expect.stringMatching(/^archive\//));
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('compression', () => {
  it.each<[string, Buffer]>([
    ['none', Buffer.from('plain text that is long enough')],
    ['gzip', gzipSync('plain text that is long enough')],
    ['zstd', zstdCompressSync('plain text that is long enough')],
  ])('%s is seen and undone', async (kind, data) => {
    expect(detectCompression(data)).toBe(kind);
    for (const step of [1, 3, 1000])
      expect(await text(await decompressArchive(streamOf(data, step)))).toBe('plain text that is long enough');
  });

  it('of kinds that Node lacks is refused, an empty stream is empty', async () => {
    await expect(decompressArchive(streamOf(Buffer.from('BZh91AY')))).rejects.toMatchObject({
      code: 'archive/unsupported',
    });
    expect(await text(await decompressArchive(streamOf(Buffer.alloc(0))))).toBe('');
  });
});

describe('ignore patterns', () => {
  it.each<[readonly string[], string, boolean]>([
    [['node_modules'], 'node_modules', true],
    [['node_modules'], 'node_modules/a/b', true],
    [['node_modules'], 'sub/node_modules', false],
    [['**/node_modules'], 'sub/node_modules/x', true],
    [['**/node_modules'], 'node_modules', true],
    [['*.md'], 'README.md', true],
    [['*.md'], 'docs/README.md', false],
    [['**/*.md'], 'docs/deep/README.md', true],
    [['*/temp*'], 'a/temporary.txt', true],
    [['*/temp*'], 'a/b/temp', false],
    [['*/*/temp*'], 'a/b/temp', true],
    [['temp?'], 'tempa', true],
    [['temp?'], 'temp', false],
    [['/foo/bar'], 'foo/bar', true],
    [['foo/bar/'], 'foo/bar/x', true],
    [['./foo'], 'foo', true],
    [['a/../foo'], 'foo', true],
    [['*', '!keep'], 'keep', false],
    [['*', '!keep'], 'other', true],
    [['*.md', '!README*.md', 'README-secret.md'], 'README-secret.md', true],
    [['*.md', 'README-secret.md', '!README*.md'], 'README-secret.md', false],
    [['dir', '!dir/keep'], 'dir/keep/deep', false],
    [['dir', '!dir/keep'], 'dir/other', true],
    [['dir/**'], 'dir', false],
    [['dir/**'], 'dir/a/b', true],
    [['**'], 'any/thing', true],
    [['**/b'], 'a/b', true],
    [['a/**/b'], 'a/b', true],
    [['a/**/b'], 'a/x/y/b', true],
    [['a/**/b'], 'ab', false],
    [['[a-c].txt'], 'b.txt', true],
    [['[^a-c].txt'], 'b.txt', false],
    [['[^a-c].txt'], 'd.txt', true],
    [['\\*.txt'], '*.txt', true],
    [['\\*.txt'], 'a.txt', false],
    [['\\!x'], '!x', true],
    [['a.b'], 'axb', false],
    [['a(b)+|$'], 'a(b)+|$', true],
    [['ä?'], 'äö', true],
    [['.git'], '.gitignore', false],
  ])('%j on %s: %s', (patterns, path, ignored) => {
    expect(compileIgnorePatterns(patterns).isIgnored(path)).toBe(ignored);
  });

  it('a file: comments, blank lines, spaces and a byte order mark', () => {
    expect(parseIgnoreFile('\uFEFF# no\n\n  a/b/  \n!  keep  \r\n #not a comment\n/\n.\n')).toEqual([
      'a/b',
      '!keep',
      '#not a comment',
    ]);
  });

  it('tells whether an ignored directory has to be entered', () => {
    const matcher = compileIgnorePatterns(['*', '!src/**/*.ts', '!docs/*.md', '!package.json']);
    expect(['src', 'src/a', 'docs', 'lib', 'docs/deep'].map((path) => matcher.mayReinclude(path))).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
  });

  it.each(['[a', 'a\\', '[]', '[z-a]'])('malformed: %s', (pattern) => {
    expect(() => compileIgnorePatterns([pattern])).toThrow(expect.objectContaining({ code: 'archive/invalid' }));
  });

  it('no pattern makes it slow', () => {
    const matcher = compileIgnorePatterns([`${'**/a'.repeat(20)}/b`, '*a*a*a*a*a*a*b']);
    const started = performance.now();
    matcher.isIgnored(`${'a/'.repeat(60)}c`);
    matcher.isIgnored('a'.repeat(200));
    expect(performance.now() - started).toBeLessThan(2000);
  });
});
