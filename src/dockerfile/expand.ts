import { TscError } from '../core/index.ts';

/** Value of a variable, or undefined when it is not set. */
export type Lookup = (name: string) => string | undefined;

const NAME = /^[A-Za-z_][A-Za-z0-9_]*/;
const MAX_DEPTH = 32;
const MAX_LENGTH = 1 << 20;

/**
 * Expands variables and removes quotes in one word, by the shell rules that the Dockerfile reference describes:
 * single quotes are literal, double quotes keep variables, the escape character protects the next one.
 * Forms: `$x`, `${x}`, `${x:-d}`, `${x-d}`, `${x:+a}`, `${x+a}`, `${x:?m}`, `${x?m}`, `${x#p}`, `${x##p}`, `${x%p}`, `${x%%p}`,
 * `${x/p/r}`, `${x//p/r}`. Throws `dockerfile/invalid`.
 */
export function expandWord(word: string, lookup: Lookup, escapeChar = '\\'): string {
  return new Expansion(word, lookup, escapeChar, 0).run(() => false, true);
}

/** Expands variables but keeps quotes, as inside a here-document. */
export function expandText(text: string, lookup: Lookup, escapeChar = '\\'): string {
  return new Expansion(text, lookup, escapeChar, 0).run(() => false, false);
}

class Expansion {
  readonly #text: string;
  readonly #lookup: Lookup;
  readonly #escapeChar: string;
  readonly #depth: number;
  #index = 0;

  constructor(text: string, lookup: Lookup, escapeChar: string, depth: number) {
    if (depth > MAX_DEPTH) throw new TscError('dockerfile/invalid', 'variables are nested too deeply');
    this.#text = text;
    this.#lookup = lookup;
    this.#escapeChar = escapeChar;
    this.#depth = depth;
  }

  run(stop: (char: string) => boolean, quotes: boolean): string {
    let out = '';
    let double = false;
    for (; this.#index < this.#text.length; ) {
      const char = this.#text[this.#index] ?? '';
      if (!double && stop(char)) break;
      if (char === this.#escapeChar) out += this.#takeEscape(double, quotes);
      else if (char === '$') out += this.#takeVariable();
      else if (quotes && char === '"') {
        double = !double;
        this.#index++;
      } else if (quotes && char === "'" && !double) out += this.#takeSingleQuoted();
      else {
        out += char;
        this.#index++;
      }
      if (out.length > MAX_LENGTH) throw new TscError('dockerfile/invalid', 'an expanded value is larger than 1 MiB');
    }
    if (double) throw this.#error('a double quote is not closed');
    return out;
  }

  #error(why: string): TscError {
    return new TscError('dockerfile/invalid', `cannot expand ${JSON.stringify(this.#text.slice(0, 200))}: ${why}`);
  }

  #takeEscape(double: boolean, quotes: boolean): string {
    const next = this.#text[this.#index + 1];
    this.#index += next === undefined ? 1 : 2;
    if (next === undefined) return quotes ? '' : this.#escapeChar;
    // Inside double quotes only " $ and the escape itself can be protected; elsewhere every character can.
    const keeps = double
      ? !['"', '$', this.#escapeChar].includes(next)
      : !quotes && next !== '$' && next !== this.#escapeChar;
    return keeps ? this.#escapeChar + next : next;
  }

  #takeSingleQuoted(): string {
    const end = this.#text.indexOf("'", this.#index + 1);
    if (end < 0) throw this.#error('a single quote is not closed');
    const inner = this.#text.slice(this.#index + 1, end);
    this.#index = end + 1;
    return inner;
  }

  #takeVariable(): string {
    this.#index++;
    if (this.#text[this.#index] === '{') return this.#takeBraced();
    const name =
      NAME.exec(this.#text.slice(this.#index))?.[0] ?? /^[0-9@*#?-]/.exec(this.#text.slice(this.#index))?.[0];
    if (name === undefined) return '$';
    this.#index += name.length;
    return this.#lookup(name) ?? '';
  }

  #takeBraced(): string {
    this.#index++;
    const name = NAME.exec(this.#text.slice(this.#index))?.[0] ?? /^[0-9]/.exec(this.#text.slice(this.#index))?.[0];
    if (name === undefined) throw this.#error('expected a variable name behind ${');
    this.#index += name.length;
    const operator = /^(:?[-+?]|##?|%%?|\/\/?|)/.exec(this.#text.slice(this.#index))?.[0] ?? '';
    this.#index += operator.length;
    const isReplacement = operator.startsWith('/');
    const first = this.#argument(isReplacement);
    const hasSecond = isReplacement && this.#text[this.#index] === '/';
    if (hasSecond) this.#index++;
    const second = hasSecond ? this.#argument(false) : '';
    if (this.#text[this.#index] !== '}')
      throw this.#error(operator ? 'a closing } is missing' : `unsupported form behind \${${name}`);
    this.#index++;
    return this.#apply({ name, operator, first, second });
  }

  /** The text up to the closing brace, itself expanded. */
  #argument(untilSlash: boolean): string {
    const inner = new Expansion(this.#text.slice(this.#index), this.#lookup, this.#escapeChar, this.#depth + 1);
    const value = inner.run((char) => char === '}' || (untilSlash && char === '/'), true);
    this.#index += inner.#index;
    return value;
  }

  #apply(form: { name: string; operator: string; first: string; second: string }): string {
    const value = this.#lookup(form.name);
    const usable = form.operator.startsWith(':') ? value !== undefined && value !== '' : value !== undefined;
    switch (form.operator.replace(':', '')) {
      case '':
        if (form.first !== '') throw this.#error(`unsupported form behind \${${form.name}`);
        return value ?? '';
      case '-':
        return usable ? (value ?? '') : form.first;
      case '+':
        return usable ? form.first : '';
      case '?':
        if (!usable) throw this.#error(`${form.name}: ${form.first || 'the variable is not set'}`);
        return value ?? '';
      case '#':
      case '##':
        return trimStart(value ?? '', form.first, form.operator === '##');
      case '%':
      case '%%':
        return trimEnd(value ?? '', form.first, form.operator === '%%');
      default:
        return replacePattern(value ?? '', form.first, form.second, form.operator === '//');
    }
  }
}

/** Shell pattern (`*`, `?`) as the source of a regular expression. */
function patternSource(pattern: string, greedy: boolean): string {
  return pattern.replace(/[.+^${}()|[\]\\*?]/g, (char) =>
    char === '*' ? (greedy ? '.*' : '.*?') : char === '?' ? '.' : `\\${char}`,
  );
}

function trimStart(value: string, pattern: string, longest: boolean): string {
  return value.replace(new RegExp(`^${patternSource(pattern, longest)}`, 's'), '');
}

function trimEnd(value: string, pattern: string, longest: boolean): string {
  const expression = new RegExp(`^${patternSource(pattern, true)}$`, 's');
  const starts = Array.from({ length: value.length + 1 }, (_, index) => (longest ? index : value.length - index));
  const start = starts.find((index) => expression.test(value.slice(index)));
  return start === undefined ? value : value.slice(0, start);
}

function replacePattern(value: string, pattern: string, replacement: string, all: boolean): string {
  if (pattern === '') return value;
  return value.replace(new RegExp(patternSource(pattern, true), all ? 'gs' : 's'), () => replacement);
}
