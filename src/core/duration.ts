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
  const match = /^([+-]?)((?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h))+$/.exec(text);
  if (text === '0') return 0;
  if (!match) throw fail();
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(amount) * (UNIT_NS[unit ?? ''] ?? Number.NaN);
  }
  if (!Number.isFinite(total)) throw fail();
  return Math.round(match[1] === '-' ? -total : total);
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
