import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DiagnosticCollector } from '../core/index.ts';
import { compareKeys } from './compare-keys.ts';
import { parseDotenv } from './dotenv.ts';
import { merge } from './merge.ts';
import type { Mapping, Node } from './node.ts';
import { nodesEqual } from './nodes-equal.ts';

import { formatPort, parsePort } from './port-codec.ts';
import { readYaml } from './read-yaml.ts';
import { splitCommandLine } from './shell-words.ts';
import { suggest } from './suggest.ts';
import { expandTemplate } from './template.ts';
import { writeYaml } from './write-yaml.ts';

function tree(text: string): Mapping {
  const [made] = readYaml({ file: 'x.yaml', text, base: '/' }, new DiagnosticCollector());
  if (!made) throw new Error('not a mapping');
  return made;
}

function plain(node: Node): unknown {
  if (node.kind === 'scalar') return node.value;
  if (node.kind === 'list') return node.items.map(plain);
  return new Map(Array.from(node.entries, ([key, { value }]) => [key, plain(value)]));
}

describe('rendered YAML', () => {
  it('reads back as the same text, whatever the text', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 40 }),
        fc.string({ unit: 'binary', maxLength: 20 }),
        (a, b) => {
          // Lone surrogates are no text; NEL, LS and PS are line breaks to some readers and are escaped.
          fc.pre(!/\p{Cs}|[\u0085]/u.test(a + b));
          const out = new Map<string, string | string[]>([
            ['k', a],
            ['l', [b, a]],
          ]);
          expect(plain(tree(writeYaml(out)))).toEqual(
            new Map<string, unknown>([
              ['k', a],
              ['l', [b, a]],
            ]),
          );
        },
      ),
      { numRuns: 500 },
    );
    // A busy machine needs its time.
  }, 60_000);
});

describe('templates', () => {
  it('never fail on text without ${', () => {
    fc.assert(fc.property(fc.string(), (text) => text.includes('${') || 'value' in expandTemplate(text, () => 'v')));
  });
  it('give back what was escaped', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(expandTemplate(text.replaceAll('$', '$$$$'), () => 'v')).toEqual({ value: text, unset: [] });
      }),
    );
  });
  it('do not expand values again', () => {
    expect(expandTemplate('$A', () => '$B')).toEqual({ value: '$B', unset: [] });
  });
});

describe('ports', () => {
  it('round trip', () => {
    const port = fc.integer({ min: 0, max: 65_535 });
    const arbitrary = fc.record({
      ip: fc.option(fc.constantFrom('127.0.0.1', '::1', 'fe80::1')),
      published: fc.option(port),
      target: port,
      protocol: fc.constantFrom('tcp', 'udp', 'sctp'),
    });
    fc.assert(
      fc.property(arbitrary, ({ ip, published, target, protocol }) => {
        const spec = {
          ...(ip && { hostIp: ip }),
          target,
          ...(published !== null && { published: String(published) }),
          protocol,
        };
        expect(parsePort(formatPort(spec))).toEqual([spec]);
      }),
    );
  });
  it.each([
    '',
    ':',
    '80:',
    ':80:',
    'a',
    '1.2.3.4',
    '80:80:80:80',
    '[::1:80:80',
    '65536',
    '2-1',
    '1-2:3-5',
    '80/',
    '80/icmp',
    '-1',
    '80 ',
    '999.1.1.1:80:80',
    '::1:80:80',
  ])('refuses %j', (text) => expect(parsePort(text)).toHaveProperty('problem'));
});

describe('merge', () => {
  const docs = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 3 }).chain((names) =>
    fc
      .record({
        environment: fc.dictionary(fc.constantFrom('A', 'B', 'C'), fc.constantFrom('1', '2')),
        cap_add: fc.uniqueArray(fc.constantFrom('X', 'Y', 'Z'), { minLength: 1 }),
        user: fc.constantFrom('u', 'v'),
        command: fc.array(fc.constantFrom('p', 'q')),
      })
      .map((service) => JSON.stringify({ services: Object.fromEntries(names.map((name) => [name, service])) })),
  );
  it('is associative', () => {
    fc.assert(
      fc.property(docs, docs, docs, (a, b, c) => {
        const left = merge(merge(tree(a), tree(b)), tree(c));
        const right = merge(tree(a), merge(tree(b), tree(c)));
        expect(nodesEqual(left, right)).toBe(true);
      }),
    );
  });
  it('changes neither input', () => {
    const base = tree('services: {a: {cap_add: [A]}}');
    const over = tree('services: {a: {cap_add: [B]}}');
    merge(base, over);
    expect(plain(base)).toEqual(plain(tree('services: {a: {cap_add: [A]}}')));
    expect(plain(over)).toEqual(plain(tree('services: {a: {cap_add: [B]}}')));
  });
});

it('orders keys like the reference: signs, digits by value, capitals', () => {
  expect(['a10', 'a2', 'b', 'A', '_', '10', '9', 'a'].sort(compareKeys)).toEqual([
    '_',
    '9',
    '10',
    'A',
    'a',
    'a2',
    'a10',
    'b',
  ]);
});

it.each([
  ['depend_on', 'depends_on'],
  ['enviroment', 'environment'],
  ['prots', 'ports'],
  ['env-file', 'env_file'],
  ['zzz', undefined],
])('suggests for %s: %s', (written, expected) => {
  expect(suggest(written, ['depends_on', 'environment', 'ports', 'env_file', 'image'])).toBe(expected);
});

it.each([
  ['a "b c" d', ['a', 'b c', 'd']],
  ["a 'b\\' c", ['a', 'b\\', 'c']],
  ['', []],
  ['a ""', ['a', '']],
  ['a\\ b', ['a b']],
])('splits %j', (line, words) => expect(splitCommandLine(line)?.words).toEqual(words));

it('parses any dotenv text without throwing', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('A', '=', '"', "'", '\n', ' ', '#', '$', '{', '}', '\\', ':', 'é') }),
      (text) => {
        parseDotenv(text, () => 'v');
      },
    ),
  );
});
