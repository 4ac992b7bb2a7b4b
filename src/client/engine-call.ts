import { type Agent, globalAgent } from 'node:http';
import type { Readable } from 'node:stream';
import Docker from 'dockerode';
import { type ErrorCode, TscError } from '../core/index.ts';
import { isErrno } from '../host/index.ts';
import type { EngineEndpoint } from './endpoint.ts';
import { record, text } from './read-answers.ts';

export interface CallOptions {
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: unknown;
  readonly file?: Readable;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Answers a stream of the body instead of parsed JSON. */
  readonly stream?: boolean;
  /** Turns the connection into a two-way byte stream. */
  readonly hijack?: boolean;
}

/** One call of the Engine API over dockerode's transport. Errors are ours. */
export type EngineCall = (
  method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'HEAD',
  path: string,
  options?: CallOptions,
) => Promise<unknown>;

const CODE_OF_STATUS: Readonly<Record<number, ErrorCode>> = {
  304: 'client/not-modified',
  400: 'client/invalid',
  401: 'client/denied',
  403: 'client/denied',
  404: 'client/not-found',
  408: 'client/timeout',
  409: 'client/conflict',
  500: 'client/failed',
  501: 'client/unsupported',
  503: 'client/unavailable',
};

const SUCCESS = { 101: true, 200: true, 201: true, 202: true, 204: true };

/** Makes the caller for one endpoint. Connections are kept by Node's global agent. */
export function connectEngine(endpoint: EngineEndpoint): EngineCall {
  // No own agent: the transport prints its options for debugging on every call, and an agent is a large object.
  const modem = new Docker(endpoint.options).modem;
  // Else Node looks whether the name of the host is an address, for TLS that is not spoken here, and compiles a large regular
  // expression for it.
  const agent: Agent & { readonly options?: { servername?: string } } = globalAgent;
  if (agent.options) agent.options.servername = '';
  return (method, path, options = {}) => {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const query = Object.fromEntries(Object.entries(options.query ?? {}).filter(([, value]) => value !== undefined));
    modem.dial(
      {
        path: Object.keys(query).length > 0 ? `${path}?` : path,
        method,
        options: { _query: query, _body: options.body ?? {} },
        headers: { ...options.headers },
        statusCodes: SUCCESS,
        ...(options.file && { file: options.file }),
        ...(options.stream && { isStream: true }),
        ...(options.hijack && { hijack: true, openStdin: true, isStream: true }),
        ...(options.signal && { abortSignal: options.signal }),
      } as unknown as Parameters<typeof modem.dial>[0],
      (error: unknown, answer: unknown) => {
        if (error) reject(toClientError(error, endpoint));
        else resolve(answer);
      },
    );
    return promise;
  };
}

/** Engine and socket failures in our words; the engine's message is kept as it is. */
export function toClientError(error: unknown, endpoint: EngineEndpoint): TscError {
  if (error instanceof TscError) return error;
  const status = Number(record(error)['statusCode']);
  if (Number.isInteger(status) && status > 0) {
    const code = CODE_OF_STATUS[status] ?? (status >= 500 ? 'client/failed' : 'client/invalid');
    return new TscError(code, engineWords(error), { cause: undefined });
  }
  if (isErrno(error, 'ABORT_ERR') || (error instanceof Error && error.name === 'AbortError'))
    return new TscError('client/cancelled', 'the call was cancelled', { cause: error });
  if (isErrno(error, 'EACCES', 'EPERM')) {
    return new TscError('client/denied', `no permission to use the engine at ${endpoint.address}`, {
      hint: 'run as root, or as a member of the group that owns the socket',
      cause: error,
    });
  }
  if (isErrno(error, 'ECONNRESET', 'EPIPE')) {
    return new TscError(
      'client/unavailable',
      `the engine at ${endpoint.address} ended the connection before its answer`,
      {
        hint: 'it may have been restarted: run the command again',
        cause: error,
      },
    );
  }
  return new TscError('client/unavailable', `cannot reach the engine at ${endpoint.address}`, {
    hint: 'check that it is running, and the value of DOCKER_HOST or --host',
    cause: error,
  });
}

function engineWords(error: unknown): string {
  const json = record(record(error)['json']);
  const message = text(json['message']) || (error instanceof Error ? error.message : String(error));
  return message.replace(/^\(HTTP code \d+\) .*? - /, '').trim();
}
