import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseFixtureFile } from './fixture-file.ts';
import { ComposeError, formatFindings, loadProject, memoryReader, renderProject } from './index.ts';

/** Runs; more for a longer search, as in TSC_FUZZ_RUNS=100000. */
const RUNS = Number(process.env['TSC_FUZZ_RUNS'] ?? 300);

const FOLDER = new URL('./fixtures/', import.meta.url);

/** File sets of the fixtures that load from compose.yaml. */
const SEEDS = readdirSync(FOLDER)
  .flatMap((file) => parseFixtureFile(readFileSync(new URL(file, FOLDER), 'utf8')))
  .map(({ sections }) =>
    sections.flatMap(({ kind, argument, body }) => (kind === 'file' ? [[argument, body] as const] : [])),
  )
  .filter((files) => files.some(([path]) => path === 'compose.yaml'));

/** What breaks readers: syntax of YAML and templates, tags, names that objects have, the edges of Unicode and of numbers. */
const TOKENS = [
  ...[
    '\n',
    '  ',
    '\t',
    ': ',
    '- ',
    '? ',
    ', ',
    '{',
    '}',
    '[',
    ']',
    '"',
    "'",
    '#',
    '|',
    '>',
    '&a ',
    '*a',
    '<<: *a',
    '---\n',
  ],
  ...[
    '!reset ',
    '!override ',
    '!!binary ',
    '!<x> ',
    '%YAML 9\n',
    '$',
    '${',
    '${A:-',
    '${A:?',
    '$$',
    '\\',
    '\0',
    '\r',
    '\u0085',
  ],
  ...[
    '\ufeff',
    '\u2028',
    '\ud800',
    '😀',
    '__proto__',
    'constructor',
    'null',
    '~',
    'true',
    '-1',
    '1e999',
    '0x',
    '.nan',
    '9'.repeat(30),
  ],
  ...[
    'services:',
    'extends: ',
    'include: [compose.yaml]',
    'x-',
    'https://h/a.git',
    'oci://r/x',
    '../',
    '/',
    ':',
    '@',
    '=',
  ],
];

interface Mutation {
  readonly at: number;
  readonly drop: number;
  readonly insert: string;
  readonly from: number;
}

const mutation: fc.Arbitrary<Mutation> = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  drop: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 8 }), fc.integer({ min: 0, max: 200 })),
  insert: fc.oneof(fc.constantFrom(...TOKENS), fc.string({ maxLength: 4 }), fc.constant('')),
  // A piece of the text itself, put elsewhere.
  from: fc.oneof(fc.constant(-1), fc.double({ min: 0, max: 1, noNaN: true })),
});

function mutate(text: string, { at, drop, insert, from }: Mutation): string {
  const place = Math.floor(at * text.length);
  const moved = from < 0 ? '' : text.slice(Math.floor(from * text.length), Math.floor(from * text.length) + 40);
  return text.slice(0, place) + insert + moved + text.slice(place + drop);
}

async function loadBoth(files: Readonly<Record<string, string>>): Promise<void> {
  const environment = { HOME: '/home/u', FOO: 'foo', EMPTY: '' };
  const options = { currentDirectory: '/project', environment, purpose: 'show', profiles: ['*'] } as const;
  const first = await loadProject({ ...options, reader: memoryReader(files) }).catch((error: unknown) => {
    if (!(error instanceof ComposeError)) throw error;
    // Every finding can be shown where it is.
    formatFindings(error.diagnostics, error.sources);
  });
  if (!first) return;
  formatFindings(first.warnings, first.sources);
  JSON.parse(renderProject(first.project, { format: 'json' }));
  const model = renderProject(first.project, { format: 'yaml' });
  const again = await loadProject({ ...options, reader: memoryReader({ '/project/compose.yaml': model }) });
  expect(renderProject(again.project, { format: 'yaml' })).toBe(model);
}

it('damaged files end in a model that loads again, or in findings with places', async () => {
  const damage = fc.tuple(fc.constantFrom(...SEEDS), fc.array(mutation, { minLength: 1, maxLength: 5 }), fc.nat());
  await fc.assert(
    fc.asyncProperty(damage, async ([files, mutations, which]) => {
      const index = which % files.length;
      const damaged = files.map(([path, text], i): [string, string] => [
        `/project/${path}`,
        i === index ? mutations.reduce(mutate, text) : text,
      ]);
      await loadBoth(Object.fromEntries(damaged));
    }),
    { numRuns: RUNS },
  );
}, 3_600_000);
