import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  familiarImageRef,
  formatByteSize,
  formatDiagnostic,
  formatDuration,
  formatImageRef,
  parseByteSize,
  parseDuration,
  parseImageRef,
  sortTopologically,
  UndoList,
} from './index.ts';

describe('image references', () => {
  it.each([
    ['redis', 'docker.io/library/redis', 'redis'],
    ['redis:7', 'docker.io/library/redis:7', 'redis:7'],
    ['me/app', 'docker.io/me/app', 'me/app'],
    ['localhost/app:1', 'localhost/app:1', 'localhost/app:1'],
    ['127.0.0.1:5000/a/b:x', '127.0.0.1:5000/a/b:x', '127.0.0.1:5000/a/b:x'],
    [`a@sha256:${'0'.repeat(64)}`, `docker.io/library/a@sha256:${'0'.repeat(64)}`, `a@sha256:${'0'.repeat(64)}`],
    ['[::1]:5000/a', '[::1]:5000/a', '[::1]:5000/a'],
  ])('%s', (text, full, familiar) => {
    const ref = parseImageRef(text);
    expect(formatImageRef(ref)).toBe(full);
    expect(familiarImageRef(ref)).toBe(familiar);
    expect(parseImageRef(full)).toEqual(ref);
  });

  it.each([
    '',
    ':',
    'A',
    'a:',
    'a@',
    'a@sha256:12',
    'a/',
    '/a',
    'a//b',
    'a:b:c',
    '-a',
    'a b',
    'x.y:99999999/a',
    '../a',
  ])('refuses %j', (text) => {
    expect(() => parseImageRef(text)).toThrow(expect.objectContaining({ code: 'image/invalid' }));
  });
});

describe('durations', () => {
  it.each([
    ['1m30s', 90e9, '1m30s'],
    ['250ms', 250e6, '250ms'],
    ['1.5h', 5400e9, '1h30m0s'],
    ['0', 0, '0s'],
    ['10us', 10_000, '10µs'],
  ])('%s', (text, ns, formatted) => {
    expect(parseDuration(text)).toBe(ns);
    expect(formatDuration(ns)).toBe(formatted);
  });

  it.each(['', '1', 's', '1x', '1 s', '1s1', '--1s'])('refuses %j', (text) => {
    expect(() => parseDuration(text)).toThrow(expect.objectContaining({ code: 'core/invalid' }));
  });

  it('reads back what it writes', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 1e15 }), (ns) => parseDuration(formatDuration(ns)) === ns));
  });
});

describe('byte sizes', () => {
  it.each([
    ['512', 512],
    ['64m', 64 * 1024 ** 2],
    ['1.5gb', 1.5 * 1024 ** 3],
    ['2KiB', 2048],
    ['7b', 7],
  ])('%s', (text, bytes) => expect(parseByteSize(text)).toBe(bytes));

  it.each(['', 'm', '-1', '1x', '1 2'])('refuses %j', (text) =>
    expect(() => parseByteSize(text)).toThrow('invalid size'),
  );

  it('writes units of 1000', () => expect(formatByteSize(1_250_000)).toBe('1.25MB'));
});

describe('ordering', () => {
  it('puts dependencies first and keeps the input order otherwise', () => {
    const edges: Record<string, string[]> = { web: ['api'], api: ['db'], db: [], job: ['absent'] };
    expect(sortTopologically(Object.keys(edges), (node) => edges[node] ?? [])).toEqual({
      order: ['db', 'api', 'web', 'job'],
    });
  });

  it('names a cycle as a closed path', () => {
    const edges: Record<string, string[]> = { x: ['a'], a: ['b'], b: ['c'], c: ['a'] };
    expect(sortTopologically(Object.keys(edges), (node) => edges[node] ?? [])).toEqual({ cycle: ['a', 'b', 'c', 'a'] });
  });

  it('walks chains of any length', () => {
    const nodes = Array.from({ length: 50_000 }, (_, index) => String(index));
    const result = sortTopologically(nodes, (node) => [String(Number(node) + 1)]);
    expect('order' in result && result.order[0]).toBe('49999');
  });
});

it('undoes newest first and goes on after a failure', async () => {
  const seen: string[] = [];
  const undo = new UndoList();
  undo.add('one', () => void seen.push('one'));
  undo.add('two', () => Promise.reject(new Error('busy')));
  undo.add('three', () => void seen.push('three'));
  expect((await undo.run()).map((failure) => failure.what)).toEqual(['two']);
  expect(seen).toEqual(['three', 'one']);
});

it('draws a caret below the place, tabs kept', () => {
  const at = { file: 'a.yaml', line: 2, column: 3, length: 3 };
  expect(
    formatDiagnostic({ code: 'c/x', severity: 'error', message: 'bad', at, hint: 'mend' }, 'a:\n\tbcde: 1\n'),
  ).toBe('a.yaml:2:3: error: bad [c/x]\n  2 | \tbcde: 1\n    | \t ^^^\n  hint: mend');
});
