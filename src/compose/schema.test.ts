import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { service } from './codecs/service.ts';
import { SUPPORT } from './rules/support-rules.ts';
import { alternativesOf, COMPOSE_SCHEMA, propertyOf, type Schema } from './schema.ts';

/** One attribute of the specification per line, `*` for a free key, `[]` for an item. */
const ATTRIBUTES = readFileSync(new URL('./attributes.fixture.txt', import.meta.url), 'utf8')
  .trim()
  .split('\n');

function below(schema: Schema, segment: string): Schema | undefined {
  for (const alternative of alternativesOf(schema)) {
    const found = segment === '[]' ? alternative.items : propertyOf(alternative, segment === '*' ? 'name' : segment);
    if (found) return found;
  }
  return undefined;
}

function find(path: string): Schema | undefined {
  const segments = path.replaceAll('[]', '.[]').split('.');
  return segments.reduce<Schema | undefined>((schema, segment) => schema && below(schema, segment), COMPOSE_SCHEMA);
}

describe('the schema', () => {
  it('knows 353 attributes', () => expect(ATTRIBUTES).toHaveLength(353));
  it.each(ATTRIBUTES)('has %s with a description', (path) => expect(find(path)?.description).toMatch(/\w/));

  it('has no attribute that the list lacks', () => {
    const found: string[] = [];
    const walk = (schema: Schema, path: string) => {
      for (const alternative of alternativesOf(schema)) {
        if (alternative.items) walk(alternative.items, `${path}[]`);
        for (const value of Object.values(alternative.patternProperties ?? {})) walk(value, `${path}.*`);
        for (const [key, value] of Object.entries(alternative.properties ?? {})) {
          const at = path === '' ? key : `${path}.${key}`;
          found.push(at);
          walk(value, at);
        }
      }
    };
    walk(COMPOSE_SCHEMA, '');
    expect(found.filter((path) => !ATTRIBUTES.includes(path))).toEqual([]);
  });

  it('agrees with the table of attributes not carried out', () => {
    expect(SUPPORT.map(([path]) => path).filter((path) => !ATTRIBUTES.includes(path))).toEqual([]);
  });

  it('agrees with the model: every attribute of a service survives reading and writing', () => {
    const keys = ATTRIBUTES.filter((path) => /^services\.\*\.[^.[]+$/.test(path)).map((path) =>
      path.slice('services.*.'.length),
    );
    const notInModel = keys.filter((key) => key !== 'extends' && !service.keys?.().includes(key));
    expect(notInModel).toEqual([]);
  });
});
