import { isJsonOnly, type Out } from './codec.ts';

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** Indented JSON; a key `__proto__` stays an ordinary key. */
export function writeJson(value: Out): string {
  return `${JSON.stringify(toJson(value), undefined, 2)}\n`;
}

function toJson(value: Out): Json {
  if (isJsonOnly(value)) return toJson(value.jsonOnly);
  if (value instanceof Map) {
    const made: Record<string, Json> = Object.create(null);
    for (const [key, item] of value as ReadonlyMap<string, Out>) made[key] = toJson(item);
    return made;
  }
  return Array.isArray(value) ? (value as readonly Out[]).map(toJson) : (value as Json);
}
