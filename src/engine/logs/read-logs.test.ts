import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nanosecondsOf } from './log-line.ts';
import type { LogQuery } from './log-query.ts';
import { readLogs } from './read-logs.ts';

let directory = '';
let path = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tsc-logs-'));
  path = join(directory, 'x-json.log');
});
afterEach(() => rmSync(directory, { recursive: true }));

const record = (log: string, n = 0, stream = 'stdout') =>
  `${JSON.stringify({ log, stream, time: `2026-01-01T00:00:00.${String(n).padStart(9, '0')}Z` })}\n`;
const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => record(`line ${from + index}\n`, from + index)).join('');
/** What the monitor's compressor does: the file's inode in the header, then the original goes. */
function compress(from: string, to = `${from}.gz`): void {
  const origin = Buffer.alloc(14);
  origin.set([12, 0, 0x54, 0x53, 8, 0]);
  origin.writeBigUInt64LE(BigInt(statSync(from).ino), 6);
  const packed = gzipSync(readFileSync(from));
  packed[3] = 4;
  writeFileSync(to, Buffer.concat([packed.subarray(0, 10), origin, packed.subarray(10)]));
  rmSync(from);
}

const both = { stdout: true, stderr: true };

async function texts(query: Partial<LogQuery> = {}, finished: Promise<unknown> = Promise.resolve()): Promise<string[]> {
  const found: string[] = [];
  for await (const frame of readLogs({ path, finished }, { ...both, ...query })) found.push(frame.data.toString());
  return found;
}

describe('reading', () => {
  it('goes through rotated files, oldest first', async () => {
    writeFileSync(`${path}.2`, lines(0, 2));
    writeFileSync(`${path}.1`, lines(2, 4));
    writeFileSync(path, lines(4, 6));
    expect(await texts()).toEqual([0, 1, 2, 3, 4, 5].map((n) => `line ${n}\n`));
    expect(await texts({ tail: 3 })).toEqual([3, 4, 5].map((n) => `line ${n}\n`));
    expect(await texts({ tail: 0 })).toEqual([]);
    expect(await texts({ tail: 99 })).toHaveLength(6);
  });

  it('goes through compressed files, forwards and backwards, and leaves nothing', async () => {
    writeFileSync(`${path}.3`, lines(0, 20_000));
    writeFileSync(`${path}.2`, lines(20_000, 20_010));
    writeFileSync(`${path}.1`, lines(20_010, 20_020));
    writeFileSync(path, lines(20_020, 20_021));
    compress(`${path}.3`);
    compress(`${path}.2`);
    expect(await texts()).toEqual(Array.from({ length: 20_021 }, (_, n) => `line ${n}\n`));
    expect(await texts({ tail: 12 })).toEqual(Array.from({ length: 12 }, (_, n) => `line ${20_009 + n}\n`));
    expect(await texts({ tail: 30 })).toEqual(Array.from({ length: 30 }, (_, n) => `line ${19_991 + n}\n`));
    expect(readdirSync(directory).length).toBe(4);
  });

  it('takes one form of a file that is there in both, and the whole part of a damaged one', async () => {
    writeFileSync(`${path}.2`, lines(0, 2));
    compress(`${path}.2`);
    writeFileSync(`${path}.2`, lines(0, 2));
    writeFileSync(`${path}.1`, lines(2, 4));
    expect(await texts()).toEqual([0, 1, 2, 3].map((n) => `line ${n}\n`));
    const packed = gzipSync(lines(0, 2));
    rmSync(`${path}.2`);
    writeFileSync(`${path}.2.gz`, packed.subarray(0, packed.length - 4));
    expect((await texts()).slice(-2)).toEqual(['line 2\n', 'line 3\n']);
  });

  it('is empty without a file', async () => expect(await texts({ tail: 5 })).toEqual([]));

  it('finds the tail of a large file', async () => {
    writeFileSync(path, lines(0, 30_000));
    const found = await texts({ tail: 10_001 });
    expect([found.length, found[0], found.at(-1)]).toEqual([10_001, 'line 19999\n', 'line 29999\n']);
  });

  it('counts a line that comes in parts once, and skips damage', async () => {
    writeFileSync(path, `${record('a\n')}${record('b1')}${record('b2\n')}{"log":"half${'\n'}${record('c')}`);
    expect(await texts({ tail: 2 })).toEqual(['b1', 'b2\n', 'c']);
    expect(await texts({ tail: 1 })).toEqual(['c']);
    expect(await texts()).toEqual(['a\n', 'b1', 'b2\n', 'c']);
  });

  it('gives every text back as it was written, whatever form its line has', async () => {
    const all = [
      'plain\n',
      'no newline',
      '\n',
      '',
      'ü€😀\n',
      '"quoted","stream":"stderr"\n',
      'a\\n\n',
      '\\\n',
      '\ttab\n',
      '\u0000\n',
      'two\nlines\n',
    ];
    writeFileSync(path, all.map((text, n) => record(text, n)).join(''));
    expect(await texts()).toEqual(all);
    const odd = [
      '{"stream":"stderr","time":"2026-01-01T00:00:00Z","log":"order\\n"}',
      '{"log":"more\\n","stream":"stdout","attrs":{},"time":"x"}',
    ];
    writeFileSync(path, `${odd.join('\n')}\n`);
    expect(await texts()).toEqual(['order\n', 'more\n']);
  });

  it('filters by stream and time', async () => {
    writeFileSync(path, record('o\n', 1) + record('e\n', 2, 'stderr') + record('p\n', 3));
    expect(await texts({ stderr: false })).toEqual(['o\n', 'p\n']);
    const base = nanosecondsOf('2026-01-01T00:00:00Z');
    expect(await texts({ since: base + 2n })).toEqual(['e\n', 'p\n']);
    expect(await texts({ until: base + 2n })).toEqual(['o\n', 'e\n']);
  });
});

describe('following', () => {
  it('sees appended lines, rotation, and ends with the source', async () => {
    writeFileSync(path, lines(0, 2));
    const finished = Promise.withResolvers<void>();
    const found: string[] = [];
    const steps: Record<string, () => void> = {
      'line 1\n': () => {
        const [first, second] = [record('split é\n').slice(0, 15), record('split é\n').slice(15)];
        appendFileSync(path, first);
        setImmediate(() => appendFileSync(path, second));
      },
      'split é\n': () => {
        appendFileSync(path, record('before\n'));
        renameSync(path, `${path}.1`);
        writeFileSync(path, record('after\n'));
      },
      'after\n': () => finished.resolve(),
    };
    for await (const frame of readLogs({ path, finished: finished.promise }, { ...both, follow: true })) {
      const text = frame.data.toString();
      found.push(text);
      steps[text]?.();
    }
    expect(found).toEqual(['line 0\n', 'line 1\n', 'split é\n', 'before\n', 'after\n']);
  });

  it('goes on where it was when its file has been compressed meanwhile, or dropped', async () => {
    writeFileSync(`${path}.1`, lines(0, 1));
    compress(`${path}.1`);
    writeFileSync(path, lines(1, 2));
    const finished = Promise.withResolvers<void>();
    const found: string[] = [];
    const steps: Record<string, () => void> = {
      'line 1\n': () => {
        renameSync(`${path}.1.gz`, `${path}.3.gz`);
        renameSync(path, `${path}.2`);
        compress(`${path}.2`);
        writeFileSync(`${path}.1`, lines(2, 3));
        compress(`${path}.1`);
        writeFileSync(path, lines(3, 4));
      },
      'line 3\n': () => {
        rmSync(path);
        for (const n of [1, 2, 3]) rmSync(`${path}.${n}.gz`);
        writeFileSync(`${path}.1`, lines(10, 11));
        writeFileSync(path, lines(11, 12));
      },
      'line 11\n': () => finished.resolve(),
    };
    for await (const frame of readLogs({ path, finished: finished.promise }, { ...both, follow: true })) {
      const text = frame.data.toString();
      found.push(text);
      steps[text]?.();
    }
    expect(found).toEqual([0, 1, 2, 3, 10, 11].map((n) => `line ${n}\n`));
  });

  it('sees that a log of one file starts again', async () => {
    writeFileSync(path, lines(0, 3));
    const finished = Promise.withResolvers<void>();
    const found: string[] = [];
    for await (const frame of readLogs({ path, finished: finished.promise }, { ...both, follow: true })) {
      found.push(frame.data.toString());
      if (found.length === 3) writeFileSync(path, lines(3, 4));
      if (found.length === 4) finished.resolve();
    }
    expect(found).toEqual([0, 1, 2, 3].map((n) => `line ${n}\n`));
  });

  it('ends when the client gives up', async () => {
    const cancel = new AbortController();
    setImmediate(() => cancel.abort());
    expect(await texts({ follow: true, signal: cancel.signal }, new Promise(() => undefined))).toEqual([]);
  });
});
