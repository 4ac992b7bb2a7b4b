import { describeError, type ErrorKind, TscError } from '../core/index.ts';
import { type ApiResponse, empty, json } from './http-message.ts';

/** One status per kind of failure; total by its type. */
export const STATUS_OF_KIND: Readonly<Record<ErrorKind, number>> = {
  invalid: 400,
  'not-found': 404,
  conflict: 409,
  'in-use': 409,
  denied: 403,
  unsupported: 501,
  'not-modified': 304,
  exhausted: 503,
  timeout: 504,
  cancelled: 499,
  unavailable: 503,
  corrupt: 500,
  failed: 500,
  bug: 500,
};

/** Status of any thrown value. A body beyond its limit is the one code with a status of its own. */
export function statusOf(error: unknown): number {
  if (!(error instanceof TscError)) return 500;
  return error.code === 'daemon/exhausted' ? 413 : STATUS_OF_KIND[error.kind];
}

/** Clients choose exit codes (126, 127) by these words of a failed start, and know them in lower case only. */
const ERRNO_WORDS = /\b(?:Permission denied|No such file or directory|Is a directory|Exec format error)\b/g;

/** Clients tell a missing image (build or pull it) from other missing things by these very words, capital included. */
const NO_SUCH = /^no such (?=image|container|volume|exec instance)/;

/** The words a client shows: what failed, its causes, what to do next. */
export function messageOf(error: unknown): string {
  const hint = error instanceof TscError ? error.hint : undefined;
  const text = describeError(error)
    .replace(ERRNO_WORDS, (words) => words.toLowerCase())
    .replace(NO_SUCH, 'No such ');
  return hint === undefined ? text : `${text} (${hint})`;
}

/** The answer for any thrown value. */
export function errorResponse(error: unknown): ApiResponse {
  const status = statusOf(error);
  return status === 304 ? empty(304) : json({ message: messageOf(error) }, status);
}
