import type { Readable, Writable } from 'node:stream';

/** A request as the daemon's function sees it: no socket, no server. */
export interface ApiRequest {
  readonly method: string;
  /** Path as it was sent, percent-encoded, without query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Readable;
  /** Fires when the client is gone. */
  readonly signal: AbortSignal;
}

/** Streams of a process that a connection is given to. */
export interface HijackSession {
  readonly output: Readable;
  readonly input: Writable;
  /** Whether the end of what the client sends is the end of stdin; a terminal has no such end. */
  readonly endsInput: boolean;
  /** Once the output has ended, the connection ends with this. */
  readonly done: Promise<void>;
  close(): void;
}

export type Headers = Readonly<Record<string, string>>;

/** The answer: a whole body, a body that comes over time, or the connection itself. */
export type ApiResponse =
  | { readonly kind: 'whole'; readonly status: number; readonly headers: Headers; readonly body: string }
  | {
      readonly kind: 'stream';
      readonly status: number;
      readonly headers: Headers;
      /** Read only after the head was sent; a failure cuts the connection. */
      readonly chunks: AsyncIterable<Uint8Array | string>;
    }
  | { readonly kind: 'hijack'; readonly contentType: string; readonly session: HijackSession };

export const JSON_TYPE: Headers = { 'Content-Type': 'application/json' };

/** A JSON answer, 200 unless told. */
export function json(value: unknown, status = 200): ApiResponse {
  return { kind: 'whole', status, headers: JSON_TYPE, body: `${JSON.stringify(value)}\n` };
}

/** An answer without a body. */
export function empty(status: 200 | 201 | 204 | 304, headers: Headers = {}): ApiResponse {
  return { kind: 'whole', status, headers, body: '' };
}

/** A plain text answer. */
export function text(body: string, headers: Headers = {}): ApiResponse {
  return { kind: 'whole', status: 200, headers: { 'Content-Type': 'text/plain; charset=utf-8', ...headers }, body };
}

/** An answer that grows; its head is sent at once. */
export function stream(contentType: string, chunks: AsyncIterable<Uint8Array | string>): ApiResponse {
  return { kind: 'stream', status: 200, headers: { 'Content-Type': contentType }, chunks };
}
