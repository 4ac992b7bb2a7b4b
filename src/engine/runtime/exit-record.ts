import { TscError } from '../../core/index.ts';
import { readJsonIfExists } from '../../host/index.ts';
import { asRecord } from './native-error.ts';

/** The end of a process as its monitor recorded it (`exit.json`). */
export interface ExitRecord {
  /** Container or exec id. */
  readonly id: string;
  /** 128 + signal for a killed process. */
  readonly exitCode: number;
  readonly signal: number | null;
  readonly oomKilled: boolean;
  /** Bytes of log lines that could not be written. */
  readonly logLost: number;
  /** RFC 3339 with nanoseconds; null when it never ran. */
  readonly startedAt: string | null;
  readonly finishedAt: string;
  /** Words of a failed start. */
  readonly error: string | null;
}

/** Reads the fields of an exit record; undefined when they do not have its form. */
export function parseExitRecord(value: unknown): ExitRecord | undefined {
  const fields = asRecord(value);
  if (!fields) return undefined;
  const { id, exit_code: exitCode, signal, oom_killed: oomKilled, finished_at: finishedAt } = fields;
  if (typeof id !== 'string' || !Number.isInteger(exitCode) || typeof finishedAt !== 'string') return undefined;
  return {
    id,
    exitCode: Number(exitCode),
    signal: typeof signal === 'number' ? signal : null,
    oomKilled: oomKilled === true,
    logLost: Number(fields['log_lost'] ?? 0),
    startedAt: textOrNull(fields['started_at']),
    finishedAt,
    error: textOrNull(fields['error']),
  };
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** The exit record at `path`, undefined while there is none. Throws `state/corrupt` on content that is no record. */
export async function readExitRecord(path: string): Promise<ExitRecord | undefined> {
  const value = await readJsonIfExists(path);
  if (value === undefined) return undefined;
  const record = parseExitRecord(value);
  if (!record) throw new TscError('state/corrupt', `${path} is not an exit record`);
  return record;
}
