import { isJsonOnly, type Out } from './codec.ts';
import { formatFloat } from './format-float.ts';
import { resolveScalar } from './resolve-scalar.ts';

/** Words that older YAML readers take for booleans. */
const OLD_BOOLEANS = /^(?:y|Y|yes|Yes|YES|on|On|ON|n|N|no|No|NO|off|Off|OFF)$/;
const BASE_60 = /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/;
const TIMESTAMP =
  /^\d{4}-\d{1,2}-\d{1,2}(?:[Tt ]\s*\d{1,2}:\d{1,2}:\d{1,2}(?:\.\d*)?\s*(?:Z|[-+]\d{1,2}(?::?\d{2})?)?)?$/;
// Building the pattern of what is not plain takes V8 half a millisecond, and most texts are ASCII.
const NOT_PLAIN = /[^\t\n -~]/;

// What only a double-quoted text can hold, as escapes: controls but tab, newline and U+0085, separators, and all beyond the
// basic plane, as the reference writes them.
function isUnprintable(text: string): boolean {
  return (
    NOT_PLAIN.test(text) &&
    /(?![\t\n\u0085])[\p{Cc}\u2028\u2029\ufeff\ufffe\uffff]|\p{Cs}|[\u{10000}-\u{10ffff}]/u.test(text)
  );
}

// What most texts are: a word or a path, which is plain unless a reader knows the word. Spares a dozen tests each.
const SIMPLE = /^[A-Za-z_][\w./-]*$/;
const KNOWN_WORDS = /^(?:null|true|false|y|yes|on|n|no|off)$/i;

/** Block style with two spaces, lists indented; strings quoted only where a reader would take them for something else. */
export function writeYaml(value: Out): string {
  const shown = dropJsonOnly(value);
  if (shown instanceof Map && shown.size > 0) return writeMap(shown, 0).join('\n').concat('\n');
  return `${writeInline(shown)}\n`;
}

function dropJsonOnly(value: Out): Out {
  if (Array.isArray(value)) return value.map(dropJsonOnly);
  if (!(value instanceof Map)) return value;
  const kept = new Map<string, Out>();
  for (const [key, item] of value as ReadonlyMap<string, Out>) if (!isJsonOnly(item)) kept.set(key, dropJsonOnly(item));
  return kept;
}

const pad = (depth: number) => '  '.repeat(depth);

function writeMap(map: ReadonlyMap<string, Out>, depth: number): string[] {
  const lines: string[] = [];
  for (const [key, value] of map) {
    const head = `${pad(depth)}${key === '<<' ? writeDouble(key) : writeString(key, undefined)}:`;
    // One by one: as arguments of one call they would have to fit the stack.
    for (const line of entryLines(head, value, depth + 1)) lines.push(line);
  }
  return lines;
}

/** What follows `key:` or `-`, at the depth of what is nested in it. */
function entryLines(head: string, value: Out, depth: number): string[] {
  if (value instanceof Map && value.size > 0) return [head, ...writeMap(value, depth)];
  if (Array.isArray(value) && value.length > 0) return [head, ...writeList(value, depth)];
  if (typeof value === 'string') return [`${head} ${writeString(value, depth)}`];
  return [`${head} ${writeInline(value)}`];
}

function writeList(items: readonly Out[], depth: number): string[] {
  return items.flatMap((item) => {
    const lines =
      item instanceof Map && item.size > 0 ? writeMap(item, depth + 1) : entryLines(`${pad(depth)}-`, item, depth + 1);
    if (Array.isArray(item) && item.length > 0) return nestedList(item, depth);
    const first = lines[0] ?? '';
    return item instanceof Map && item.size > 0 ? [`${pad(depth)}- ${first.trimStart()}`, ...lines.slice(1)] : lines;
  });
}

function nestedList(item: readonly Out[], depth: number): string[] {
  const lines = writeList(item, depth + 1);
  return [`${pad(depth)}- ${(lines[0] ?? '').trimStart()}`, ...lines.slice(1)];
}

function writeInline(value: Out): string {
  if (value instanceof Map) return '{}';
  if (Array.isArray(value)) return '[]';
  if (typeof value === 'number') return formatNumber(value);
  return typeof value === 'string' ? writeString(value, undefined) : String(value);
}

function formatNumber(value: number): string {
  if (Number.isNaN(value)) return '.nan';
  if (!Number.isFinite(value)) return value > 0 ? '.inf' : '-.inf';
  return Number.isInteger(value) ? String(value) : formatFloat(value);
}

/** `depth` is where the lines of a block would stand; undefined where no block may (keys). */
function writeString(text: string, depth: number | undefined): string {
  if (SIMPLE.test(text) && !KNOWN_WORDS.test(text)) return text;
  if (text.includes('\n')) {
    const block = depth !== undefined && !/ (?:\n|$)/.test(text) && !isUnprintable(text);
    return block ? writeBlock(text, depth) : writeDouble(text);
  }
  if (looksTyped(text)) return writeDouble(text);
  if (/\t/.test(text) || isUnprintable(text)) return writeDouble(text);
  return mayBePlain(text) ? text : `'${text.replaceAll("'", "''")}'`;
}

function looksTyped(text: string): boolean {
  const typed = typeof resolveScalar(text).value !== 'string';
  return typed || OLD_BOOLEANS.test(text) || BASE_60.test(text) || TIMESTAMP.test(text);
}

function mayBePlain(text: string): boolean {
  if (/^[#,[\]{}&*!|>'"%@`]/.test(text) || /^[-?:](?: |$)/.test(text)) return false;
  if (/^ | $/.test(text) || /:(?: |$)/.test(text) || text.includes(' #')) return false;
  return !/^(?:---|\.\.\.)/.test(text);
}

function writeBlock(text: string, depth: number): string {
  const hint = /^[ \n]/.test(text) ? '2' : '';
  const chomp = !text.endsWith('\n') ? '-' : text.endsWith('\n\n') || text === '\n' ? '+' : '';
  const body = text.endsWith('\n') ? text.slice(0, -1) : text;
  const lines = body.split('\n').map((line) => (line === '' ? '' : `${pad(depth)}${line}`));
  return `|${hint}${chomp}\n${lines.join('\n')}`;
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '\\"'],
  ['\\', '\\\\'],
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
  ['\0', '\\0'],
  ['\x07', '\\a'],
  ['\b', '\\b'],
  ['\v', '\\v'],
  ['\f', '\\f'],
  ['\x1b', '\\e'],
  ['\u2028', '\\L'],
  ['\u2029', '\\P'],
]);

function writeDouble(text: string): string {
  const escaped = Array.from(text, (char) => {
    const known = ESCAPES.get(char);
    if (known !== undefined) return known;
    if (!isUnprintable(char)) return char;
    const code = char.codePointAt(0) ?? 0;
    if (code > 0xffff) return `\\U${code.toString(16).toUpperCase().padStart(8, '0')}`;
    return code < 0x100
      ? `\\x${code.toString(16).toUpperCase().padStart(2, '0')}`
      : `\\u${code.toString(16).toUpperCase().padStart(4, '0')}`;
  });
  return `"${escaped.join('')}"`;
}
