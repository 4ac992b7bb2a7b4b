import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeArchive } from '../../src/archive/index.ts';
import { parseImageRef } from '../../src/core/index.ts';
import type { ImageProgress } from '../../src/engine/images/index.ts';
import type { Clock } from '../../src/host/index.ts';
import { openRegistry } from '../../src/registry/index.ts';
import { busyboxRootfsBytes } from '../kit/images.ts';
import {
  contentOf,
  makeIndex,
  makeRegistryImage,
  push,
  type RegistryImage,
  serveImage,
  startRegistry,
  startScriptedServer,
  type TestRegistry,
} from '../kit/registry.ts';
import { openTestStores } from '../kit/stores.ts';

const tarWith = (name: string, content: string) => buffer(writeArchive((writer) => writer.add({ name }, content)));

/** Time that does not pass: waits are noted and over at once. */
function instantClock(): Clock & { readonly waits: number[] } {
  const waits: number[] = [];
  return {
    waits,
    now: () => Date.now(),
    monotonic: () => performance.now(),
    sleep: async (ms) => void waits.push(ms),
  };
}

const nothingKept = (directory: string) => {
  expect(readdirSync(join(directory, 'images/blobs/sha256')).length).toBeLessThanOrEqual(1);
  expect(readdirSync(join(directory, 'layers'))).toEqual(['staging']);
};

describe("Debian's docker-registry", () => {
  let registry: TestRegistry;
  let image: RegistryImage;
  beforeAll(async () => {
    registry = await startRegistry();
    image = makeRegistryImage([await busyboxRootfsBytes(), await tarWith('etc/marker', 'amd64')]);
    const arm = makeRegistryImage([await tarWith('etc/marker', 'arm64')], { architecture: 'arm64' });
    const old = makeRegistryImage([await tarWith('etc/marker', 'docker')], { docker: true });
    await push(registry.host, 'team/app', { images: [image], tag: '1', top: image.manifest });
    const index = makeIndex({ 'linux/arm64/v8': arm, 'linux/amd64': image });
    await push(registry.host, 'team/app', { images: [image, arm], tag: 'multi', top: index });
    const list = makeIndex({ 'linux/amd64': old }, true);
    await push(registry.host, 'team/old', { images: [old], tag: 'latest', top: list });
  });
  afterAll(() => registry[Symbol.asyncDispose]());

  it('gives an image that is unpacked and named, with progress, and is there the second time', async () => {
    await using stores = await openTestStores();
    const progress: ImageProgress[] = [];
    const ref = parseImageRef(`${registry.host}/team/app:1`);
    const pulled = await stores.images.pull(ref, { onProgress: (item) => progress.push(item) });
    expect(pulled).toMatchObject({
      id: image.config.digest,
      digest: image.manifest.digest,
      tags: [`${registry.host}/team/app:1`],
    });
    expect(pulled.repoDigests).toEqual([`${registry.host}/team/app@${image.manifest.digest}`]);
    const [top, base] = await stores.images.lowerDirectories(pulled);
    expect(readFileSync(join(top!, 'etc/marker'), 'utf8')).toBe('amd64');
    expect(existsSync(join(base!, 'bin/busybox'))).toBe(true);
    const words = progress.map((item) => item.status);
    for (const word of ['Pulling from team/app', 'Pulling fs layer', 'Download complete', 'Pull complete'])
      expect(words).toContain(word);
    const again: string[] = [];
    await stores.images.pull(ref, { onProgress: (item) => again.push(item.status) });
    expect(again.filter((word) => word === 'Already exists')).toHaveLength(2);
    expect(again).not.toContain('Downloading');
    expect((await stores.images.resolve(`${registry.host}/team/app@${image.manifest.digest}`)).id).toBe(pulled.id);
  });

  it('gives the platform that was asked for', async () => {
    await using stores = await openTestStores();
    const ref = parseImageRef(`${registry.host}/team/app:multi`);
    const pulled = await stores.images.pull(ref, { platform: 'linux/arm64' });
    expect(pulled.config.architecture).toBe('arm64');
    await expect(stores.images.pull(ref, { platform: 'linux/s390x' })).rejects.toMatchObject({
      code: 'registry/not-found',
      hint: expect.stringContaining('linux/amd64'),
    });
    expect((await stores.images.pull(parseImageRef(`${registry.host}/team/old`))).config.os).toBe('linux');
  });

  it('many pulls of one image at the same time fetch it once', async () => {
    await using stores = await openTestStores();
    const ref = parseImageRef(`${registry.host}/team/app:1`);
    const images = await Promise.all(Array.from({ length: 5 }, () => stores.images.pull(ref)));
    expect(new Set(images.map((item) => item.id)).size).toBe(1);
  });

  it('says what does not exist', async () => {
    await using stores = await openTestStores();
    await expect(stores.images.pull(parseImageRef(`${registry.host}/team/app:none`))).rejects.toMatchObject({
      code: 'registry/not-found',
    });
    await expect(stores.images.pull(parseImageRef('127.0.0.1:1/nobody/there'))).rejects.toMatchObject({
      code: 'registry/unavailable',
    });
  });
});

it('logs in with a name and a password', async () => {
  const login = { username: 'ann', password: 's3cret' };
  await using registry = await startRegistry({ login });
  const image = makeRegistryImage([await tarWith('f', 'f')]);
  const authorization = `Basic ${Buffer.from('ann:s3cret').toString('base64')}`;
  await push(registry.host, 'private', { images: [image], tag: 'latest', top: image.manifest }, authorization);
  await using stores = await openTestStores();
  const ref = parseImageRef(`${registry.host}/private`);
  await expect(stores.images.pull(ref)).rejects.toMatchObject({ code: 'registry/denied' });
  await expect(
    stores.images.pull(ref, { credentials: { kind: 'basic', ...login, password: 'wrong' } }),
  ).rejects.toMatchObject({ code: 'registry/denied' });
  const pulled = await stores.images.pull(ref, { credentials: { kind: 'basic', ...login } });
  expect(pulled.id).toBe(image.config.digest);
  // The login of one call is not used by the next.
  await expect(stores.images.pull(ref)).rejects.toMatchObject({ code: 'registry/denied' });
});

describe('registries that misbehave', () => {
  let image: RegistryImage;
  beforeAll(async () => {
    image = makeRegistryImage([await tarWith('f', 'x'.repeat(100_000))]);
  });

  const pullFrom = async (host: string, clock = instantClock(), extra: object = {}) => {
    await using stores = await openTestStores(openRegistry({ clock }));
    try {
      return await stores.images.pull(parseImageRef(`${host}/a/b:1`), extra);
    } catch (error) {
      nothingKept(stores.directory);
      expect(await stores.images.list()).toEqual([]);
      throw error;
    }
  };

  it('token login: credentials go to the named service only, the token to the registry', async () => {
    await using tokens = await startScriptedServer((_, response) => response.end('{"token":"t0ken","expires_in":300}'));
    await using server = await startScriptedServer((request, response) => {
      if (request.headers.authorization === 'Bearer t0ken') return serveImage(image, request, response);
      const challenge = `Bearer realm="http://${tokens.host}/token",service="reg",scope="repository:a/b:pull"`;
      response.writeHead(401, { 'www-authenticate': challenge }).end();
    });
    const credentials = { kind: 'basic', username: 'ann', password: 'pw' };
    expect((await pullFrom(server.host, instantClock(), { credentials })).id).toBe(image.config.digest);
    expect(tokens.seen).toHaveLength(1);
    expect(tokens.seen[0]).toMatchObject({
      url: '/token?service=reg&scope=repository%3Aa%2Fb%3Apull',
      authorization: `Basic ${Buffer.from('ann:pw').toString('base64')}`,
    });
    for (const request of server.seen) expect(request.authorization ?? 'Bearer t0ken').toBe('Bearer t0ken');
  });

  it('a token that runs out in the middle is renewed once per request', async () => {
    let issued = 0;
    await using tokens = await startScriptedServer((_, response) => {
      issued += 1;
      response.end(JSON.stringify({ token: `t${issued}`, expires_in: 300 }));
    });
    await using server = await startScriptedServer((request, response, seen) => {
      const valid = seen.length < 4 ? 't1' : 't2';
      if (request.headers.authorization === `Bearer ${valid}`) return serveImage(image, request, response);
      response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${tokens.host}/"` }).end();
    });
    await pullFrom(server.host);
    expect(issued).toBe(2);
  });

  it('a redirect to another host gets no credentials', async () => {
    await using storage = await startScriptedServer((request, response) => serveImage(image, request, response));
    await using server = await startScriptedServer((request, response) => {
      if (!request.headers.authorization)
        return void response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      if (request.url?.includes('/blobs/'))
        return void response.writeHead(307, { location: `http://${storage.host}${request.url}` }).end();
      serveImage(image, request, response);
    });
    const credentials = { kind: 'basic', username: 'ann', password: 'pw' };
    await pullFrom(server.host, instantClock(), { credentials });
    expect(storage.seen.length).toBeGreaterThan(0);
    for (const request of storage.seen) expect(request.authorization).toBeUndefined();
  });

  it.each([
    'http://169.254.169.254/latest/meta-data',
    'file:///etc/passwd',
    'unix:/run/x.sock',
    'http://example.org/x',
    'https://u:p@127.0.0.1/',
  ])('a redirect to %s is refused', async (location) => {
    await using server = await startScriptedServer((request, response) =>
      request.url === '/v2/' ? response.end() : response.writeHead(302, { location }).end(),
    );
    await expect(pullFrom(server.host)).rejects.toMatchObject({ code: 'registry/denied' });
  });

  it('redirects in a circle end', async () => {
    await using server = await startScriptedServer((request, response) =>
      response.writeHead(302, { location: request.url ?? '' }).end(),
    );
    await expect(pullFrom(server.host)).rejects.toMatchObject({ kind: expect.stringMatching(/failed|denied/) });
  });

  it('429 is waited for as asked, then it goes on', async () => {
    let refusals = 2;
    await using server = await startScriptedServer((request, response) => {
      if (request.url?.includes('/manifests/') && refusals-- > 0)
        return void response.writeHead(429, { 'retry-after': '7' }).end();
      serveImage(image, request, response);
    });
    const clock = instantClock();
    await pullFrom(server.host, clock);
    expect(clock.waits.slice(0, 2)).toEqual([7000, 7000]);
  });

  it('429 for ever ends after five tries', async () => {
    await using server = await startScriptedServer((request, response) =>
      request.url === '/v2/' ? response.end() : response.writeHead(429).end(),
    );
    await expect(pullFrom(server.host)).rejects.toMatchObject({ code: 'registry/exhausted' });
    expect(server.seen.filter((request) => request.url !== '/v2/')).toHaveLength(5);
  });

  it('a transfer that breaks off is resumed where it stopped', async () => {
    const [layer] = image.layers;
    await using server = await startScriptedServer((request, response) => {
      if (!request.url?.endsWith(layer!.digest)) return serveImage(image, request, response);
      const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
      const rest = layer!.bytes.subarray(from);
      response.writeHead(from > 0 ? 206 : 200, { 'content-length': rest.length });
      if (from > 0) return void response.end(rest);
      response.write(rest.subarray(0, 100), () => response.destroy());
    });
    expect((await pullFrom(server.host)).id).toBe(image.config.digest);
    expect(server.seen.some((request) => request.range === `bytes=100-${layer!.size - 1}`)).toBe(true);
  });

  it.each<[string, (bytes: Buffer) => Buffer]>([
    ['other bytes', (bytes) => Buffer.concat([bytes.subarray(0, -1), Buffer.from([bytes.at(-1)! ^ 1])])],
    ['more bytes', (bytes) => Buffer.concat([bytes, Buffer.alloc(10)])],
    ['fewer bytes', (bytes) => bytes.subarray(0, -1)],
  ])('a layer with %s is refused and not kept', async (_, change) => {
    const [layer] = image.layers;
    await using server = await startScriptedServer((request, response) =>
      request.url?.endsWith(layer!.digest)
        ? response.writeHead(200).end(change(layer!.bytes))
        : serveImage(image, request, response),
    );
    await expect(pullFrom(server.host)).rejects.toMatchObject({ code: 'registry/corrupt' });
  });

  it('a layer that matches its digest but not its diff id is refused', async () => {
    const other = makeRegistryImage([await tarWith('f', 'other')]);
    const manifest = contentOf(image.manifest.mediaType, {
      ...JSON.parse(image.manifest.bytes.toString()),
      layers: JSON.parse(other.manifest.bytes.toString()).layers,
    });
    const mixed: RegistryImage = { manifest, config: image.config, layers: other.layers };
    await using server = await startScriptedServer((request, response) => serveImage(mixed, request, response));
    await using stores = await openTestStores();
    await expect(stores.images.pull(parseImageRef(`${server.host}/a/b:1`))).rejects.toMatchObject({
      code: 'layer/corrupt',
    });
    expect(await stores.images.list()).toEqual([]);
  });

  it.each<[string, object | string, string]>([
    ['both index and image', { schemaVersion: 2, manifests: [], config: {}, layers: [] }, 'registry/corrupt'],
    ['schema 1', { schemaVersion: 1, fsLayers: [] }, 'registry/unsupported'],
    ['no JSON', 'hello', 'registry/corrupt'],
    [
      'bad digest',
      { schemaVersion: 2, config: { mediaType: 'x', digest: 'sha256:../../x', size: 1 }, layers: [] },
      'registry/corrupt',
    ],
    [
      'negative size',
      { schemaVersion: 2, config: { mediaType: 'x', digest: `sha256:${'a'.repeat(64)}`, size: -1 }, layers: [] },
      'registry/corrupt',
    ],
    ['too large', ' '.repeat(5 << 20), 'registry/exhausted'],
  ])('a manifest that is %s is refused', async (_, document, code) => {
    const manifest = contentOf('application/vnd.oci.image.manifest.v1+json', document);
    await using server = await startScriptedServer((request, response) =>
      serveImage({ ...image, manifest }, request, response),
    );
    await expect(pullFrom(server.host)).rejects.toMatchObject({ code });
  });

  it('a manifest that does not have the digest it was asked for is refused', async () => {
    await using server = await startScriptedServer((request, response) => serveImage(image, request, response));
    await using stores = await openTestStores();
    const ref = parseImageRef(`${server.host}/a/b@sha256:${'b'.repeat(64)}`);
    await expect(stores.images.pull(ref)).rejects.toMatchObject({ code: 'registry/corrupt' });
  });

  it.each(['/manifests/', '/blobs/'])('can be given up, at %s', async (place) => {
    const stop = new AbortController();
    await using server = await startScriptedServer((request, response) => {
      if (request.url?.includes(place)) stop.abort();
      else serveImage(image, request, response);
    });
    const pulling = pullFrom(server.host, instantClock(), { signal: stop.signal });
    await expect(pulling).rejects.toMatchObject({ code: 'registry/cancelled' });
  });
});

describe('https', () => {
  it('wants a trusted certificate, knows the extra file, and never falls back to http', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tsc-tls-'));
    const [key, certificate] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-keyout',
        key,
        '-out',
        certificate,
        '-days',
        '2',
        ...subject,
      ],
      { stdio: 'ignore' },
    );
    const image = makeRegistryImage([await tarWith('f', 'f')]);
    let requests = 0;
    const server = createServer({ key: readFileSync(key), cert: readFileSync(certificate) }, (request, response) => {
      requests += 1;
      serveImage(image, request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const pull = async (options: Parameters<typeof openRegistry>[0]) => {
      await using stores = await openTestStores(openRegistry({ clock: instantClock(), ...options }));
      return await stores.images.pull(parseImageRef(`${host}/a/b:1`));
    };
    try {
      await expect(pull({})).rejects.toMatchObject({
        code: 'registry/unavailable',
        message: expect.stringContaining('certificate'),
      });
      expect(requests).toBe(0);
      expect((await pull({ caFile: certificate })).id).toBe(image.config.digest);
      expect((await pull({ insecureHosts: [host] })).id).toBe(image.config.digest);
      await expect(pull({ caFile: join(directory, 'none') })).rejects.toMatchObject({ code: 'registry/not-found' });
    } finally {
      server.closeAllConnections();
      server.close();
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
