import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { TscError } from '../core/index.ts';
import { type Handler, standardHeaders } from './handle.ts';
import { errorResponse } from './http-errors.ts';
import type { ApiResponse, Headers, HijackSession } from './http-message.ts';
import { parseRequestHead, type RequestHead } from './request-head.ts';

const MAX_BODY = 64 << 10;

export interface HijackContext {
  readonly handler: Handler;
  readonly version: string;
}

/**
 * Serves one attach or exec start call on a connection that nobody else reads. `first` are the bytes that arrived so
 * far and hold the whole head. No HTTP parser ever sees what follows: it is the stdin of a process.
 */
export async function serveHijack(socket: Socket, first: Buffer, context: HijackContext): Promise<void> {
  const gone = new AbortController();
  socket.on('close', () => gone.abort());
  socket.on('error', () => socket.destroy());
  let head: RequestHead;
  let rest: Buffer;
  let body: Buffer;
  try {
    head = parseRequestHead(first);
    ({ body, rest } = await readBody(socket, first.subarray(head.size), head));
  } catch (error) {
    await answer(socket, errorResponse(error), context.version);
    return;
  }
  const response = await context.handler({
    method: head.method,
    path: head.path,
    query: new URLSearchParams(head.query),
    headers: head.headers,
    body: Readable.from(body.length === 0 ? [] : [body]),
    signal: gone.signal,
  });
  if (response.kind !== 'hijack') {
    await answer(socket, response, context.version);
    return;
  }
  if (socket.destroyed) {
    response.session.close();
    return;
  }
  socket.write(connectionHead(head, response.contentType, context.version));
  await join(socket, rest, response.session);
}

function connectionHead(head: RequestHead, contentType: string, version: string): string {
  const upgrade = /\bupgrade\b/i.test(head.headers['connection'] ?? '') && head.headers['upgrade'] !== undefined;
  const status = upgrade ? 'HTTP/1.1 101 UPGRADED' : 'HTTP/1.1 200 OK';
  const headers = { ...standardHeaders(version), 'Content-Type': contentType };
  return formatHead(status, upgrade ? { ...headers, Connection: 'Upgrade', Upgrade: 'tcp' } : headers);
}

function formatHead(status: string, headers: Headers): string {
  const rows = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${status}\r\n${rows.join('')}\r\n`;
}

// A chunked body is left alone: clients that announce one on attach send stdin raw after the answer.
async function readBody(socket: Socket, first: Buffer, head: RequestHead): Promise<{ body: Buffer; rest: Buffer }> {
  if (head.contentLength > MAX_BODY) {
    throw new TscError('daemon/exhausted', `the body is larger than ${MAX_BODY} bytes`);
  }
  let bytes = first;
  while (bytes.length < head.contentLength) {
    const chunk = await nextChunk(socket);
    if (chunk === undefined) throw new TscError('daemon/invalid', 'the connection ended inside the body');
    bytes = Buffer.concat([bytes, chunk]);
  }
  return { body: bytes.subarray(0, head.contentLength), rest: bytes.subarray(head.contentLength) };
}

/** The next bytes of a paused socket; undefined at its end. */
export function nextChunk(socket: Socket): Promise<Buffer | undefined> {
  const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
  const take = () => {
    const chunk: Buffer | null = socket.read();
    if (chunk !== null) settle(chunk);
    else if (socket.readableEnded || socket.destroyed) settle(undefined);
  };
  const end = () => settle(undefined);
  const settle = (chunk: Buffer | undefined) => {
    socket.off('readable', take).off('end', end).off('close', end);
    resolve(chunk);
  };
  socket.on('readable', take).on('end', end).on('close', end);
  take();
  return promise;
}

/** Joins both directions; each may end before the other. */
async function join(socket: Socket, rest: Buffer, session: HijackSession): Promise<void> {
  const { input, output } = session;
  const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>();
  socket.on('close', () => onClosed());
  input.on('error', () => undefined);
  output.on('error', () => socket.destroy());
  if (rest.length > 0) input.write(rest);
  // The client may end its side early; the output goes on.
  socket.pipe(input, { end: session.endsInput });
  output.pipe(socket, { end: false });
  output.on('end', () => {
    // What the client still sends has nobody to read it, and must not keep the connection open.
    socket.unpipe(input);
    socket.resume();
    Promise.race([session.done, closed]).then(
      () => socket.end(() => socket.destroySoon()),
      () => socket.destroy(),
    );
  });
  await closed;
  session.close();
}

async function answer(socket: Socket, response: ApiResponse, version: string): Promise<void> {
  if (response.kind !== 'whole') {
    socket.destroy();
    return;
  }
  const body = Buffer.from(response.body);
  const headers = {
    ...standardHeaders(version),
    ...response.headers,
    'Content-Length': String(body.length),
    Connection: 'close',
  };
  socket.resume();
  socket.end(Buffer.concat([Buffer.from(formatHead(`HTTP/1.1 ${response.status} Answer`, headers)), body]));
}
