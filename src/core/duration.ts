import { TscError } from './errors.ts';

const UNIT_NS: Readonly<Record<string, number>> = Object.assign(Object.create(null), {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
});

/** Parses a duration such as `1m30s`, `1.5h` or `250ms` into nanoseconds. Throws `core/invalid`. */
export function parseDuration(text: string): number {
  const fail = () =>
    new TscError('core/invalid', `invalid duration ${JSON.stringify(text)}`, {
      hint: 'write a number with a unit (us, ms, s, m, h), for example 1m30s',
    });
  if (text === '0') return 0;
  const signed = text.startsWith('-') || text.startsWith('+');
  let total = 0;
  let at = signed ? 1 : 0;
  if (at === text.length) throw fail();
  while (at < text.length) {
    const end = numberEnd(text, at);
    // The longer unit first: `ms` is not `m`.
    const unit = [text.slice(end, end + 2), text.slice(end, end + 1)].find((word) => UNIT_NS[word] !== undefined);
    if (end === at || unit === undefined) throw fail();
    total += Number(text.slice(at, end)) * (UNIT_NS[unit] ?? Number.NaN);
    at = end + unit.length;
  }
  if (!Number.isFinite(total)) throw fail();
  return Math.round(text.startsWith('-') ? -total : total);
}

/**
 * Where the decimal number that starts at `from` ends; `from` itself when there is none. By hand: patterns cost each start a
 * fifth of a millisecond.
 */
function numberEnd(text: string, from: number): number {
  let at = from;
  let digits = 0;
  let points = 0;
  for (; at < text.length; at++) {
    const char = text.charAt(at);
    if (char >= '0' && char <= '9') digits++;
    else if (char === '.' && points === 0) points++;
    else break;
  }
  return digits === 0 ? from : at;
}

/** Writes nanoseconds the way Go prints a duration: `1h30m0s`, `1.5s`, `250ms`, `0s`. */
export function formatDuration(nanoseconds: number): string {
  if (nanoseconds === 0) return '0s';
  const sign = nanoseconds < 0 ? '-' : '';
  const ns = Math.abs(nanoseconds);
  if (ns < 1e3) return `${sign}${ns}ns`;
  if (ns < 1e6) return `${sign}${trim(ns / 1e3)}µs`;
  if (ns < 1e9) return `${sign}${trim(ns / 1e6)}ms`;
  const hours = Math.floor(ns / 3600e9);
  const minutes = Math.floor((ns % 3600e9) / 60e9);
  const seconds = trim((ns % 60e9) / 1e9);
  return `${sign}${hours > 0 ? `${hours}h` : ''}${hours > 0 || minutes > 0 ? `${minutes}m` : ''}${seconds}s`;
}

function trim(value: number): string {
  return String(Number(value.toFixed(9)));
}
