import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const REGISTRY = '/usr/bin/docker-registry';

/** Debian's docker-registry on a loopback port of its own, content in a temporary directory. */
export interface TestRegistry extends AsyncDisposable {
  /** `127.0.0.1:port` */
  readonly host: string;
}

export interface TestRegistryOptions {
  readonly login?: { readonly username: string; readonly password: string };
}

export async function startRegistry(options: TestRegistryOptions = {}): Promise<TestRegistry> {
  const directory = mkdtempSync(join(tmpdir(), 'tsc-registry-'));
  const host = `127.0.0.1:${await freePort()}`;
  const config = {
    version: 0.1,
    log: { level: 'error' },
    storage: { filesystem: { rootdirectory: join(directory, 'data') } },
    http: { addr: host },
    ...(options.login && { auth: { htpasswd: { realm: 'test', path: join(directory, 'htpasswd') } } }),
  };
  if (options.login) {
    const { username, password } = options.login;
    writeFileSync(join(directory, 'htpasswd'), execFileSync('htpasswd', ['-nbB', username, password]));
  }
  // JSON is YAML.
  writeFileSync(join(directory, 'config.yml'), JSON.stringify(config));
  const child = spawn(REGISTRY, ['serve', join(directory, 'config.yml')], { stdio: 'ignore' });
  await untilAnswers(host, child);
  return {
    host,
    [Symbol.asyncDispose]: async () => {
      const gone = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGKILL');
      await gone;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function untilAnswers(host: string, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + 15_000;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${REGISTRY} ended with ${child.exitCode}`);
    try {
      await fetch(`http://${host}/v2/`);
      return;
    } catch (error) {
      if (Date.now() > deadline) throw new Error('the registry does not answer', { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

export interface Content {
  readonly mediaType: string;
  readonly bytes: Buffer;
  readonly digest: string;
  readonly size: number;
}

/** Bytes with what a descriptor says about them. */
export function contentOf(mediaType: string, data: Buffer | string | object): Content {
  const bytes = Buffer.isBuffer(data) ? data : Buffer.from(typeof data === 'string' ? data : JSON.stringify(data));
  return { mediaType, bytes, digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`, size: bytes.length };
}

const descriptor = ({ mediaType, digest, size }: Content) => ({ mediaType, digest, size });

/** An image as a registry stores it. */
export interface RegistryImage {
  readonly manifest: Content;
  readonly config: Content;
  readonly layers: readonly Content[];
}

const OCI = 'application/vnd.oci.image';
const DOCKER = 'application/vnd.docker';

/** Makes an image of layer tars; `docker` gives the older media types. */
export function makeRegistryImage(
  layers: readonly Buffer[],
  options: { readonly docker?: boolean; readonly architecture?: string; readonly run?: object } = {},
): RegistryImage {
  const { docker = false, architecture = 'amd64', run = { Cmd: ['/bin/sh'] } } = options;
  const config = contentOf(docker ? `${DOCKER}.container.image.v1+json` : `${OCI}.config.v1+json`, {
    os: 'linux',
    architecture,
    created: '2026-01-01T00:00:00Z',
    config: run,
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => contentOf('', layer).digest) },
    history: layers.map(() => ({ created: '2026-01-01T00:00:00Z', created_by: 'test' })),
  });
  const stored = layers.map((layer) =>
    contentOf(docker ? `${DOCKER}.image.rootfs.diff.tar.gzip` : `${OCI}.layer.v1.tar+gzip`, gzipSync(layer)),
  );
  const mediaType = docker ? `${DOCKER}.distribution.manifest.v2+json` : `${OCI}.manifest.v1+json`;
  const manifest = contentOf(mediaType, {
    schemaVersion: 2,
    mediaType,
    config: descriptor(config),
    layers: stored.map(descriptor),
  });
  return { manifest, config, layers: stored };
}

/** Index over images, by platform text `linux/arm64/v8`. */
export function makeIndex(images: Readonly<Record<string, RegistryImage>>, docker = false): Content {
  const mediaType = docker ? `${DOCKER}.distribution.manifest.list.v2+json` : `${OCI}.index.v1+json`;
  return contentOf(mediaType, {
    schemaVersion: 2,
    mediaType,
    manifests: Object.entries(images).map(([platform, image]) => {
      const [os, architecture, variant] = platform.split('/');
      return { ...descriptor(image.manifest), platform: { os, architecture, ...(variant && { variant }) } };
    }),
  });
}

/** A small uploader: blobs of images, their manifests, and what a tag shall name. */
export async function push(
  host: string,
  repository: string,
  what: { readonly images: readonly RegistryImage[]; readonly tag: string; readonly top: Content },
  authorization?: string,
): Promise<void> {
  const base = `http://${host}/v2/${repository}`;
  const headers: Record<string, string> = authorization ? { authorization } : {};
  const expectStatus = (response: Response, status: number) => {
    if (response.status !== status) throw new Error(`${response.url} answered ${response.status}`);
  };
  for (const image of what.images) {
    for (const { digest, bytes } of [image.config, ...image.layers]) {
      const start = await fetch(`${base}/blobs/uploads/`, { method: 'POST', headers });
      expectStatus(start, 202);
      const place = new URL(start.headers.get('location') ?? '', base);
      place.searchParams.set('digest', digest);
      const type = { 'content-type': 'application/octet-stream' };
      expectStatus(
        await fetch(place, { method: 'PUT', headers: { ...headers, ...type }, body: new Uint8Array(bytes) }),
        201,
      );
    }
    await putManifest(image.manifest, image.manifest.digest);
  }
  await putManifest(what.top, what.tag);

  async function putManifest(content: Content, reference: string): Promise<void> {
    const type = { 'content-type': content.mediaType };
    const body = new Uint8Array(content.bytes);
    expectStatus(
      await fetch(`${base}/manifests/${reference}`, { method: 'PUT', headers: { ...headers, ...type }, body }),
      201,
    );
  }
}

/** One request a scripted server has seen. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
}

/** A server that answers by script, for what a healthy registry never does. */
export interface ScriptedServer extends AsyncDisposable {
  readonly host: string;
  readonly seen: SeenRequest[];
}

export async function startScriptedServer(
  answer: (request: IncomingMessage, response: ServerResponse, seen: readonly SeenRequest[]) => void,
): Promise<ScriptedServer> {
  const seen: SeenRequest[] = [];
  const server: Server = createServer((request, response) => {
    const { authorization, range } = request.headers;
    seen.push({ method: request.method ?? '', url: request.url ?? '', authorization, range });
    answer(request, response, seen);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    host: `127.0.0.1:${port}`,
    seen,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Answers that serve one image under any repository, to be used by scripts as the normal case. */
export function serveImage(image: RegistryImage, request: IncomingMessage, response: ServerResponse): void {
  const url = request.url ?? '';
  if (url === '/v2/') return void response.writeHead(200).end('{}');
  const wanted = url.includes('/manifests/')
    ? image.manifest
    : [image.config, ...image.layers].find((content) => url.endsWith(content.digest));
  if (!wanted) return void response.writeHead(404).end('{"errors":[{"code":"NAME_UNKNOWN","message":"unknown"}]}');
  response.writeHead(200, { 'content-type': wanted.mediaType, 'content-length': wanted.size }).end(wanted.bytes);
}
