import { TscError } from '../core/index.ts';

/**
 * Typed reading of a decoded JSON object. Absent and null are the same; a value of the wrong type throws
 * `daemon/invalid` with its place. Names are found whatever their case, as clients of the published API may rely on.
 */
export class WireObject {
  readonly at: string;
  readonly #fields = new Map<string, { readonly name: string; readonly value: unknown }>();

  constructor(fields: object, at: string) {
    this.at = at;
    for (const [name, value] of Object.entries(fields)) {
      if (value !== null && value !== undefined) this.#fields.set(name.toLowerCase(), { name, value });
    }
  }

  /** Throws when the value is no object. */
  static from(value: unknown, at: string): WireObject {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(at, 'an object');
    return new WireObject(value, at);
  }

  /** Names and values as they were sent, nulls left out. */
  entries(): readonly (readonly [string, unknown])[] {
    return [...this.#fields.values()].map(({ name, value }) => [name, value] as const);
  }

  get(name: string): unknown {
    return this.#fields.get(name.toLowerCase())?.value;
  }

  string(name: string): string | undefined {
    return this.#typed(name, 'a string', (value) => typeof value === 'string');
  }

  boolean(name: string): boolean | undefined {
    return this.#typed(name, 'true or false', (value) => typeof value === 'boolean');
  }

  integer(name: string): number | undefined {
    return this.#typed(name, 'a whole number', (value) => Number.isSafeInteger(value));
  }

  strings(name: string): readonly string[] | undefined {
    return this.#typed(name, 'a list of strings', isStringList);
  }

  /** A list, or one string that stands for a list of one. */
  words(name: string): readonly string[] | undefined {
    const value = this.get(name);
    return typeof value === 'string' ? [value] : this.strings(name);
  }

  integers(name: string): readonly number[] | undefined {
    return this.#typed(
      name,
      'a list of whole numbers',
      (value) => Array.isArray(value) && value.every(Number.isSafeInteger),
    );
  }

  /** A map of strings without a prototype. */
  map(name: string): Readonly<Record<string, string>> | undefined {
    const value = this.#object(name);
    if (value === undefined) return undefined;
    const result: Record<string, string> = Object.create(null);
    for (const [key, item] of Object.entries(value)) {
      if (typeof item !== 'string') throw wrong(`${this.at}.${name}[${JSON.stringify(key)}]`, 'a string');
      result[key] = item;
    }
    return result;
  }

  /** Keys of an object that stands for a set. */
  keys(name: string): readonly string[] | undefined {
    const value = this.#object(name);
    return value && Object.keys(value);
  }

  object(name: string): WireObject | undefined {
    const value = this.#object(name);
    return value && new WireObject(value, `${this.at}.${name}`);
  }

  /** Members of an object whose values are objects; null values become empty ones. */
  members(name: string): readonly (readonly [string, WireObject])[] {
    const value = this.#object(name) ?? {};
    return Object.entries(value).map(([key, item]) => {
      const at = `${this.at}.${name}[${JSON.stringify(key)}]`;
      return [key, item === null ? new WireObject({}, at) : WireObject.from(item, at)] as const;
    });
  }

  objects(name: string): readonly WireObject[] {
    const value = this.#typed<readonly unknown[]>(name, 'a list', Array.isArray) ?? [];
    return value.map((item, index) => WireObject.from(item, `${this.at}.${name}[${index}]`));
  }

  #object(name: string): object | undefined {
    return this.#typed(
      name,
      'an object',
      (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
    );
  }

  #typed<T>(name: string, expected: string, test: (value: unknown) => boolean): T | undefined {
    const value = this.get(name);
    if (value === undefined) return undefined;
    if (!test(value)) throw wrong(`${this.at}.${name}`, expected);
    return value as T;
  }
}

function isStringList(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function wrong(at: string, expected: string): TscError {
  return new TscError('daemon/invalid', `${at} must be ${expected}`);
}
