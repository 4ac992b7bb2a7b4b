import { parseDuration, TscError } from '../core/index.ts';

/** Whether a flag of a query is on: anything but absent, empty, 0, no, false, none. */
export function flag(query: URLSearchParams, name: string): boolean {
  return !['', '0', 'no', 'false', 'none'].includes((query.get(name) ?? '').toLowerCase());
}

/** A flag that is on unless it is given as off. */
export function flagDefaultOn(query: URLSearchParams, name: string): boolean {
  return query.has(name) ? flag(query, name) : true;
}

/** A whole number of a query; undefined when absent or empty. Throws `daemon/invalid`. */
export function integer(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name) ?? '';
  if (text === '') return undefined;
  if (!/^-?\d{1,15}$/.test(text)) {
    throw new TscError('daemon/invalid', `${name} must be a whole number, not ${JSON.stringify(text.slice(0, 40))}`);
  }
  return Number(text);
}

/**
 * A point in time in nanoseconds since 1970: seconds with an optional fraction, RFC 3339, or a duration before now.
 * Empty and absent are undefined. Throws `daemon/invalid`.
 */
export function parseTime(text: string | null, nowMs: number, what: string): bigint | undefined {
  if (text === null || text === '') return undefined;
  const seconds = /^(\d{1,12})(?:\.(\d{1,9}))?$/.exec(text);
  if (seconds) return BigInt(seconds[1] ?? '0') * 1_000_000_000n + BigInt((seconds[2] ?? '').padEnd(9, '0'));
  if (/^\d{4}-\d\d-\d\d/.test(text)) {
    const ms = Date.parse(text);
    if (!Number.isNaN(ms)) return BigInt(ms) * 1_000_000n;
  }
  try {
    return BigInt(Math.round(nowMs * 1e6 - parseDuration(text)));
  } catch (error) {
    throw new TscError('daemon/invalid', `${what}: invalid time ${JSON.stringify(text.slice(0, 60))}`, {
      cause: error,
    });
  }
}

/** `rows, columns` of a terminal from a query. Throws `daemon/invalid`. */
export function terminalSize(query: URLSearchParams): { readonly rows: number; readonly columns: number } {
  const rows = integer(query, 'h') ?? 0;
  const columns = integer(query, 'w') ?? 0;
  for (const [name, value] of [
    ['h', rows],
    ['w', columns],
  ] as const) {
    if (value < 0 || value > 65535) throw new TscError('daemon/invalid', `${name} must be between 0 and 65535`);
  }
  return { rows, columns };
}
