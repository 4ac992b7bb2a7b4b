import type { LogFrame } from './log-query.ts';

const BEGIN = '{"log":"';
const STREAM = '","stream":"';
const TIME = '","time":"';

/**
 * A line of the json-file format, its bytes as characters (`latin1`); undefined for one that is damaged (a crash can leave
 * half a line). Nearly every line has no escape but its newline: those are cut out as they are, which is many times faster.
 */
export function parseLogLine(line: string): LogFrame | undefined {
  return cutLine(line) ?? parseJsonLine(line);
}

function cutLine(line: string): LogFrame | undefined {
  if (!line.startsWith(BEGIN) || !line.endsWith('"}')) return undefined;
  // A quote inside the text is escaped, so this ends it.
  const end = line.indexOf(STREAM, BEGIN.length);
  if (end < 0) return undefined;
  const streamAt = end + STREAM.length;
  const stream = line.startsWith('stdout"', streamAt) ? 'stdout' : line.startsWith('stderr"', streamAt) ? 'stderr' : '';
  const timeAt = streamAt + 6 + TIME.length;
  if (stream === '' || !line.startsWith(TIME, streamAt + 6)) return undefined;
  const time = line.slice(timeAt, -2);
  const slash = line.indexOf('\\', BEGIN.length);
  const isWhole = slash === end - 2 && line[end - 1] === 'n';
  if (time.includes('"') || (slash >= 0 && slash < end && !isWhole)) return undefined;
  const text = isWhole ? `${line.slice(BEGIN.length, end - 2)}\n` : line.slice(BEGIN.length, end);
  return { stream, time, data: Buffer.from(text, 'latin1') };
}

function parseJsonLine(line: string): LogFrame | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(line, 'latin1').toString('utf8'));
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
