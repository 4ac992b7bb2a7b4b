import { describe, expect, it } from 'vitest';
import { toCreateBody } from './create-body.ts';
import { demultiplex, readJsonLines } from './demultiplex.ts';
import { parseEndpoint, resolveEndpoint } from './endpoint.ts';
import { engineClientContract } from './engine-client.contract.ts';
import { createMemoryClient } from './memory-client.ts';

const memory = createMemoryClient();
memory.records.images.set('web', {
  id: 'sha256:1',
  tags: ['web'],
  digests: [],
  size: 0,
  created: '',
  os: 'linux',
  arch: 'amd64',
  exposedPorts: [],
  hasHealthcheck: false,
  workingDir: '',
});
engineClientContract('memory', { client: () => memory, image: 'web' });

describe('endpoints', () => {
  it('prefers the flag, then DOCKER_HOST, then our daemon', async () => {
    const environment = { DOCKER_HOST: 'unix:///d.sock', TSCOMPOSE_RUN_DIR: '/r' };
    expect((await resolveEndpoint('tcp://h:1', environment)).options).toMatchObject({ host: 'h', port: 1 });
    expect(await resolveEndpoint(undefined, environment)).toMatchObject({
      socketPath: '/d.sock',
      isLocalDefault: false,
    });
    expect(await resolveEndpoint(undefined, { TSCOMPOSE_RUN_DIR: '/r' })).toMatchObject({
      socketPath: '/r/tscompose.sock',
      isLocalDefault: true,
    });
  });

  it.each(['ssh://h', 'npipe:////x', 'tcp://', 'ftp://h'])('refuses %s', async (address) => {
    await expect(parseEndpoint(address)).rejects.toMatchObject({ code: expect.stringMatching(/^client\//) });
  });
});

describe('streams', () => {
  const frame = (stream: number, text: string) => {
    const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, Buffer.byteLength(text)]);
    return Buffer.concat([header, Buffer.from(text)]);
  };
  async function* inPieces(data: Buffer, size: number) {
    for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size);
  }

  it.each([1, 3, 7, 100])('puts frames together from pieces of %i bytes', async (size) => {
    const data = Buffer.concat([frame(1, 'out'), frame(2, 'err'), frame(1, '')]);
    const seen: string[] = [];
    for await (const chunk of demultiplex(inPieces(data, size), false)) seen.push(`${chunk.stream} ${chunk.data}`);
    expect(seen).toEqual(['stdout out', 'stderr err', 'stdout ']);
  });

  it('reads JSON lines cut anywhere', async () => {
    const seen: unknown[] = [];
    for await (const item of readJsonLines(inPieces(Buffer.from('{"a":"ü"}\r\n\n{"b":2}'), 2))) seen.push(item);
    expect(seen).toEqual([{ a: 'ü' }, { b: 2 }]);
  });
});

it('writes a create body as the API wants it', () => {
  const body = toCreateBody({
    name: 'x',
    image: 'web',
    environment: { A: '1', B: null },
    labels: {},
    exposed: ['9/tcp'],
    ports: [
      { containerPort: 80, protocol: 'tcp', hostPort: '8080' },
      { containerPort: 80, protocol: 'tcp', hostAddress: '::1', hostPort: '8081' },
    ],
    mounts: [
      { type: 'bind', source: '/a', target: '/b', createHostPath: true, readOnly: true },
      { type: 'volume', source: 'data', target: '/data', noCopy: true },
      { type: 'volume', target: '/anonymous' },
      { type: 'tmpfs', target: '/run', tmpfsSize: 1024 },
    ],
    endpoints: [{ network: 'n', aliases: ['web'] }],
  });
  expect(body).toMatchObject({
    Env: ['A=1', 'B'],
    ExposedPorts: { '9/tcp': {}, '80/tcp': {} },
    Volumes: { '/anonymous': {} },
    HostConfig: {
      Binds: ['/a:/b:ro', 'data:/data:rw,nocopy'],
      Mounts: [{ Type: 'tmpfs', Target: '/run', TmpfsOptions: { SizeBytes: 1024 } }],
      PortBindings: {
        '80/tcp': [
          { HostIp: '', HostPort: '8080' },
          { HostIp: '::1', HostPort: '8081' },
        ],
      },
    },
    NetworkingConfig: { EndpointsConfig: { n: { Aliases: ['web'] } } },
  });
});
