import { alternativesOf, COMPOSE_SCHEMA, propertyOf, type Schema } from '../schema.ts';

/** All forms that the schema allows at a path of keys and `[]`. */
export function schemasAt(path: readonly string[]): readonly Schema[] {
  let schemas: readonly Schema[] = [COMPOSE_SCHEMA];
  for (const segment of path) {
    schemas = schemas.flatMap(alternativesOf).flatMap((schema) => {
      const next = segment === '[]' ? schema.items : propertyOf(schema, segment);
      return next ? [next] : [];
    });
  }
  return schemas;
}

/** What the schema says about a path, in the words of its author. */
export function descriptionAt(path: readonly string[]): string | undefined {
  const schemas = schemasAt(path);
  return [...schemas, ...schemas.flatMap(alternativesOf)].find(({ description }) => description !== undefined)
    ?.description;
}

/** Keys that may stand in the mapping at a path, with their descriptions. */
export function keysAt(path: readonly string[]): ReadonlyMap<string, string | undefined> {
  const keys = new Map<string, string | undefined>();
  for (const schema of schemasAt(path).flatMap(alternativesOf)) {
    for (const key of Object.keys(schema.properties ?? {})) keys.set(key, descriptionAt([...path, key]));
  }
  return keys;
}

/** Words that may stand as the value at a path. */
export function wordsAt(path: readonly string[]): readonly string[] {
  return schemasAt(path)
    .flatMap(alternativesOf)
    .flatMap((schema) => schema.enum ?? (isBoolean(schema) ? ['true', 'false'] : []));
}

function isBoolean({ type, format }: Schema): boolean {
  return format === 'boolean' || type === 'boolean' || (Array.isArray(type) && type.includes('boolean'));
}
