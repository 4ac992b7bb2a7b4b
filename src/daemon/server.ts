import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { TscError } from '../core/index.ts';
import { type Handler, standardHeaders } from './handle.ts';
import { nextChunk, serveHijack } from './hijack.ts';
import { errorResponse } from './http-errors.ts';
import type { ApiRequest, ApiResponse } from './http-message.ts';
import { asksForConnection, hasWholeHead, MAX_HEAD } from './request-head.ts';
import type { DaemonLogger } from './services.ts';

/** Where to listen: a descriptor that is a listening unix socket, or a path. */
export type ListenAddress = { readonly fd: number } | { readonly path: string };

export interface ServerOptions {
  readonly handler: Handler;
  readonly version: string;
  readonly logger: DaemonLogger;
}

/** The API on a socket. */
export interface ApiServer {
  /** Connections that are open now. */
  readonly connections: number;
  /** Monotonic milliseconds when the last connection came or went. */
  readonly lastActivity: number;
  /** Accepts no more, waits at most `graceMs` for what is under way, cuts the rest. */
  close(graceMs: number): Promise<void>;
}

const HEAD_TIMEOUT_MS = 30_000;
/** How long a client may go on sending a body that nobody wants. */
const DRAIN_MS = 30_000;

/**
 * Serves the handler. Every connection carries one request: then its first bytes tell whether it is given away to a
 * process (attach, exec) before any parser has touched it. Only unix sockets are served; a TCP listener is refused.
 */
export async function startServer(address: ListenAddress, options: ServerOptions): Promise<ApiServer> {
  const sockets = new Set<Socket>();
  let lastActivity = performance.now();
  const http = createInnerServer(options);
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    sockets.add(socket);
    lastActivity = performance.now();
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      sockets.delete(socket);
      lastActivity = performance.now();
    });
    route(socket, http, options).catch((error: unknown) => {
      options.logger.error({ error }, 'connection failed');
      socket.destroy();
    });
  });
  await listen(server, address);
  return {
    get connections() {
      return sockets.size;
    },
    get lastActivity() {
      return lastActivity;
    },
    close: (graceMs) => close(server, sockets, graceMs),
  };
}

async function listen(server: Server, address: ListenAddress): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  const where: ListenOptions & { fd?: number } = 'fd' in address ? { fd: address.fd } : { path: address.path };
  server.listen(where, resolve);
  await promise;
  server.off('error', reject);
  const bound = server.address();
  if (bound !== null && typeof bound === 'object') {
    server.close();
    throw new TscError(
      'daemon/denied',
      `serving the API on TCP port ${bound.port} is refused: it would give away the host`,
      {
        hint: 'pass a unix socket; for remote use forward it with ssh',
      },
    );
  }
}

async function close(server: Server, sockets: Set<Socket>, graceMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  const timer = setTimeout(() => {
    for (const socket of sockets) socket.destroy();
  }, graceMs);
  await promise;
  clearTimeout(timer);
}

async function route(socket: Socket, http: HttpServer, options: ServerOptions): Promise<void> {
  const timer = setTimeout(() => socket.destroy(), HEAD_TIMEOUT_MS);
  let bytes: Buffer = Buffer.alloc(0);
  for (;;) {
    const chunk = await nextChunk(socket);
    if (chunk === undefined) {
      clearTimeout(timer);
      socket.destroy();
      return;
    }
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    // An ordinary request goes on at once: the HTTP server collects the rest of its head itself.
    if (bytes.length >= 5 && !bytes.subarray(0, 5).equals(POST)) break;
    if (hasWholeHead(bytes) || bytes.length > MAX_HEAD) break;
  }
  clearTimeout(timer);
  if (hasWholeHead(bytes) && asksForConnection(bytes)) {
    await serveHijack(socket, bytes, options);
    return;
  }
  socket.unshift(bytes);
  http.emit('connection', socket);
  socket.resume();
}

const POST = Buffer.from('POST ');

function createInnerServer(options: ServerOptions): HttpServer {
  const server = createHttpServer(
    // Uploads may take as long as they take; only the head has a deadline.
    { maxHeaderSize: MAX_HEAD, headersTimeout: HEAD_TIMEOUT_MS, requestTimeout: 0, keepAliveTimeout: 1 },
    (request, response) => {
      serveRequest(request, response, options).catch((error: unknown) => {
        options.logger.error({ error }, 'answer failed');
        response.destroy();
      });
    },
  );
  server.on('clientError', (_error, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    else socket.destroy();
  });
  return server;
}

async function serveRequest(request: IncomingMessage, response: ServerResponse, options: ServerOptions): Promise<void> {
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  const body = bodyOf(request);
  const answer = await options.handler(readRequest(request, body, gone.signal)).catch(errorResponse);
  for (const [name, value] of Object.entries(standardHeaders(options.version))) response.setHeader(name, value);
  response.setHeader('Connection', 'close');
  await writeAnswer(answer, response, async () => {
    body.destroy();
    await drain(request);
  });
}

function readRequest(request: IncomingMessage, body: Readable, signal: AbortSignal): ApiRequest {
  const url = request.url ?? '/';
  const question = url.indexOf('?');
  const headers: Record<string, string | undefined> = Object.create(null);
  for (const [name, value] of Object.entries(request.headers))
    headers[name] = Array.isArray(value) ? value.join(', ') : value;
  return {
    method: request.method ?? 'GET',
    path: question < 0 ? url : url.slice(0, question),
    query: new URLSearchParams(question < 0 ? '' : url.slice(question + 1)),
    headers,
    body,
    signal,
  };
}

// A stream of its own: whoever ends it before the client has sent all would else end the connection, and the answer with it.
function bodyOf(request: IncomingMessage): Readable {
  const body = new Readable({ read: () => void request.resume() });
  const take = (chunk: Buffer) => void (body.push(chunk) || request.pause());
  request.on('data', take).pause();
  request.on('end', () => body.push(null)).on('error', (error) => body.destroy(error));
  body.on('close', () => request.off('data', take)).on('error', () => undefined);
  return body;
}

// A client that is still sending must be able to finish: closing under it would cost it the answer.
async function drain(request: IncomingMessage): Promise<void> {
  if (request.readableEnded || request.destroyed) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, DRAIN_MS);
  request.on('end', resolve).on('close', resolve).on('error', resolve);
  request.resume();
  await promise;
  clearTimeout(timer);
}

async function writeAnswer(answer: ApiResponse, response: ServerResponse, rest: () => Promise<void>): Promise<void> {
  switch (answer.kind) {
    case 'whole': {
      const body = Buffer.from(answer.body);
      const bare = answer.status === 204 || answer.status === 304;
      response.writeHead(answer.status, bare ? answer.headers : { ...answer.headers, 'Content-Length': body.length });
      if (bare || response.req.method === 'HEAD') response.flushHeaders();
      else response.write(body);
      await rest();
      response.end();
      return;
    }
    case 'stream':
      response.writeHead(answer.status, answer.headers);
      response.flushHeaders();
      try {
        await pipeline(Readable.from(answer.chunks, { objectMode: false, highWaterMark: 64 << 10 }), response, {
          end: false,
        });
        await rest();
        response.end();
      } catch {
        // The head is gone: a cut connection is the only way left to say that it failed.
        response.destroy();
      }
      return;
    case 'hijack':
      answer.session.close();
      throw new TscError('daemon/bug', 'a connection was asked for on a call that has none to give');
    default:
      answer satisfies never;
  }
}
