import type { Mapping, Node, Scalar, Sequence, Span } from './node.ts';
import { Beyond, PlainEntries, type PlainKey } from './plain-entries.ts';
import { resolveScalar } from './resolve-scalar.ts';
import type { Source } from './source.ts';

/**
 * Reads the YAML that most compose files are written in: block mappings and lists, flow collections and scalars of one
 * line, anchors, aliases and `<<`. Undefined for everything else and for every mistake: the library reads that, and says
 * what is wrong. What is read here is the very tree that the library's document becomes (`read-plain-yaml.test.ts`),
 * in a tenth of the time.
 */
export function readPlainYaml(source: Source): Mapping | undefined {
  if (BEYOND.test(source.text)) return undefined;
  try {
    return new PlainReader(source).document();
  } catch (error) {
    if (error instanceof Beyond) return undefined;
    throw error;
  }
}

/** Tabs, carriage returns and what no text holds. */
const BEYOND = /[^\n\x20-\x7e\u00a0-\ufefe\uff00-\uffff]/;
/** Deeper or larger files are the library's, with the limits that hold there. */
const MAX_DEPTH = 40;
const MAX_SIZE = 100_000;

const KEY = /(?:<<|\w[\w./-]{0,200}|"[^"\\\n]{0,200}"|'[^'\n]{0,200}')(?=:(?:[ \n]|$))/y;
const ANCHOR = /&([\w-]+)(?=[ \n])/y;
const ALIAS = /\*([\w-]+)(?=[ \n,\]}]|$)/y;
const DOUBLE_QUOTED = /"[^"\\\n]*"/y;
const SINGLE_QUOTED = /'[^'\n]*'/y;
/** A scalar without quotes; what would end it on its line is looked for afterwards. */
const PLAIN = /(?:[^\s?:,[\]{}#&*!|>'"%@`-]|-(?=[^\s,[\]{}]))[^\n]*/y;
const PLAIN_IN_FLOW = /(?:[^\s?:,[\]{}#&*!|>'"%@`-]|-(?=[^\s,[\]{}]))[^\n,[\]{}]*/y;

interface Anchored {
  readonly node: Node;
  readonly size: number;
  readonly height: number;
}

/** One pass over a text. Each method reads what begins at `#at`. */
class PlainReader {
  readonly #source: Source;
  readonly #text: string;
  readonly #anchors = new Map<string, Anchored>();
  #at = 0;
  /** Column of the line that comes next, which begins at `#at`; -1 at the end of the text. */
  #column = 0;
  /** End of the value read last. */
  #end = 0;
  /** Values read so far and the deepest of them, aliases written out. */
  #size = 0;
  #reach = 0;

  constructor(source: Source) {
    this.#source = source;
    this.#text = source.text;
  }

  document(): Mapping {
    this.#nextLine();
    if (this.#column !== 0) throw new Beyond();
    const tree = this.#mapping(0);
    if (this.#at < this.#text.length) throw new Beyond();
    return tree;
  }

  /** Goes to the next line that says something. */
  #nextLine(): void {
    const text = this.#text;
    for (let start = this.#at; ; ) {
      let at = start;
      while (text[at] === ' ') at++;
      this.#at = at;
      this.#column = at < text.length ? at - start : -1;
      if (text[at] === '#') {
        const end = text.indexOf('\n', at);
        start = end < 0 ? text.length : end + 1;
      } else if (text[at] === '\n') start = at + 1;
      else return;
    }
  }

  /** Ends a line on which nothing more than a comment may stand. */
  #endLine(): void {
    const from = this.#at;
    this.#skipSpaces();
    const next = this.#text[this.#at];
    if (next !== undefined && next !== '\n' && (next !== '#' || this.#at === from)) throw new Beyond();
    const end = this.#text.indexOf('\n', this.#at);
    this.#at = end < 0 ? this.#text.length : end + 1;
    this.#nextLine();
  }

  #skipSpaces(): void {
    while (this.#text[this.#at] === ' ') this.#at++;
  }

  #take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found) this.#at = pattern.lastIndex;
    return found ?? undefined;
  }

  #mapping(depth: number): Mapping {
    const column = this.#column;
    const start = this.#at;
    const map = new PlainEntries();
    do {
      const key = this.#key();
      map.add(key, this.#blockValue(column, depth + 1, false));
    } while (this.#column === column && !this.#isDash());
    this.#closeBlock(column);
    return { kind: 'map', entries: map.close(), ...this.#span(start, this.#end, depth) };
  }

  #sequence(depth: number): Sequence {
    const column = this.#column;
    const start = this.#at;
    const items: Node[] = [];
    do {
      const dash = this.#at++;
      this.#skipSpaces();
      const from = this.#at;
      const isMapping = this.#take(KEY) !== undefined;
      this.#at = from;
      if (isMapping) {
        this.#column = column + from - dash;
        items.push(this.#mapping(depth + 1));
      } else if (this.#isLineEnd()) {
        // An empty item, or one that begins on a line of its own.
        throw new Beyond();
      } else items.push(this.#blockValue(column, depth + 1, false));
    } while (this.#column === column && this.#isDash());
    this.#closeBlock(column);
    return { kind: 'list', items, ...this.#span(start, this.#end, depth) };
  }

  /** The line after a block belongs to one around it. */
  #closeBlock(column: number): void {
    if (this.#column > column) throw new Beyond();
  }

  #isDash(): boolean {
    const next = this.#text[this.#at + 1];
    return this.#text[this.#at] === '-' && (next === ' ' || next === '\n');
  }

  #isLineEnd(): boolean {
    const next = this.#text[this.#at];
    return next === undefined || next === '\n' || next === '#';
  }

  #block(depth: number): Node {
    if (depth > MAX_DEPTH) throw new Beyond();
    return this.#isDash() ? this.#sequence(depth) : this.#mapping(depth);
  }

  /** What stands after a key or a dash in `column`: on the same line, or below it. */
  #blockValue(column: number, depth: number, anchored: boolean): Node {
    this.#skipSpaces();
    if (this.#text[this.#at] === '&' && !anchored)
      return this.#anchored(depth, () => this.#blockValue(column, depth, true));
    if (!this.#isLineEnd()) {
      const value = this.#inline(depth, PLAIN, anchored);
      this.#endLine();
      this.#closeBlock(column);
      return value;
    }
    const at = this.#at;
    this.#endLine();
    if (this.#column > column) return this.#block(depth);
    if (anchored) throw new Beyond();
    return this.#column === column && this.#isDash() ? this.#sequence(depth) : this.#nothing(at, depth);
  }

  #anchored(depth: number, read: () => Node): Node {
    const name = this.#take(ANCHOR)?.[1];
    if (name === undefined) throw new Beyond();
    // Not there until it is finished: an alias met meanwhile would refer to its own ancestor.
    this.#anchors.delete(name);
    const [size, reach] = [this.#size, this.#reach];
    this.#reach = depth;
    const node = read();
    this.#anchors.set(name, { node, size: this.#size - size, height: this.#reach - depth });
    this.#reach = Math.max(reach, this.#reach);
    return node;
  }

  /** A value that ends on the line it begins on. */
  #inline(depth: number, plain: RegExp, anchored: boolean): Node {
    if (depth > MAX_DEPTH) throw new Beyond();
    switch (this.#text[this.#at]) {
      case '[':
        return this.#flowList(depth);
      case '{':
        return this.#flowMap(depth);
      case '"':
        return this.#quoted(DOUBLE_QUOTED, depth);
      case "'":
        return this.#quoted(SINGLE_QUOTED, depth);
      case '*':
        if (anchored) throw new Beyond();
        return this.#alias(depth);
      default:
        return this.#plain(plain, depth);
    }
  }

  #flowList(depth: number): Sequence {
    const start = this.#at;
    const items: Node[] = [];
    this.#flow(']', () => items.push(this.#inline(depth + 1, PLAIN_IN_FLOW, false)));
    return { kind: 'list', items, ...this.#span(start, this.#at, depth) };
  }

  #flowMap(depth: number): Mapping {
    const start = this.#at;
    const map = new PlainEntries();
    this.#flow('}', () => {
      const key = this.#key();
      this.#skipSpaces();
      const next = this.#text[this.#at];
      const isEmpty = next === ',' || next === '}';
      map.add(key, isEmpty ? this.#nothing(this.#at, depth + 1) : this.#inline(depth + 1, PLAIN_IN_FLOW, false));
    });
    return { kind: 'map', entries: map.close(), ...this.#span(start, this.#at, depth) };
  }

  #flow(closing: string, readItem: () => void): void {
    const text = this.#text;
    this.#at++;
    this.#skipSpaces();
    for (let isFirst = true; text[this.#at] !== closing || !isFirst; isFirst = false) {
      readItem();
      this.#skipSpaces();
      if (text[this.#at] === closing) break;
      if (text[this.#at] !== ',') throw new Beyond();
      this.#at++;
      this.#skipSpaces();
    }
    this.#at++;
  }

  /** A key with its colon. */
  #key(): PlainKey {
    const start = this.#at;
    const found = this.#take(KEY)?.[0];
    if (found === undefined) throw new Beyond();
    const key = { source: this.#source, start, end: this.#at };
    this.#at++;
    if (found.startsWith('"') || found.startsWith("'")) return { key, text: found.slice(1, -1), merges: false };
    const { value, text } = resolveScalar(found);
    if (value === null) throw new Beyond();
    return { key, text, merges: found === '<<' };
  }

  #alias(depth: number): Node {
    const target = this.#anchors.get(this.#take(ALIAS)?.[1] ?? '');
    if (!target) throw new Beyond();
    this.#end = this.#at;
    this.#count(target.size, depth + target.height);
    return target.node;
  }

  #quoted(pattern: RegExp, depth: number): Scalar {
    const start = this.#at;
    const value = this.#take(pattern)?.[0].slice(1, -1);
    if (value === undefined) throw new Beyond();
    return { kind: 'scalar', value, text: value, ...this.#span(start, this.#at, depth) };
  }

  #plain(pattern: RegExp, depth: number): Scalar {
    const start = this.#at;
    let written = this.#take(pattern)?.[0] ?? '';
    const comment = written.indexOf(' #');
    if (comment >= 0) written = written.slice(0, comment);
    let length = written.length;
    while (written[length - 1] === ' ') length--;
    if (length < written.length) written = written.slice(0, length);
    // A comment in a flow collection hides its end; a colon makes a key.
    if (length === 0 || (comment >= 0 && pattern !== PLAIN)) throw new Beyond();
    if (written.endsWith(':') || written.includes(': ')) throw new Beyond();
    this.#at = start + length;
    const { value, text } = resolveScalar(written);
    return { kind: 'scalar', value, text, ...this.#span(start, this.#at, depth) };
  }

  #nothing(at: number, depth: number): Scalar {
    return { kind: 'scalar', value: null, text: '', ...this.#span(at, at, depth) };
  }

  /** The place of a value; it is the last that was read. */
  #span(start: number, end: number, depth: number): Span {
    this.#end = end;
    this.#count(1, depth);
    return { source: this.#source, start, end };
  }

  #count(size: number, reach: number): void {
    this.#size += size;
    this.#reach = Math.max(this.#reach, reach);
    if (this.#size > MAX_SIZE || this.#reach > MAX_DEPTH) throw new Beyond();
  }
}
