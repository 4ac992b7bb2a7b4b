import { TscError } from '../core/index.ts';

/** The head of an HTTP/1.1 request, as far as a connection that is given away needs it. */
export interface RequestHead {
  readonly method: string;
  /** Path without query, as it was sent. */
  readonly path: string;
  readonly query: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Length of the body; chunked bodies have none. */
  readonly contentLength: number;
  readonly chunked: boolean;
  /** Bytes that the head takes, its blank line included. */
  readonly size: number;
}

/** Longest head; the limit of the ordinary server too. */
export const MAX_HEAD = 64 << 10;
const END = Buffer.from('\r\n\r\n');
const HIJACKED = /^POST (?:\/v\d{1,4}\.\d{1,4})?\/(?:containers\/[^/? ]+\/attach|exec\/[^/? ]+\/start)[? ]/;

/** Whether the first bytes of a connection hold a whole head. */
export function hasWholeHead(bytes: Buffer): boolean {
  return bytes.includes(END);
}

/** Whether a request line (or as much of it as is here) asks for a call that is given the connection. */
export function asksForConnection(bytes: Buffer): boolean {
  return HIJACKED.test(bytes.toString('latin1', 0, 4096));
}

/**
 * Parses a head strictly: one length, no length together with chunks, no folded lines, no bare line feeds.
 * Throws `daemon/invalid`.
 */
export function parseRequestHead(bytes: Buffer): RequestHead {
  const end = bytes.indexOf(END);
  const [line = '', ...rows] = bytes.toString('latin1', 0, end).split('\r\n');
  const request = /^([A-Z]{1,16}) (\/[!-~]*) HTTP\/1\.[01]$/.exec(line);
  if (!request) throw malformed('request line');
  const headers = parseHeaders(rows);
  const target = request[2] ?? '/';
  const question = target.indexOf('?');
  const length = headers['content-length'];
  const coding = headers['transfer-encoding'];
  if (length !== undefined && coding !== undefined) throw malformed('both a length and chunks');
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') throw malformed('transfer coding');
  if (length !== undefined && !/^\d{1,9}$/.test(length)) throw malformed('content length');
  return {
    method: request[1] ?? '',
    path: question < 0 ? target : target.slice(0, question),
    query: question < 0 ? '' : target.slice(question + 1),
    headers,
    contentLength: Number(length ?? 0),
    chunked: coding !== undefined,
    size: end + END.length,
  };
}

function parseHeaders(rows: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = Object.create(null);
  for (const row of rows) {
    const field = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\0\r\n]*)$/.exec(row);
    if (!field) throw malformed('header line');
    const name = (field[1] ?? '').toLowerCase();
    if (name in headers && ['content-length', 'transfer-encoding', 'host'].includes(name))
      throw malformed(`repeated ${name}`);
    headers[name] = (field[2] ?? '').trimEnd();
  }
  return headers;
}

function malformed(what: string): TscError {
  return new TscError('daemon/invalid', `malformed request: ${what}`);
}
