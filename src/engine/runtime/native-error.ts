import { type ErrorCode, type ErrorKind, KINDS, type Room, TscError } from '../../core/index.ts';

/** The value as a record when it is a JSON object. */
export function asRecord(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

/** The `error` of a helper's refusal (`{"code","message"}`) as ours: its code is a kind of failure, the room is given. */
export function nativeError(room: Room, error: unknown): TscError {
  const fields = asRecord(error);
  const kind: ErrorKind = KINDS.find((item) => item === fields?.['code']) ?? 'failed';
  const message = fields?.['message'];
  const code: ErrorCode = `${room}/${kind}`;
  return new TscError(code, typeof message === 'string' && message ? message : `the ${room} gave no reason`);
}
