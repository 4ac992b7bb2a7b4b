import fc from 'fast-check';
import { expect, it } from 'vitest';
import { analyse, definitionsAt, describeAt, loadModel, memoryReader, proposalsAt } from '../index.ts';
import { cursorAt } from './cursor.ts';

const at = (text: string) => {
  const offset = text.indexOf('|');
  const { path, key, prefix } = cursorAt(text.replace('|', ''), offset);
  return `${path.join(' ')} > ${key ?? ''} > ${prefix}`;
};

it.each([
  ['ser|', ' >  > ser'],
  ['services:\n  a:\n    im|', 'services a >  > im'],
  ['services:\n  a:\n    image: ng|', 'services a > image > ng'],
  ['services:\n  a:\n    depends_on:\n      - d|', 'services a depends_on [] >  > d'],
  ['services:\n  a:\n    depends_on:\n    - d|', 'services a depends_on [] >  > d'],
  ['services:\n  a:\n    ports:\n      - target: 80\n        pub|', 'services a ports [] >  > pub'],
  ['services:\n  a:\n    ports:\n      - target: |', 'services a ports [] > target > '],
  ['services:\n  a:\n    build:\n      args:\n        X: 1\n    |', 'services a >  > '],
  ['services:\n  a:\n    x: 1\n\n# a remark\n  b:\n    |', 'services b >  > '],
  ['services:\n  "a b":\n    |', 'services a b >  > '],
])('knows where the cursor stands: %j', (text, expected) => {
  expect(at(text)).toBe(expected);
});

const LINES = fc.array(
  fc.oneof(
    {
      weight: 9,
      arbitrary: fc.constantFrom(
        'services:',
        '  a:',
        '    image: ${X:-$Y}',
        '    depends_on: [b]',
        '    depends_on:',
        '      - b',
        '  b: {image: x, extends: a}',
        'x: &e {k: *e}',
        '    <<: *e',
        '    volumes: ["v:/x"]',
        'volumes: {v: }',
        'x-lint: [privileged]',
        '\t',
        '- x',
        '    env_file: a.env',
        'include: [o.yaml]',
      ),
    },
    { weight: 1, arbitrary: fc.string() },
  ),
  { maxLength: 10 },
);

it('answers anywhere in any text', async () => {
  const property = async (lines: readonly string[]) => {
    const text = lines.join('\n');
    const reader = memoryReader({
      '/p/compose.yaml': text,
      '/p/o.yaml': 'services: {o: {image: x}}',
      '/p/a.env': 'X=1',
    });
    const options = { files: ['/p/compose.yaml'], currentDirectory: '/p', environment: {}, reader };
    const analysis = await analyse(options);
    for (let offset = 0; offset <= text.length; offset += 3) {
      describeAt(analysis, '/p/compose.yaml', offset);
      definitionsAt(analysis, '/p/compose.yaml', offset);
      proposalsAt(analysis, '/p/compose.yaml', offset);
    }
  };
  await fc.assert(fc.asyncProperty(LINES, property), { numRuns: 100 });
});

it('shows what was left unexpanded so that it loads again to the same', async () => {
  const property = async (lines: readonly string[]) => {
    const load = (text: string) =>
      loadModel(
        {
          currentDirectory: '/p',
          environment: {},
          reader: memoryReader({ '/p/compose.yaml': text, '/p/o.yaml': 'services: {o: {image: x}}' }),
        },
        ['interpolate'],
      );
    const first = await load(lines.join('\n')).catch(() => undefined);
    if (!first) return;
    expect((await load(first.render('yaml'))).render('yaml')).toBe(first.render('yaml'));
    expect(JSON.parse(first.render('json'))).toBeTypeOf('object');
  };
  await fc.assert(fc.asyncProperty(LINES, property), { numRuns: 150 });
});
