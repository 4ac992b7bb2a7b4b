import { formatDuration } from '../core/index.ts';
import { compareKeys } from './compare-keys.ts';
import type { PlainValue } from './extension.ts';
import { isNull, type Node } from './node.ts';
import { readBoolean, readBytes, readDuration } from './scalar-formats.ts';

/** What rendering makes of a value; JSON and YAML differ only in writing it. */
export type Out = string | number | boolean | null | readonly Out[] | ReadonlyMap<string, Out> | JsonOnly;

/** A value that JSON shows and YAML leaves out. */
export interface JsonOnly {
  readonly jsonOnly: Out;
}

/** Whether a value is left out of YAML. */
export function isJsonOnly(value: Out): value is JsonOnly {
  return typeof value === 'object' && value !== null && 'jsonOnly' in value;
}

/**
 * Both ways between a tree and a typed value. `read` gets undefined for an absent key and gives undefined for an absent
 * value; trees were checked before, so it never complains. `write` gives undefined for what is left out.
 */
export interface Codec<T> {
  readonly read: (node: Node | undefined) => T | undefined;
  readonly write: (value: T) => Out | undefined;
  /** What an absent property of this kind is written as. */
  readonly absent?: Out;
  /** Keys of an object. */
  readonly keys?: () => readonly string[];
}

function scalar<T>(
  read: (text: string, value: unknown) => T | undefined,
  write: (value: T) => Out | undefined,
): Codec<T> {
  return {
    read: (node) => (node?.kind === 'scalar' && node.value !== null ? read(node.text, node.value) : undefined),
    write,
  };
}

/** A string. */
export const text: Codec<string> = scalar(
  (value) => value,
  (value) => value,
);

/** A string of a closed set; the schema has checked it. */
export function word<T extends string>(): Codec<T> {
  return text as unknown as Codec<T>;
}

/** A number; zero counts as a value. */
export const number: Codec<number> = scalar(
  (value) => Number(value.trim()),
  (value) => value,
);

/** A number for which zero means not set. */
export const amount: Codec<number> = {
  read: number.read,
  write: (value) => (value === 0 ? undefined : value),
};

/** A number of which the whole part counts. */
export const whole: Codec<number> = scalar(
  (value) => Math.trunc(Number(value.trim())),
  (value) => value,
);

/** A whole number for which zero means not set. */
export const wholeAmount: Codec<number> = { read: whole.read, write: amount.write };

/** Cores: single precision, as engines count them. */
export const cores: Codec<number> = {
  read: number.read,
  write: (value) => (value === 0 ? undefined : shortestSingle(value)),
};

function shortestSingle(value: number): number {
  const single = Math.fround(value);
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(single.toPrecision(digits));
    if (Math.fround(short) === single) return short;
  }
  return single;
}

/** Bytes, written as text. */
export const bytes: Codec<number> = scalar(readBytes, (value) => (value === 0 ? undefined : String(value)));

/** Nanoseconds. */
export const duration: Codec<number> = scalar(
  (value) => readDuration(value),
  (value) => formatDuration(value),
);

/** A boolean that may be unset. */
export const maybe: Codec<boolean> = scalar(readBoolean, (value) => value);

/** A boolean that is false unless set. */
export const flag: Codec<boolean> = {
  read: (node) => maybe.read(node) ?? false,
  write: (value) => (value ? true : undefined),
};

/** A list, empty when absent. */
export function list<T>(item: Codec<T>): Codec<readonly T[]> {
  return {
    read: (node) => (node?.kind === 'list' ? node.items.flatMap((value) => item.read(value) ?? []) : []),
    write: (values) => (values.length === 0 ? undefined : values.flatMap((value) => item.write(value) ?? [])),
  };
}

/** Free keys, empty when absent. */
export function map<T>(value: Codec<T>): Codec<ReadonlyMap<string, T>> {
  return {
    read: (node) => {
      const found = new Map<string, T>();
      if (node?.kind !== 'map') return found;
      for (const [key, entry] of node.entries) {
        const read = value.read(entry.value);
        if (read !== undefined) found.set(key, read);
      }
      return found;
    },
    write: (values) => (values.size === 0 ? undefined : sorted(values, (item) => value.write(item))),
  };
}

/** Values that may be null. */
export function nullable<T>(codec: Codec<T>): Codec<T | null> {
  return {
    read: (node) => (node !== undefined && isNull(node) ? null : codec.read(node)),
    write: (value) => (value === null ? null : codec.write(value)),
  };
}

/** Free keys with text values; an empty value is an empty text. */
export const textMap: Codec<ReadonlyMap<string, string>> = map({
  read: (node) => (node?.kind === 'scalar' ? node.text : undefined),
  write: (value) => value,
});

/** Free keys whose values may be missing. */
export const variables: Codec<ReadonlyMap<string, string | null>> = map(nullable(text));

/** Anything: provider options, `x-` values. */
export const plain: Codec<PlainValue> = { read: (node) => node && plainOf(node), write: plainOut };

function plainOf(node: Node): PlainValue {
  if (node.kind === 'scalar') return node.value;
  if (node.kind === 'list') return node.items.map(plainOf);
  return new Map(Array.from(node.entries, ([key, entry]) => [key, plainOf(entry.value)]));
}

function plainOut(value: PlainValue): Out {
  if (value instanceof Map) return sorted(value as ReadonlyMap<string, PlainValue>, plainOut);
  return Array.isArray(value) ? (value as readonly PlainValue[]).map(plainOut) : (value as Out);
}

/** A mapping whose keys the user chose: JSON orders them by code, YAML by {@link compareKeys}. */
export class FreeKeys<K, V> extends Map<K, V> {}

/** Entries in the order of their keys. */
export function sorted<T>(values: ReadonlyMap<string, T>, write: (value: T) => Out | undefined): Map<string, Out> {
  const out = new FreeKeys<string, Out>();
  for (const key of [...values.keys()].sort(compareKeys)) {
    const value = values.get(key);
    const written = value === undefined ? undefined : write(value);
    if (written !== undefined) out.set(key, written);
  }
  return out;
}

/** Codecs of all properties of T in the order in which they are written. */
export type Fields<T> = { readonly [K in Exclude<keyof T, 'extensions'>]-?: Codec<Exclude<T[K], undefined>> };

interface Row {
  readonly property: string;
  readonly key: string;
  readonly codec: Codec<unknown>;
  /** What an absent key is read as: most keys of most services. */
  readonly unsaid: unknown;
}

/** An object with known keys; property names are the keys in camel case. Keys that start with `x-` are kept. */
export function object<T extends object>(fields: Fields<T>): Codec<T> {
  // Made when first used: a load needs a few of the many objects.
  let made: readonly Row[] | undefined;
  const rows = () => {
    made ??= Object.entries(fields as Record<string, Codec<unknown>>).map(
      ([property, codec]) => ({ property, key: snakeCase(property), codec, unsaid: codec.read(undefined) }) as const,
    );
    return made;
  };
  return {
    keys: () => rows().map(({ key }) => key),
    read: (node) => {
      if (node?.kind !== 'map') return undefined;
      const made: Record<string, unknown> = {};
      for (const { property, key, codec, unsaid } of rows()) {
        const entry = node.entries.get(key);
        const value = entry ? codec.read(entry.value) : unsaid;
        if (value !== undefined) made[property] = value;
      }
      const extensions = new Map<string, PlainValue>();
      for (const [key, entry] of node.entries) if (key.startsWith('x-')) extensions.set(key, plainOf(entry.value));
      if (extensions.size > 0) made['extensions'] = extensions;
      return made as T;
    },
    write: (value) => {
      const values = value as Record<string, unknown>;
      const out = new Map<string, Out>();
      for (const { property, key, codec } of rows()) {
        const written = values[property] === undefined ? codec.absent : codec.write(values[property]);
        if (written !== undefined && written !== '') out.set(key, written);
      }
      const extensions = values['extensions'] as ReadonlyMap<string, PlainValue> | undefined;
      for (const [key, item] of sorted(extensions ?? new Map<string, PlainValue>(), plainOut)) out.set(key, item);
      return out;
    },
  };
}

/** An object that JSON shows even when absent; one whose values are all empty counts as absent. */
export function shownInJson<T extends object>(codec: Codec<T>, empty: ReadonlyMap<string, Out>): Codec<T> {
  return {
    ...codec,
    read: (node) =>
      node?.kind === 'map' && node.entries.values().every((entry) => isNull(entry.value))
        ? undefined
        : codec.read(node),
    write: (value) => {
      const out = codec.write(value);
      return out instanceof Map && out.size === 0 ? { jsonOnly: empty } : out;
    },
    absent: { jsonOnly: empty },
  };
}

/** The key of a property: `memLimit` is `mem_limit`. */
export function snakeCase(property: string): string {
  return property.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
