import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');
const TABLE = readFileSync(join(ROOT, 'integration/README.md'), 'utf8');
const ROWS = TABLE.split('\n').flatMap((line) => {
  const [, row = '', , file = '', words = ''] = line.split('|').map((cell) => cell.trim());
  return /^[RXNCF]\d\d$/.test(row) ? [{ row, file: file.replaceAll('`', ''), words }] : [];
});

const range = (letter: string, last: number) =>
  Array.from({ length: last }, (_, index) => `${letter}${String(index + 1).padStart(2, '0')}`);

/** How many rows a part of the map has. */
const LAST: Readonly<Record<string, number>> = { R: 30, X: 15, N: 14, C: 9 };

/** Faults that concern the runtime, extraction, the monitor, networks or compose files; the others belong to other rooms. */
const FAULTS = [
  2, 3, 4, 5, 7, 17, 18, 19, 20, 21, 22, 23, 26, 27, 28, 29, 30, 31, 36, 37, 41, 42, 43, 47, 48, 53, 57, 58, 59,
];

it.each(ROWS)('the proof of $row is where integration/README.md says: $words', ({ file, words }) => {
  expect(words).not.toBe('');
  expect(readFileSync(join(ROOT, file), 'utf8')).toContain(words);
});

it('no row is left out', () => {
  const faults = FAULTS.map((number) => `F${String(number).padStart(2, '0')}`);
  expect([...new Set(ROWS.map(({ row }) => row))]).toEqual([
    ...Object.entries(LAST).flatMap(([letter, last]) => range(letter, last)),
    ...faults,
  ]);
});
