import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { text as readAll } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AttachFrameDecoder } from '../../src/api/index.ts';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { leftovers } from '../kit/ledger.ts';

let daemon: TestDaemon;

beforeAll(async () => {
  daemon = await startTestDaemon();
});

afterAll(async () => {
  expect(leftovers(await daemon.stop())).toEqual([]);
});

describe('the engine as a whole', () => {
  it('answers ping with the headers that clients choose by', async () => {
    for (const method of ['GET', 'HEAD']) {
      const answer = await daemon.call(method, '/_ping');
      expect(answer.status).toBe(200);
      expect(answer.headers).toMatchObject({ 'api-version': '1.51', 'builder-version': '1', ostype: 'linux' });
      expect(answer.text()).toBe(method === 'GET' ? 'OK' : '');
    }
  });

  it('says what it is', async () => {
    expect((await daemon.call('GET', '/v1.24/version')).json()).toMatchObject({
      ApiVersion: '1.51',
      MinAPIVersion: '1.24',
    });
    expect((await daemon.call('GET', '/info')).json()).toMatchObject({
      OSType: 'linux',
      Containers: 0,
      Swarm: { LocalNodeState: 'inactive' },
      DockerRootDir: `${daemon.directory}/data`,
    });
    expect((await daemon.call('GET', '/tscompose/info')).json()).toMatchObject({ instance: daemon.instance });
    expect((await daemon.call('GET', '/system/df')).json()).toMatchObject({ Containers: [], Volumes: [] });
  });

  it.each([
    ['GET', '/v1.23/info', 400, /too old/],
    ['GET', '/v1.99/info', 400, /too new/],
    ['GET', '/nowhere', 404, /page not found/],
    ['POST', '/session', 404, /BuildKit/],
    ['POST', '/grpc', 404, /BuildKit/],
    ['GET', '/swarm', 503, /not a swarm manager/],
    ['GET', '/services', 503, /not a swarm manager/],
    ['GET', '/secrets', 503, /not a swarm manager/],
    ['POST', '/swarm/init', 501, /swarm mode/],
    ['GET', '/images/search?term=a', 501, /searching/],
    ['GET', '/containers/none/json', 404, /none/],
    ['GET', '/containers/none/attach/ws', 501, /websocket/],
    ['GET', '/images/none/json', 404, /none/],
    ['GET', '/networks/nothing', 404, /nothing/],
    ['GET', '/volumes/none', 404, /none/],
    ['GET', '/exec/none/json', 404, /none/],
    ['GET', '/containers/json?filters={"colour":["red"]}', 400, /colour/],
    ['GET', '/containers/..%2f..%2fetc/json', 404, /\.\./],
    ['POST', '/volumes/create', 501, /nfs/, { Name: 'x', Driver: 'nfs' }],
  ])('%s %s is refused with %i', async (method, path, status, words, body?: object) => {
    const answer = await daemon.call(method, path.replaceAll('"', '%22'), body);
    expect([answer.status, answer.json<{ message: string }>().message]).toEqual([status, expect.stringMatching(words)]);
  });

  it('has no plugins', async () => {
    expect((await daemon.call('GET', '/plugins')).json()).toEqual([]);
  });

  it('keeps its socket to its owner', async () => {
    const { statSync } = await import('node:fs');
    expect(statSync(daemon.socket).mode & 0o007).toBe(0);
  });
});

describe('hostile requests', () => {
  async function talk(bytes: string): Promise<string> {
    const socket = connect({ path: daemon.socket, allowHalfOpen: true });
    socket.on('error', () => undefined);
    const answer = readAll(socket).catch(() => '');
    socket.end(bytes);
    return answer;
  }

  it.each([
    ['no HTTP', 'hello\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['a long head', `GET /info HTTP/1.1\r\nHost: x\r\nA: ${'a'.repeat(70_000)}\r\n\r\n`, /^HTTP\/1\.1 4\d\d /],
    [
      'length and chunks',
      'POST /volumes/create HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n',
      /^HTTP\/1\.1 400 /,
    ],
    [
      'length and chunks on attach',
      'POST /containers/a/attach HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n',
      /^HTTP\/1\.1 400 /,
    ],
    [
      'an unknown container to attach to',
      'POST /containers/a/attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n',
      /^HTTP\/1\.1 404 /,
    ],
  ])('%s is answered and cut', async (_what, bytes, expected) => {
    expect(await talk(bytes)).toMatch(expected);
  });

  it.each([
    ['too large', Buffer.alloc((4 << 20) + 10, 32), 413],
    ['too deep', Buffer.from(`${'{"a":'.repeat(70)}1${'}'.repeat(70)}`), 400],
    ['of the wrong type', Buffer.from('{"Name":1}'), 400],
  ])('a body %s is refused', async (_what, body, status) => {
    const answer = await new Promise<number>((done, failed) => {
      const headers = { 'Content-Type': 'application/json', 'Content-Length': body.length };
      httpRequest({ socketPath: daemon.socket, method: 'POST', path: '/volumes/create', headers }, (response) => {
        response.resume();
        done(response.statusCode ?? 0);
      })
        .on('error', failed)
        .end(body);
    });
    expect(answer).toBe(status);
  });

  it('leaves the daemon well', async () => {
    expect((await daemon.call('GET', '/_ping')).status).toBe(200);
  });
});

describe('networks and volumes', () => {
  it('are made, listed with filters, and removed', async () => {
    const labels = { Labels: { owner: 'test' } };
    const network = await daemon.call('POST', '/networks/create', { Name: 'n1', ...labels });
    expect(network.status).toBe(201);
    const listed = (await daemon.call('GET', '/networks?filters={%22label%22:{%22owner=test%22:true}}')).json<
      object[]
    >();
    expect(listed).toEqual([expect.objectContaining({ Name: 'n1', Driver: 'bridge', Scope: 'local' })]);
    expect((await daemon.call('POST', '/networks/create', { Name: 'n1' })).status).toBe(409);
    expect((await daemon.call('GET', '/networks/n1')).json()).toMatchObject({
      IPAM: { Config: [{ Gateway: expect.any(String) }] },
    });
    expect((await daemon.call('DELETE', '/networks/n1')).status).toBe(204);
    expect((await daemon.call('DELETE', '/networks/bridge')).status).toBe(403);
    // Programs read its interface and MTU there.
    expect((await daemon.call('GET', '/networks/bridge')).json()).toMatchObject({
      Options: {
        'com.docker.network.bridge.default_bridge': 'true',
        'com.docker.network.bridge.name': `${daemon.instance}-default0`,
        'com.docker.network.driver.mtu': '1500',
      },
    });
    expect((await daemon.call('GET', '/networks/none')).json()).toMatchObject({ IPAM: { Config: null } });
    for (const filter of ['{"type":["x"]}', '{"dangling":["x"]}', '{"nosuch":["x"]}'])
      expect((await daemon.call('GET', `/networks?filters=${encodeURIComponent(filter)}`)).status).toBe(400);

    const volume = await daemon.call('POST', '/volumes/create', { Name: 'v1', ...labels });
    expect([volume.status, volume.json()]).toEqual([
      201,
      expect.objectContaining({ Name: 'v1', Driver: 'local', Scope: 'local' }),
    ]);
    const found = (await daemon.call('GET', '/volumes?filters={%22name%22:[%22v1%22]}')).json<{ Volumes: object[] }>();
    expect(found.Volumes).toHaveLength(1);
    expect((await daemon.call('DELETE', '/volumes/v1')).status).toBe(204);
  });
});

describe('containers over the API', () => {
  beforeAll(() => daemon.importBusybox());

  it('refuse what is not offered, by name', async () => {
    const answer = await daemon.call('POST', '/containers/create', {
      Image: 'busybox',
      HostConfig: { StorageOpt: { size: '1G' } },
    });
    expect([answer.status, answer.text()]).toEqual([501, expect.stringContaining('HostConfig.StorageOpt')]);
  });

  it('answer wait before the end and carry an upgraded stream', async () => {
    const created = await daemon.call('POST', '/containers/create?name=c1', {
      Image: 'busybox',
      Cmd: ['sh', '-c', 'read line; echo "got $line"; echo oops >&2; exit 3'],
      OpenStdin: true,
      StdinOnce: true,
      AttachStdin: true,
    });
    expect(created.status).toBe(201);
    const socket = connect({ path: daemon.socket, allowHalfOpen: true });
    const output = readAll(socket);
    socket.write(
      'POST /v1.41/containers/c1/attach?stream=1&stdin=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n',
    );
    const waiting = daemon.call('POST', '/containers/c1/wait?condition=next-exit');
    expect((await daemon.call('POST', '/containers/c1/start')).status).toBe(204);
    expect((await daemon.call('POST', '/containers/c1/start')).status).toBe(304);
    socket.end('hello\n');
    const [head = '', ...rest] = (await output).split('\r\n\r\n');
    expect(head).toMatch(/^HTTP\/1.1 101 UPGRADED\r\n/);
    const frames = new AttachFrameDecoder().push(Buffer.from(rest.join('\r\n\r\n')));
    expect(frames.map(({ stream, data }) => [stream, data.toString()])).toEqual([
      [1, 'got hello\n'],
      [2, 'oops\n'],
    ]);
    expect((await waiting).json()).toEqual({ StatusCode: 3 });
    const inspected = (await daemon.call('GET', '/containers/c1/json')).json();
    expect(inspected).toMatchObject({ Name: '/c1', State: { Status: 'exited', ExitCode: 3, Running: false } });
    const logs = await daemon.call('GET', '/containers/c1/logs?stdout=1');
    expect(logs.text()).toBe('\x01\0\0\0\0\0\0\x0agot hello\n');
    expect((await daemon.call('DELETE', '/containers/c1')).status).toBe(204);
  });

  it('are seen in the events, kept ones included', async () => {
    const since = Math.floor(Date.now() / 1000) - 60;
    const until = Math.floor(Date.now() / 1000) + 1;
    const filters = encodeURIComponent(
      JSON.stringify({ type: ['container'], event: ['create', 'start', 'die', 'destroy'] }),
    );
    const answer = await daemon.call('GET', `/events?since=${since}&until=${until}&filters=${filters}`);
    const events = answer
      .text()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { Action: string; Actor: { Attributes: { name: string } } })
      .filter((event) => event.Actor.Attributes.name === 'c1');
    expect(events.map((event) => event.Action)).toEqual(['create', 'start', 'die', 'destroy']);
  });
});
