import { expandTemplate, type Lookup } from './template.ts';

/** One assignment; null: the bare key, taken from the caller's environment. */
export interface DotenvEntry {
  readonly key: string;
  readonly value: string | null;
}

/** Why a file is refused, with the place. */
export interface DotenvProblem {
  readonly message: string;
  readonly line: number;
  readonly column: number;
}

export interface DotenvResult {
  readonly entries: readonly DotenvEntry[];
  readonly problems: readonly DotenvProblem[];
  /** Variables that were referred to and are not set. */
  readonly unset: readonly string[];
}

/** Characters that the values of one file may have once their variables are replaced. */
const MAX_EXPANDED = 16 << 20;

const ASCII_KEY = /[A-Za-z0-9_.[\]-]*/y;
const ESCAPE = /\\([abfnrtv$"\\]|0\d{0,3})/g;
const ESCAPED: ReadonlyMap<string, string> = new Map([
  ['a', '\x07'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['v', '\v'],
  // A dollar that is meant stays doubled for the expansion that follows.
  ['$', '$$'],
  ['"', '"'],
  ['\\', '\\'],
]);

// The pattern of all letters and digits takes V8 a quarter of a millisecond to build: only where one may stand.
function keyAt(text: string, start: number): string {
  ASCII_KEY.lastIndex = start;
  const key = ASCII_KEY.exec(text)?.[0] ?? '';
  if (!(text.charCodeAt(start + key.length) > 0x7f)) return key;
  const pattern = /[\p{L}\p{N}_.[\]-]*/uy;
  pattern.lastIndex = start;
  return pattern.exec(text)?.[0] ?? '';
}

/**
 * Parses a dotenv file: `export ` prefix, `=` or `:`, bare keys, comments, single quotes literal, double quotes with
 * escapes, both over several lines; variables expand outside single quotes, from `lookup` first, then from the lines above, then from
 * `earlier` (files read before).
 */
export function parseDotenv(text: string, lookup: Lookup, earlier: Lookup = () => undefined): DotenvResult {
  return new DotenvReader(text.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n'), lookup, earlier).read();
}

/** `format: raw`: split at the first `=`, nothing else. */
export function parseRawEnv(text: string): DotenvResult {
  const entries: DotenvEntry[] = [];
  const problems: DotenvProblem[] = [];
  for (const [index, line] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const trimmed = line.trimStart();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const equals = trimmed.indexOf('=');
    const key = equals < 0 ? trimmed : trimmed.slice(0, equals);
    const column = line.length - trimmed.length + 1;
    if (key === '') problems.push({ message: 'a variable name is missing before this', line: index + 1, column });
    else if (/\s/.test(key))
      problems.push({ message: `the name ${JSON.stringify(key)} has a blank`, line: index + 1, column });
    else entries.push({ key, value: equals < 0 ? null : trimmed.slice(equals + 1) });
  }
  return { entries, problems, unset: [] };
}

class DotenvReader {
  readonly #text: string;
  readonly #lookup: Lookup;
  readonly #values = new Map<string, string | null>();
  readonly #problems: DotenvProblem[] = [];
  readonly #unset: string[] = [];
  #at = 0;
  #expanded = 0;

  constructor(text: string, lookup: Lookup, earlier: Lookup) {
    this.#text = text;
    this.#lookup = (name) => lookup(name) ?? this.#values.get(name) ?? earlier(name);
  }

  read(): DotenvResult {
    while (this.#skipToStatement()) {
      const before = this.#at;
      this.#statement();
      if (this.#at === before) this.#at = this.#lineEnd();
    }
    const entries = Array.from(this.#values, ([key, value]) => ({ key, value }));
    return { entries, problems: this.#problems, unset: this.#unset };
  }

  #skipToStatement(): boolean {
    while (this.#at < this.#text.length) {
      const char = this.#text[this.#at] ?? '';
      if (char === '#') this.#at = this.#lineEnd();
      else if (/\s/.test(char)) this.#at++;
      else return true;
    }
    return false;
  }

  #lineEnd(): number {
    const end = this.#text.indexOf('\n', this.#at);
    return end < 0 ? this.#text.length : end;
  }

  #fail(message: string, at: number): void {
    const before = this.#text.slice(0, at);
    const line = before.split('\n').length;
    this.#problems.push({ message, line, column: at - before.lastIndexOf('\n') });
    this.#at = this.#lineEnd();
  }

  #statement(): void {
    const exported = /export[ \t]+/y;
    exported.lastIndex = this.#at;
    if (exported.test(this.#text)) this.#at = exported.lastIndex;
    const start = this.#at;
    const key = keyAt(this.#text, start);
    let next = start + key.length;
    while (this.#text[next] === ' ' || this.#text[next] === '\t') next++;
    const separator = this.#text[next];
    if (key !== '' && (separator === undefined || separator === '\n')) {
      this.#at = this.#lineEnd();
      if (!this.#values.has(key)) this.#values.set(key, null);
      return;
    }
    if (key === '' || (separator !== '=' && separator !== ':')) {
      this.#fail(
        key === '' ? 'a variable name is missing before this' : `unexpected character after the name ${key}`,
        next,
      );
      return;
    }
    this.#at = next + 1;
    while (/[^\S\n]/.test(this.#text[this.#at] ?? '')) this.#at++;
    const value = this.#value();
    if (value !== undefined) this.#values.set(key, value);
  }

  #value(): string | undefined {
    const quote = this.#text[this.#at];
    if (quote === "'" || quote === '"') return this.#quoted(quote);
    const start = this.#at;
    let raw = this.#text.slice(start, this.#lineEnd());
    const comment = raw.indexOf(' #');
    if (comment >= 0) raw = raw.slice(0, comment);
    this.#at = this.#lineEnd();
    return this.#expand(raw.trimEnd(), start);
  }

  #quoted(quote: string): string | undefined {
    const start = this.#at;
    let end = start + 1;
    while (end < this.#text.length && this.#text[end] !== quote) end += this.#text[end] === '\\' ? 2 : 1;
    if (end >= this.#text.length) {
      this.#fail('the quoted value has no end', start);
      this.#at = this.#text.length;
      return undefined;
    }
    const raw = this.#text.slice(start + 1, end);
    this.#at = end + 1;
    return quote === "'" ? raw.replaceAll("\\'", "'") : this.#expand(applyEscapes(raw), start);
  }

  #expand(raw: string, at: number): string | undefined {
    const result = expandTemplate(raw, this.#lookup);
    if ('error' in result) {
      const end = this.#at;
      this.#fail(result.error.message, at);
      this.#at = end;
      return undefined;
    }
    for (const { name } of result.unset) this.#unset.push(name);
    this.#expanded += result.value.length;
    if (this.#expanded > MAX_EXPANDED) {
      this.#fail(`the values of this file grow beyond ${MAX_EXPANDED >> 20} MiB`, at);
      this.#at = this.#text.length;
      return undefined;
    }
    return result.value;
  }
}

function applyEscapes(raw: string): string {
  return raw.replace(ESCAPE, (whole, code: string) => {
    if (code.startsWith('0')) return String.fromCharCode(Number.parseInt(code, 8) & 0xff);
    return ESCAPED.get(code) ?? whole;
  });
}
