import { type ErrorKind, TscError } from '../core/index.ts';

/** Exit status per kind of error. Scripts written for docker compose test for 1, and for 130 after ctrl-C. */
export const EXIT_CODE: Readonly<Record<ErrorKind, number>> = {
  invalid: 1,
  'not-found': 1,
  conflict: 1,
  'in-use': 1,
  denied: 1,
  unsupported: 1,
  'not-modified': 0,
  exhausted: 1,
  timeout: 1,
  cancelled: 130,
  unavailable: 1,
  corrupt: 1,
  failed: 1,
  bug: 70,
};

/** Exit status of a thrown value; what is not ours is a bug. */
export function exitCodeOf(error: unknown): number {
  return error instanceof TscError ? EXIT_CODE[error.kind] : EXIT_CODE.bug;
}
