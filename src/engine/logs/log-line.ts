import type { LogFrame } from './log-query.ts';

/** A line of the json-file format; undefined for one that is damaged (a crash can leave half a line). */
export function parseLogLine(line: string): LogFrame | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== 'object' || value === null) return undefined;
    const { log, stream, time } = value as { log?: unknown; stream?: unknown; time?: unknown };
    if (typeof log !== 'string' || typeof time !== 'string') return undefined;
    return { stream: stream === 'stderr' ? 'stderr' : 'stdout', time, data: Buffer.from(log, 'utf8') };
  } catch {
    return undefined;
  }
}

/** Nanoseconds since 1970 of an RFC 3339 time in UTC. */
export function nanosecondsOf(time: string): bigint {
  const [, seconds = '', fraction = ''] = /^(.*?)(?:\.(\d+))?Z$/.exec(time) ?? [];
  const whole = Date.parse(`${seconds}Z`);
  if (Number.isNaN(whole)) return 0n;
  return BigInt(whole) * 1_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, '0'));
}
