import { parseByteSize, parseDuration } from '../core/index.ts';

const DURATION_WORDS = /^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h|d|w))+$/;

/** What the string forms of typed values accept; each returns why the text is refused, or undefined. */
export const FORMATS: ReadonlyMap<string, { readonly expected: string; readonly accepts: (text: string) => boolean }> =
  new Map([
    ['boolean', { expected: 'true or false', accepts: (text) => readBoolean(text) !== undefined }],
    ['integer', { expected: 'a whole number', accepts: (text) => /^\s*[-+]?\d+\s*$/.test(text) }],
    ['number', { expected: 'a number', accepts: (text) => text.trim() !== '' && Number.isFinite(Number(text)) }],
    ['bytes', { expected: 'a size such as 64m or 1gb', accepts: (text) => readBytes(text) !== undefined }],
    ['duration', { expected: 'a duration such as 1m30s', accepts: (text) => readDuration(text) !== undefined }],
    ['mode', { expected: 'an octal file mode such as 0440', accepts: (text) => readMode(text) !== undefined }],
    ['count', { expected: 'a whole number or "all"', accepts: (text) => text === 'all' || /^[-+]?\d+$/.test(text) }],
  ]);

const TRUE_WORDS = new Set(['true', 'y', 'yes', 'on']);
const FALSE_WORDS = new Set(['false', 'n', 'no', 'off']);

/** Booleans as text; the YAML 1.1 words are accepted too. */
export function readBoolean(text: string): boolean | undefined {
  const word = text.toLowerCase();
  return TRUE_WORDS.has(word) ? true : FALSE_WORDS.has(word) ? false : undefined;
}

/** Bytes; `-1` (unlimited) passes. */
export function readBytes(text: string): number | undefined {
  if (/^-\d+$/.test(text)) return Number(text);
  try {
    return parseByteSize(text);
  } catch {
    return undefined;
  }
}

/** Nanoseconds; days and weeks are known besides the units of the engine. */
export function readDuration(text: string): number | undefined {
  // Only with days and weeks it is more than the engine's own format.
  if (/[dw]/.test(text) && DURATION_WORDS.test(text)) {
    const days = [...text.matchAll(/(\d+(?:\.\d+)?)([dw])/g)];
    const rest = text.replace(/\d+(?:\.\d+)?[dw]/g, '');
    const long = days.reduce((sum, [, amount, unit]) => sum + Number(amount) * (unit === 'w' ? 7 : 1) * 86_400e9, 0);
    return long + (rest === '' ? 0 : parseDuration(rest));
  }
  try {
    return parseDuration(text);
  } catch {
    return undefined;
  }
}

/** A file mode written in octal. */
export function readMode(text: string): number | undefined {
  return /^0?o?[0-7]{1,5}$/.test(text) ? Number.parseInt(text.replace('o', ''), 8) : undefined;
}
