import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text as readAll } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { spawnProgram } from '../host/index.ts';
import type { Handler } from './handle.ts';
import { json, stream } from './http-message.ts';
import { type ApiServer, startServer } from './server.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** Echoes: ordinary calls as JSON, attach as a process like `cat` that says goodbye at the end of its stdin. */
const echo: Handler = async (request) => {
  if (request.path.endsWith('/attach')) {
    const input = new PassThrough();
    const output = new PassThrough();
    input.on('data', (chunk: Buffer) => output.write(chunk));
    input.on('end', () => output.end('bye'));
    const { promise, resolve } = Promise.withResolvers<void>();
    output.on('end', resolve);
    return {
      kind: 'hijack',
      contentType: 'application/vnd.docker.raw-stream',
      session: { input, output, endsInput: true, done: promise, close: () => output.end() },
    };
  }
  if (request.path === '/slow') {
    return stream(
      'text/plain',
      (async function* () {
        yield 'first';
        await new Promise<void>((resolve) => request.signal.addEventListener('abort', () => resolve()));
        aborted.resolve();
      })(),
    );
  }
  if (request.path === '/stopped') {
    for await (const _ of request.body) break;
    return json({ message: 'stopped' }, 404);
  }
  if (request.path === '/stopped-stream') {
    return stream(
      'text/plain',
      (async function* () {
        for await (const _ of request.body) break;
        yield 'stopped';
      })(),
    );
  }
  if (request.path === '/refused') return json({ message: 'refused' }, 400);
  const body = await readAll(request.body);
  return json({ method: request.method, path: request.path, query: request.query.toString(), size: body.length });
};

const aborted = Promise.withResolvers<void>();
let directory: string;
let path: string;
let server: ApiServer;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tsc-server-'));
  path = join(directory, 's');
  server = await startServer({ path }, { handler: echo, version: '0', logger: silent });
});

afterAll(async () => {
  await server.close(100);
  await rm(directory, { recursive: true });
});

/** Writes parts with a pause between them and reads to the end. */
async function talk(...parts: string[]): Promise<string> {
  const socket: Socket = connect({ path, allowHalfOpen: true });
  const answer = readAll(socket);
  for (const part of parts) {
    socket.write(part);
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
  socket.end();
  return answer;
}

const ATTACH = 'POST /v1.41/containers/web/attach?stream=1 HTTP/1.1\r\nHost: docker\r\n';
const UPGRADE = 'Connection: Upgrade\r\nUpgrade: tcp\r\n';

describe('given connections', () => {
  it('are upgraded, carry bytes both ways and end by halves', async () => {
    const answer = await talk(`${ATTACH}${UPGRADE}Content-Length: 0\r\n\r\n`, 'hello ', 'world ');
    expect(answer).toMatch(/^HTTP\/1.1 101 UPGRADED\r\n/);
    expect(answer).toMatch(/\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n/);
    expect(answer).toMatch(/\r\n\r\nhello world bye$/);
  });

  it('answer 200 to clients that do not upgrade', async () => {
    const answer = await talk(`${ATTACH}Content-Length: 2\r\n\r\n{`, '}stdin ');
    expect(answer).toMatch(/^HTTP\/1.1 200 OK\r\n/);
    expect(answer).toMatch(/Content-Type: application\/vnd.docker.raw-stream\r\n\r\nstdin bye$/);
  });

  it('take bytes that look like HTTP as stdin', async () => {
    const smuggled = 'GET /containers/json HTTP/1.1\r\nHost: x\r\n\r\n';
    expect(await talk(`${ATTACH}${UPGRADE}\r\n${smuggled}`)).toMatch(
      /\r\n\r\nGET \/containers\/json HTTP\/1.1\r\nHost: x\r\n\r\nbye$/,
    );
  });

  it('leave an announced chunked body raw, as clients send it', async () => {
    expect(await talk(`${ATTACH}${UPGRADE}Transfer-Encoding: chunked\r\n\r\n`, 'typed ')).toMatch(/\r\n\r\ntyped bye$/);
  });

  it('survive a head that comes byte by byte', async () => {
    const head = `${ATTACH}${UPGRADE}\r\n`;
    const socket = connect({ path, allowHalfOpen: true });
    const answer = readAll(socket);
    for (const byte of head) {
      socket.write(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    socket.end('x');
    expect(await answer).toMatch(/\r\n\r\nxbye$/);
  });

  it('are refused when malformed', async () => {
    expect(await talk(`${ATTACH}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`)).toMatch(/^HTTP\/1.1 400 /);
  });
});

describe('ordinary requests', () => {
  function ask(method: string, target: string, body?: string | Buffer): Promise<{ status: number; text: string }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
    const request = httpRequest({ socketPath: path, method, path: target }, (response) => {
      readAll(response).then((text) => resolve({ status: response.statusCode ?? 0, text }), reject);
    });
    request.on('error', reject);
    request.end(body);
    return promise;
  }

  it('are answered one after the other', async () => {
    for (let turn = 0; turn < 5; turn += 1) {
      const { status, text } = await ask('GET', `/x?turn=${turn}`);
      expect([status, JSON.parse(text)]).toEqual([200, { method: 'GET', path: '/x', query: `turn=${turn}`, size: 0 }]);
    }
  });

  it('carry large bodies', async () => {
    const { text } = await ask('POST', '/images/load', Buffer.alloc(3 << 20, 65));
    expect(JSON.parse(text).size).toBe(3 << 20);
  });

  it('that are answered before their body is read lose no answer', async () => {
    const { status, text } = await ask('POST', '/refused', Buffer.alloc(3 << 20, 65));
    expect([status, text]).toEqual([400, '{"message":"refused"}\n']);
  });

  it('with a head in parts are answered', async () => {
    expect(await talk('PO', 'ST /x HTTP/1.1\r\nHost: a\r\nContent-Le', 'ngth: 3\r\n\r\na', 'bc')).toMatch(/"size":3/);
  });

  it('that are malformed get 400 and the end', async () => {
    for (const text of [
      'NONSENSE\r\n\r\n',
      'GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    ]) {
      expect(await talk(text)).toMatch(/^HTTP\/1.1 400 /);
    }
  });

  it.each(['/stopped', '/stopped-stream'])(
    'that are answered before all was sent get the answer (%s)',
    async (place) => {
      const part = `200\r\n${'x'.repeat(512)}\r\n`;
      const head = `PUT ${place} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`;
      expect(await talk(head, part, part, part, '0\r\n\r\n')).toContain('stopped');
    },
  );

  it('have one per connection, so nothing can be appended', async () => {
    const answer = await talk('GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(answer).toMatch(/"path":"\/a"/);
    expect(answer).not.toMatch(/"path":"\/b"/);
  });

  it('get no body for HEAD', async () => {
    expect(await ask('HEAD', '/_ping')).toEqual({ status: 200, text: '' });
  });

  it('stream their head at once and notice that the client left', async () => {
    const socket = connect(path);
    socket.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n');
    const { promise, resolve } = Promise.withResolvers<void>();
    let seen = '';
    socket.on('data', (chunk: Buffer) => {
      seen += chunk.toString();
      if (seen.includes('first')) resolve();
    });
    await promise;
    socket.destroy();
    await aborted.promise;
  });
});

it('a TCP listener is refused', async () => {
  const tcp = createServer();
  await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve));
  const handle: unknown = Reflect.get(tcp, '_handle');
  const fd = Reflect.get(handle as object, 'fd') as number;
  const script = `import { startServer } from ${JSON.stringify(join(import.meta.dirname, 'server.ts'))};
    await startServer({ fd: 3 }, {}).catch((error) => console.log(error.code));`;
  const child = spawnProgram(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit', fd],
  });
  expect(await readAll(child.stdout ?? new PassThrough().end())).toBe('daemon/denied\n');
  tcp.close();
});
