import { FreeKeys, isJsonOnly, type Out } from './codec.ts';

/**
 * Indented JSON without a final newline, as the reference writes it. Written by hand, for objects of the language would move keys such as `1` to the front and swallow
 * `__proto__`.
 */
export function writeJson(value: Out): string {
  return write(value, '');
}

function write(value: Out, indent: string): string {
  if (isJsonOnly(value)) return write(value.jsonOnly, indent);
  if (value instanceof Map) return writeMap(value, indent);
  if (!Array.isArray(value)) return writeScalar(value);
  const inner = `${indent}  `;
  return brackets(
    '[]',
    (value as readonly Out[]).map((item) => `${inner}${write(item, inner)}`),
    indent,
  );
}

/** Characters that a page embedding the text would misread are escaped. */
function writeScalar(value: Out): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function writeMap(map: ReadonlyMap<string, Out>, indent: string): string {
  const inner = `${indent}  `;
  const entries = [...map];
  if (map instanceof FreeKeys) entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return brackets(
    '{}',
    entries.map(([key, item]) => `${inner}${writeScalar(key)}: ${write(item, inner)}`),
    indent,
  );
}

function brackets(pair: '[]' | '{}', lines: readonly string[], indent: string): string {
  if (lines.length === 0) return pair;
  return `${pair.charAt(0)}\n${lines.join(',\n')}\n${indent}${pair.charAt(1)}`;
}
