import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { text as readAll } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { KINDS, TscError } from '../core/index.ts';
import { completeArchive } from './complete-archive.ts';
import { parseDetachKeys, watchDetachKeys } from './detach-keys.ts';
import { errorResponse, STATUS_OF_KIND, statusOf } from './http-errors.ts';
import type { ApiRequest } from './http-message.ts';
import { createRouter } from './match-route.ts';
import { formatDaemonOptions, parseDaemonOptions } from './options.ts';
import { progressResponse } from './progress-stream.ts';
import { flag, parseTime } from './query-values.ts';
import { readJsonBody } from './read-body.ts';
import { asksForConnection, parseRequestHead } from './request-head.ts';
import { ALL_ROUTES } from './routes/index.ts';
import { matchesReference } from './routes/match-reference.ts';
import { humanDuration } from './translate/human-duration.ts';
import { readContainerSpec } from './translate/read-container-spec.ts';
import { VERSION } from './version.ts';
import { WireObject } from './wire-object.ts';

const invalid = expect.objectContaining({ code: 'daemon/invalid' });
const unsupported = expect.objectContaining({ code: 'daemon/unsupported' });

describe('errors', () => {
  it('have a status for every kind', () => {
    expect(Object.keys(STATUS_OF_KIND).sort()).toEqual([...KINDS].sort());
  });

  it('carry the message, its causes and the hint', () => {
    const error = new TscError('image/not-found', 'no such image: x', { hint: 'pull it', cause: new Error('deep') });
    expect(errorResponse(error)).toMatchObject({
      status: 404,
      body: '{"message":"No such image: x: deep (pull it)"}\n',
    });
    expect(errorResponse(new TscError('container/not-modified', 'runs'))).toMatchObject({ status: 304, body: '' });
    expect(statusOf(new TscError('daemon/exhausted', 'too large'))).toBe(413);
    expect(statusOf('a string')).toBe(500);
  });
});

describe('routes', () => {
  const sample = (pattern: string) => pattern.replace(/\{\w+\.\.\.\}/g, 'a/b').replace(/\{\w+\}/g, 'x1');

  it('are all reachable: no row shadows a later one', () => {
    const router = createRouter(ALL_ROUTES);
    for (const route of ALL_ROUTES) {
      for (const method of route.methods)
        expect(router(method, sample(route.pattern))?.route.pattern).toBe(route.pattern);
    }
  });

  it('read names with slashes, ports and escapes', () => {
    const router = createRouter(ALL_ROUTES);
    expect(router('GET', '/images/localhost:5000/team/app:1/json')?.params).toEqual({
      name: 'localhost:5000/team/app:1',
    });
    expect(router('GET', '/images/team%2Fapp%3A1/json')?.params).toEqual({ name: 'team/app:1' });
    expect(router('GET', '/containers/%zz/json')?.params).toEqual({ id: '%zz' });
    expect(router('GET', '/containers/a/b/json')).toBeUndefined();
    expect(router('PATCH', '/containers/json')).toBeUndefined();
  });
});

describe('request heads', () => {
  const parse = (...lines: string[]) => parseRequestHead(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`));

  it('are parsed', () => {
    expect(parse('POST /v1.51/exec/ab/start?x=1 HTTP/1.1', 'Host: docker', 'Content-Length: 2')).toMatchObject({
      method: 'POST',
      path: '/v1.51/exec/ab/start',
      query: 'x=1',
      contentLength: 2,
      chunked: false,
    });
  });

  it.each([
    ['length and chunks', ['POST / HTTP/1.1', 'Content-Length: 1', 'Transfer-Encoding: chunked']],
    ['two lengths', ['POST / HTTP/1.1', 'Content-Length: 1', 'Content-Length: 2']],
    ['a negative length', ['POST / HTTP/1.1', 'Content-Length: -1']],
    ['another coding', ['POST / HTTP/1.1', 'Transfer-Encoding: gzip, chunked']],
    ['a folded line', ['POST / HTTP/1.1', 'A: b', ' c']],
    ['a space before the colon', ['POST / HTTP/1.1', 'Content-Length : 1']],
    ['a bare line feed', ['POST / HTTP/1.1', 'A: b\nContent-Length: 1']],
    ['an absolute form', ['POST http://x/ HTTP/1.1']],
    ['another version', ['POST / HTTP/2.0']],
  ])('with %s are refused', (_what, lines) => {
    expect(() => parse(...lines)).toThrow(invalid);
  });

  it('tell which calls are given the connection', () => {
    const asks = (line: string) => asksForConnection(Buffer.from(line));
    expect(asks('POST /v1.41/containers/web/attach?stream=1 HTTP/1.1\r\n')).toBe(true);
    expect(asks('POST /exec/abc/start HTTP/1.1\r\n')).toBe(true);
    expect(asks('GET /containers/web/attach HTTP/1.1\r\n')).toBe(false);
    expect(asks('POST /containers/web/start HTTP/1.1\r\n')).toBe(false);
  });
});

function request(
  body: string | Buffer,
  headers: Record<string, string> = { 'content-type': 'application/json' },
): ApiRequest {
  return {
    method: 'POST',
    path: '/',
    query: new URLSearchParams(),
    headers,
    body: Readable.from([Buffer.from(body)]),
    signal: new AbortController().signal,
  };
}

describe('JSON bodies', () => {
  it('may be absent and are read whatever the case of the names', async () => {
    expect((await readJsonBody(request('', {}))).entries()).toEqual([]);
    expect((await readJsonBody(request('{"attachSTDIN":true}'))).boolean('AttachStdin')).toBe(true);
  });

  it.each([
    ['no JSON', '{'],
    ['a list', '[]'],
    ['too deep', `${'{"a":'.repeat(65)}1${'}'.repeat(65)}`],
  ])('are refused: %s', async (_what, body) => {
    await expect(readJsonBody(request(body))).rejects.toThrow(invalid);
  });

  it('are limited in size and type', async () => {
    await expect(readJsonBody(request(Buffer.alloc((4 << 20) + 1, 32)))).rejects.toThrow(
      expect.objectContaining({ code: 'daemon/exhausted' }),
    );
    await expect(readJsonBody(request('{}', { 'content-type': 'text/plain' }))).rejects.toThrow(invalid);
  });

  it('name the field that has the wrong type', () => {
    const body = WireObject.from({ Env: [1], Labels: { a: 1 } }, 'body');
    expect(() => body.strings('Env')).toThrow('body.Env must be a list of strings');
    expect(() => body.map('Labels')).toThrow('body.Labels["a"] must be a string');
    expect(Object.getPrototypeOf(WireObject.from({ L: {} }, 'body').map('L'))).toBeNull();
  });
});

describe('container create', () => {
  const read = (body: object, name: string | null = null) => readContainerSpec(WireObject.from(body, 'body'), name);

  it('keeps only what was asked for', () => {
    expect(
      read({ Image: 'a', HostConfig: { Memory: 0, MemorySwappiness: -1, PidsLimit: null, Isolation: '' } }, '/web'),
    ).toEqual({
      name: 'web',
      config: { image: 'a' },
      host: { mounts: [], ulimits: [], devices: [], resources: {} },
      networks: {},
    });
  });

  it('reads ports, mounts and endpoints', () => {
    const spec = read({
      Image: 'a',
      Entrypoint: [''],
      Cmd: 'true',
      ExposedPorts: { '80/tcp': {}, '53': {} },
      MacAddress: '02:42:ac:11:00:02',
      HostConfig: {
        NetworkMode: 'net',
        PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '8080' }, { HostPort: '' }], 53: null },
        Mounts: [{ Type: 'volume', Source: 'data', Target: '/data', VolumeOptions: { NoCopy: true } }],
        RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 },
      },
      NetworkingConfig: { EndpointsConfig: { net: { Aliases: ['db'], IPAMConfig: { IPv4Address: '10.0.0.9' } } } },
    });
    expect(spec.config).toEqual({
      image: 'a',
      entrypoint: [''],
      command: ['true'],
      exposedPorts: ['53/tcp', '80/tcp'],
    });
    expect(spec.host).toMatchObject({
      networkMode: 'net',
      portBindings: [
        { containerPort: '80/tcp', hostAddress: '', hostPort: '8080' },
        { containerPort: '80/tcp', hostAddress: '', hostPort: '' },
      ],
      mounts: [{ type: 'volume', source: 'data', target: '/data', noCopy: true }],
      restartPolicy: { name: 'on-failure', maximumRetries: 3 },
    });
    expect(spec.networks).toEqual({ net: { macAddress: '02:42:ac:11:00:02', aliases: ['db'], ipv4: '10.0.0.9' } });
  });

  it.each([
    ['DeviceRequests', [{ Driver: 'nvidia' }]],
    ['StorageOpt', { size: '10G' }],
    ['BlkioDeviceReadBps', [{ Path: '/dev/sda', Rate: 1 }]],
    ['CpuRealtimeRuntime', 1000],
    ['KernelMemory', 1],
    ['VolumeDriver', 'nfs'],
    ['Isolation', 'hyperv'],
  ])('refuses HostConfig.%s by name', (name, value) => {
    const create = () => read({ Image: 'a', HostConfig: { [name]: value } });
    expect(create).toThrow(unsupported);
    expect(create).toThrow(`HostConfig.${name}`);
  });

  it.each([
    ['an unknown field', { Image: 'a', HostConfig: { Telepathy: true } }],
    ['no image', {}],
    ['a bad restart policy', { Image: 'a', HostConfig: { RestartPolicy: { Name: 'sometimes' } } }],
    [
      'retries without on-failure',
      { Image: 'a', HostConfig: { RestartPolicy: { Name: 'always', MaximumRetryCount: 1 } } },
    ],
  ])('refuses %s', (_what, body) => {
    expect(() => read(body)).toThrow(invalid);
  });

  it('refuses names that leave their place', () => {
    for (const name of ['../x', 'a/b', '-a', 'a b', 'a\n']) expect(() => read({ Image: 'a' }, name)).toThrow(invalid);
  });
});

describe('query values', () => {
  it('read flags as clients write them', () => {
    for (const on of ['1', 'true', 'True', 'yes', 'x']) expect(flag(new URLSearchParams({ a: on }), 'a')).toBe(true);
    for (const off of ['', '0', 'false', 'False', 'no', 'none'])
      expect(flag(new URLSearchParams({ a: off }), 'a')).toBe(false);
  });

  it('read times', () => {
    expect(parseTime('1700000000.000000001', 0, 'since')).toBe(1700000000000000001n);
    expect(parseTime('1970-01-01T00:00:01Z', 0, 'since')).toBe(1000000000n);
    expect(parseTime('10s', 60_000, 'since')).toBe(50_000_000_000n);
    expect(parseTime('', 0, 'since')).toBeUndefined();
    expect(() => parseTime('yesterday', 0, 'since')).toThrow(invalid);
  });
});

describe('detach keys', () => {
  async function feed(keys: string, chunks: readonly string[]) {
    let detached = false;
    const watch = watchDetachKeys(parseDetachKeys(keys), () => {
      detached = true;
    });
    Readable.from(chunks.map((chunk) => Buffer.from(chunk))).pipe(watch);
    return { passed: await readAll(watch), detached };
  }

  it('are found across chunks and not passed on', async () => {
    expect(await feed('', ['ab\x10', '\x11c'])).toEqual({ passed: 'ab', detached: true });
    expect(await feed('ctrl-],q', ['x\x1dqy'])).toEqual({ passed: 'x', detached: true });
  });

  it('let a broken sequence through', async () => {
    expect(await feed('', ['\x10\x10a', 'b\x10'])).toEqual({ passed: '\x10\x10ab\x10', detached: false });
  });

  it('are checked', () => {
    for (const keys of ['ctrl-', 'ctrl-1', 'ab', 'é', ',']) expect(() => parseDetachKeys(keys)).toThrow(invalid);
  });
});

describe('progress', () => {
  it('fails with a status before the first line and in the stream afterwards', async () => {
    const fail = () => Promise.reject(new TscError('image/not-found', 'no such image'));
    await expect(progressResponse(fail)).rejects.toThrow('no such image');
    const response = await progressResponse(async (report) => {
      report({ status: 'a' });
      await fail();
    });
    const chunks = response.kind === 'stream' ? response.chunks : [];
    expect(await readAll(Readable.from(chunks))).toBe(
      '{"status":"a"}\r\n{"errorDetail":{"message":"No such image"},"error":"No such image"}\r\n',
    );
  });
});

describe('archives', () => {
  const completed = async (bytes: Buffer) => (await readAll(completeArchive(Readable.from([bytes])))).length;
  it('get the end they lack', async () => {
    expect(await completed(Buffer.alloc(512 + 47, 65))).toBe(1024 + 1024);
    expect(await completed(Buffer.alloc(1024, 65))).toBe(1024 + 1024);
    expect(await completed(Buffer.concat([Buffer.from('BZh'), Buffer.alloc(10, 65)]))).toBe(13);
    expect(await completed(Buffer.alloc(0))).toBe(0);
  });
});

describe('image references', () => {
  const image = { tags: ['redis:7', 'localhost:5000/team/app:1'], repoDigests: [] };
  it.each(['redis', 'redis:7', 'redis:*', 'red*', 'docker.io/library/redis', 'localhost:5000/*/app', 'r?dis'])(
    'fit %s',
    (pattern) => {
      expect(matchesReference(image, [pattern])).toBe(true);
    },
  );
  it.each(['redis:8', 'app', 'localhost:5000/*', '*', 'r?is'].filter((item) => item !== '*'))(
    'do not fit %s',
    (pattern) => {
      expect(matchesReference(image, [pattern])).toBe(false);
    },
  );
});

describe('ages', () => {
  it.each([
    [500, 'Less than a second'],
    [1000, '1 second'],
    [59_999, '59 seconds'],
    [60_000, 'About a minute'],
    [59 * 60_000, '59 minutes'],
    [3600_000, 'About an hour'],
    [47 * 3600_000, '47 hours'],
    [3 * 86_400_000, '3 days'],
    [21 * 86_400_000, '3 weeks'],
    [90 * 86_400_000, '3 months'],
    [800 * 86_400_000, '2 years'],
  ])('%d ms are %s', (ms, words) => {
    expect(humanDuration(ms)).toBe(words);
  });
});

describe('options', () => {
  it('have defaults, variables and flags', () => {
    expect(parseDaemonOptions([], {}, '/opt/x/dist')).toMatchObject({
      dataDir: '/var/lib/tscompose',
      runDir: '/run/tscompose',
      instance: 'tsc',
      socket: '/run/tscompose/tscompose.sock',
      nativeDir: '/opt/x/dist/native',
      idleSeconds: 600,
    });
    const given = parseDaemonOptions(['--run-dir=/tmp/r', '--idle-exit=0'], { TSCOMPOSE_INSTANCE: 'a1' }, '/opt/x/src');
    expect(given).toMatchObject({ socket: '/tmp/r/tscompose.sock', instance: 'a1', nativeDir: '/opt/x/dist/native' });
    expect(parseDaemonOptions(formatDaemonOptions(given), {}, '/elsewhere')).toEqual(given);
  });

  it('have address pools, from flags or else from the variable', () => {
    const pools = ['base=10.10.0.0/16,size=24', 'base=fd00:5::/48,size=64'];
    const expected = [
      { base: '10.10.0.0/16', size: 24 },
      { base: 'fd00:5::/48', size: 64 },
    ];
    const given = parseDaemonOptions([], { TSCOMPOSE_ADDRESS_POOLS: pools.join('  ') }, '/x');
    expect(given.addressPools).toEqual(expected);
    expect(parseDaemonOptions(formatDaemonOptions(given), {}, '/x').addressPools).toEqual(expected);
    const flags = pools.map((pool) => `--default-address-pool=${pool}`);
    const both = parseDaemonOptions(flags, { TSCOMPOSE_ADDRESS_POOLS: 'base=10.9.0.0/16,size=24' }, '/x');
    expect(both.addressPools).toEqual(expected);
  });

  it.each([
    ['--instance=toolongname'],
    ['--instance=A'],
    ['--log-level=loud'],
    ['--idle-exit=-1'],
    ['--default-address-pool=10.0.0.0/16'],
    ['--default-address-pool=base=10.0.0.0/16,size=12'],
    ['--default-address-pool=base=10.0.0.300/16,size=24'],
    ['--unknown'],
    ['word'],
  ])('refuse %s', (flag) => {
    expect(() => parseDaemonOptions([flag], {}, '/x')).toThrow(invalid);
  });
});

it('the version is that of the package', () => {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  expect(VERSION).toBe(manifest.version);
});
