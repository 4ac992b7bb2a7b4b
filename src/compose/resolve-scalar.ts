import { formatFloat } from './format-float.ts';

/** A plain YAML scalar after type resolution: its value and the string form that labels and variables get. */
export interface Resolved {
  readonly value: string | number | boolean | null;
  readonly text: string;
}

const NULLS = new Set(['', '~', 'null', 'Null', 'NULL']);
const BOOLEANS = new Map([
  ['true', true],
  ['True', true],
  ['TRUE', true],
  ['false', false],
  ['False', false],
  ['FALSE', false],
]);
const SPECIAL_FLOATS = new Map([
  ['.inf', Number.POSITIVE_INFINITY],
  ['+.inf', Number.POSITIVE_INFINITY],
  ['-.inf', Number.NEGATIVE_INFINITY],
  ['.nan', Number.NaN],
]);
// Leading zeros mean octal and underscores are skipped, as in the YAML reader that compose files are written against.
const INTEGER = /^[-+]?(?:0b_*[01][01_]*|0o?_*[0-7][0-7_]*|0x_*[0-9a-fA-F][0-9a-fA-F_]*|[1-9][0-9_]*|0)$/;
const FLOAT = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;

/** Resolves an unquoted scalar by the core rules plus `0755` octal; `yes`, `on` and `22:22` stay strings. */
export function resolveScalar(source: string): Resolved {
  if (NULLS.has(source)) return { value: null, text: '' };
  const boolean = BOOLEANS.get(source);
  if (boolean !== undefined) return { value: boolean, text: String(boolean) };
  if (!/^[-+.0-9]/.test(source)) return { value: source, text: source };
  if (isPlainCount(source)) return { value: Number(source), text: source };
  const special = SPECIAL_FLOATS.get(source.toLowerCase());
  if (special !== undefined) return { value: special, text: formatFloat(special) };
  if (INTEGER.test(source)) return resolveInteger(source);
  const plain = source.replaceAll('_', '');
  if (FLOAT.test(plain)) {
    const value = Number(plain);
    if (!Number.isFinite(value)) return { value: source, text: source };
    return { value, text: formatFloat(value) };
  }
  return { value: source, text: source };
}

/** The usual number: decimal, without a leading zero, exact as it stands. */
function isPlainCount(source: string): boolean {
  if (source.length > 15 || (source.length > 1 && source.startsWith('0'))) return false;
  for (let at = 0; at < source.length; at++) if (source.charAt(at) < '0' || source.charAt(at) > '9') return false;
  return true;
}

function resolveInteger(source: string): Resolved {
  const negative = source.startsWith('-');
  const digits = source.replace(/^[-+]/, '').replaceAll('_', '');
  const octal = /^0[0-7]+$/.test(digits);
  const size = BigInt(octal ? `0o${digits.slice(1)}` : digits);
  const value = negative ? -size : size;
  return { value: Number(value), text: value.toString() };
}
