/** The parts of the house that can fail; the first half of every error code. */
export const ROOMS = [
  'core',
  'host',
  'archive',
  'api',
  'compose',
  'registry',
  'dockerfile',
  'client',
  'stack',
  'runtime',
  'monitor',
  'keeper',
  'container',
  'exec',
  'image',
  'layer',
  'build',
  'network',
  'volume',
  'log',
  'state',
  'daemon',
  'cli',
  'watch',
] as const;

/**
 * What kind of failure it is; the second half of every error code. The kind alone decides the HTTP status (daemon) and
 * the exit status (cli), so each table has one row per kind.
 */
export const KINDS = [
  /** the input breaks a rule */
  'invalid',
  /** the named object does not exist */
  'not-found',
  /** the request contradicts the object's present state or name */
  'conflict',
  /** the object cannot go while something uses it */
  'in-use',
  /** the caller may not do this */
  'denied',
  /** understood, and deliberately not offered */
  'unsupported',
  /** nothing to do, the object already is in the asked state */
  'not-modified',
  /** a limit, pool or quota is used up */
  'exhausted',
  /** a deadline passed */
  'timeout',
  /** the caller gave up */
  'cancelled',
  /** the peer is away or not ready */
  'unavailable',
  /** stored data is damaged */
  'corrupt',
  /** a step outside our control (kernel, program, network) failed */
  'failed',
  /** an invariant of ours broke: a bug */
  'bug',
] as const;

export type Room = (typeof ROOMS)[number];
export type ErrorKind = (typeof KINDS)[number];
/** Closed union of all codes, for example `image/not-found`. */
export type ErrorCode = `${Room}/${ErrorKind}`;

export interface TscErrorInit {
  /** What to do next, one sentence. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
  /** The part of the compose model it is about (`['services', 'web', 'image']`): whoever loaded the files can show the place. */
  readonly subject?: readonly string[] | undefined;
}

/**
 * The one error class. The message says what failed on which object, in lower case and without a full stop.
 * Callers decide on `code` (or `kind`), never on the message.
 */
export class TscError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly subject: readonly string[] | undefined;

  constructor(code: ErrorCode, message: string, init: TscErrorInit = {}) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause });
    this.name = 'TscError';
    this.code = code;
    this.hint = init.hint;
    this.subject = init.subject;
  }

  get kind(): ErrorKind {
    return this.code.slice(this.code.indexOf('/') + 1) as ErrorKind;
  }
}

/** True when `error` is ours and of the given kind. */
export function isKind(error: unknown, kind: ErrorKind): error is TscError {
  return error instanceof TscError && error.kind === kind;
}

/** The words of any thrown value with its chain of causes, for one line of output. */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  for (let current: unknown = error; current !== undefined && parts.length < 8; ) {
    const text = current instanceof Error ? current.message : String(current);
    if (!parts.some((part) => part.includes(text))) parts.push(text);
    current = current instanceof Error ? current.cause : undefined;
  }
  return parts.join(': ');
}

/** Closes a switch over a union: the compiler rejects the call while a member is unhandled. */
export function unreachable(value: never): never {
  throw new TscError('core/bug', `unhandled case ${JSON.stringify(value)}`);
}
