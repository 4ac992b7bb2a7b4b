import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DiagnosticCollector } from '../core/index.ts';
import { parseFixtureFile } from './fixture-file.ts';
import type { Mapping } from './node.ts';
import { readPlainYaml } from './read-plain-yaml.ts';
import { readYaml } from './read-yaml.ts';

/** Runs; more for a longer search, as in TSC_FUZZ_RUNS=100000. */
const RUNS = Number(process.env['TSC_FUZZ_RUNS'] ?? 2000);

const FOLDER = new URL('./fixtures/', import.meta.url);
const FIXTURES = readdirSync(FOLDER)
  .flatMap((file) => parseFixtureFile(readFileSync(new URL(file, FOLDER), 'utf8')))
  .flatMap(({ sections }) => sections.flatMap(({ kind, body }) => (kind === 'file' ? [body] : [])));

/** Reads a text both ways and fails where they differ; whether the short way took it. */
function agrees(text: string): boolean {
  const source = { file: 'compose.yaml', text, base: '/' };
  const plain = readPlainYaml(source);
  if (!plain) return false;
  const findings = new DiagnosticCollector();
  const [tree, ...more] = readYaml(source, findings);
  expect([findings.all, more]).toEqual([[], []]);
  expect(outline(plain)).toEqual(outline(tree as Mapping));
  return true;
}

/** The tree with the places of its values, and which of them are one and the same. */
function outline(tree: Mapping): unknown {
  const seen = new Map<object, number>();
  const draw = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return Object.is(value, -0) ? '-0' : value;
    const known = seen.get(value);
    if (known !== undefined) return { same: known };
    seen.set(value, seen.size);
    if (value instanceof Map) return [...value].map(([key, item]) => [key, draw(item)]);
    if (Array.isArray(value)) return value.map(draw);
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, key === 'source' ? '' : draw(item)]));
  };
  return draw(tree);
}

it('reads the fixtures as the library does', () => {
  const taken = FIXTURES.filter(agrees);
  // Most of what people write; if not, the short way is of no use.
  expect(taken.length).toBeGreaterThan(FIXTURES.length * 0.7);
});

/** What ends, begins or means something in YAML, in some place or other. */
const ODD = fc.constantFrom(
  ...'08 0755 1_000 1e3 -1 - -- --- ... .5 ~ null Null true yes on 22:22 a:b a: :a a#b # ? !reset | > >-'.split(' '),
  ...'*a *b &a &b " \' [ ] { } % @ ` , = << a,b a] x} ${A:-b} __proto__ é 日本 🐳 \u00a0 \u2028 \ufeff \t \r \u0085'.split(
    ' ',
  ),
  ...'# c¦a b¦? a¦!x y¦&a b¦"a\\n"¦\'it\'\'s\'¦"a" b¦[a, ]¦[ , a]¦{a: }¦{a}¦{a:b}¦{"a":1}¦[a: b]¦[a #b, c]¦[-1, -]'.split(
    '¦',
  ),
);
const TAME = fc.constantFrom(
  ...'a¦1¦a b¦"q"¦\'q\'¦[a, b]¦[a,b]¦[]¦{}¦{a: b}¦{a: &b c, d: *b}¦[*a, "x"]¦{<<: *a, z: 1}¦{<<: [*a, *a]}¦[[a], {b: [c]}]'.split(
    '¦',
  ),
);
const WORD = fc.oneof({ weight: 8, arbitrary: TAME }, ODD);
const KEY = fc.oneof(
  { weight: 30, arbitrary: fc.constantFrom('a', 'b', 'c', 'd', 'e.f', '1', 'g-h', '"k"', "'s'", '<<') },
  ODD,
);
const BLANK = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('', ' ', ' #c', '\n', '\n# c', '\n  # c') },
  fc.constantFrom('  # c', '#c', '\n\n', '\n      # c', '\n    #'),
);
const LINE = fc
  .tuple(
    fc.constantFrom(0, 0, 0, 2, 2, 2, 4, 1),
    fc.oneof(
      { weight: 8, arbitrary: fc.constant('') },
      fc.constantFrom('- ', '- ', '-', '- - ', '-  ', '&a ', '- &b '),
    ),
    fc.oneof({ weight: 20, arbitrary: KEY.map((key) => `${key}:`) }, fc.constantFrom('', ' :', '::')),
    fc.oneof({ weight: 6, arbitrary: fc.constant(' ') }, fc.constantFrom('', '  ', ' &a ', ' &b ', ' &a')),
    fc.oneof({ weight: 2, arbitrary: fc.constant('') }, { weight: 3, arbitrary: WORD }),
    BLANK,
  )
  .map(([indent, dash, key, gap, value, blank]) => `${' '.repeat(indent)}${dash}${key}${gap}${value}${blank}`);

it('reads lines in any order as the library does, or not at all', () => {
  const text = fc.tuple(fc.array(LINE, { minLength: 1, maxLength: 6 }), fc.constantFrom('\n', '', '\n\n', '\n# c'));
  let taken = 0;
  fc.assert(
    fc.property(text, ([lines, end]) => void (agrees(lines.join('\n') + end) && taken++)),
    { numRuns: RUNS },
  );
  expect(taken).toBeGreaterThan(RUNS / 100);
});

const VALUE: fc.Arbitrary<readonly string[]> = fc.letrec<{ value: readonly string[]; block: readonly string[] }>(
  (tie) => ({
    value: fc.oneof(
      { maxDepth: 4, depthIdentifier: 'yaml' },
      WORD.map((word) => [word]),
      tie('block'),
    ),
    block: fc.oneof(
      { maxDepth: 4, depthIdentifier: 'yaml' },
      fc
        .uniqueArray(fc.tuple(KEY, tie('value'), BLANK, fc.constantFrom(2, 2, 2, 4)), {
          minLength: 1,
          maxLength: 4,
          selector: ([key]) => key,
        })
        .map((pairs) =>
          pairs.flatMap(([key, [first = '', ...rest], blank, step]) => [
            ...(rest.length === 0
              ? [`${key}: ${first}${blank}`]
              : [`${key}:${blank}`, ...[first, ...rest].map((line) => ' '.repeat(step) + line)]),
          ]),
        ),
      fc
        .array(fc.tuple(tie('value'), BLANK), { minLength: 1, maxLength: 4 })
        .map((items) =>
          items.flatMap(([[first = '', ...rest], blank]) => [`- ${first}${blank}`, ...rest.map((line) => `  ${line}`)]),
        ),
    ),
  }),
).block;

it('reads trees of values as the library does, or not at all', () => {
  let taken = 0;
  fc.assert(
    fc.property(VALUE, (lines) => void (agrees(`x: &a {p: 1}\ny: &b [q]\n${lines.join('\n')}\n`) && taken++)),
    { numRuns: RUNS },
  );
  expect(taken).toBeGreaterThan(RUNS / 100);
});

it('reads fixtures with a piece changed as the library does, or not at all', () => {
  const change = fc.tuple(
    fc.constantFrom(...FIXTURES),
    fc.nat(),
    fc.nat(6),
    fc.oneof(WORD, BLANK, fc.constantFrom(': ', '- ', '\n', '  ', ', ')),
  );
  fc.assert(
    fc.property(change, ([text, place, length, piece]) => {
      const at = place % (text.length + 1);
      agrees(text.slice(0, at) + piece + text.slice(at + length));
    }),
    { numRuns: RUNS },
  );
});
