import { FreeKeys, isJsonOnly, type Out } from './codec.ts';

/**
 * Indented JSON without a final newline, as the reference writes it. Written by hand, for objects of the language would move keys such as `1` to the front and swallow
 * `__proto__`.
 */
export function writeJson(value: Out): string {
  return write(value, '\n');
}

/** The same without any blank. */
export function writeCompactJson(value: Out): string {
  return write(value, undefined);
}

/** `line`: a line break with the indentation of this level; undefined: all in one line. */
function write(value: Out, line: string | undefined): string {
  if (isJsonOnly(value)) return write(value.jsonOnly, line);
  if (value instanceof Map) return writeMap(value, line);
  if (!Array.isArray(value)) return writeScalar(value);
  return brackets(
    '[]',
    (value as readonly Out[]).map((item) => write(item, deeper(line))),
    line,
  );
}

function deeper(line: string | undefined): string | undefined {
  return line === undefined ? undefined : `${line}  `;
}

/** Characters that a page embedding the text would misread are escaped. */
function writeScalar(value: Out): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function writeMap(map: ReadonlyMap<string, Out>, line: string | undefined): string {
  const entries = [...map];
  if (map instanceof FreeKeys) entries.sort(([a], [b]) => (a < b ? -1 : 1));
  const colon = line === undefined ? ':' : ': ';
  return brackets(
    '{}',
    entries.map(([key, item]) => `${writeScalar(key)}${colon}${write(item, deeper(line))}`),
    line,
  );
}

function brackets(pair: '[]' | '{}', items: readonly string[], line: string | undefined): string {
  if (items.length === 0) return pair;
  const inner = deeper(line) ?? '';
  return `${pair.charAt(0)}${inner}${items.join(`,${inner}`)}${line ?? ''}${pair.charAt(1)}`;
}
