import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { type Digest, formatImageRef, type ImageRef, TscError } from '../core/index.ts';
import { type Clock, systemClock } from '../host/index.ts';
import { Authenticator } from './auth.ts';
import { decodeManifest, digestOf, MANIFEST_LIMIT, MEDIA_TYPES } from './manifest.ts';
import { choosePlatform } from './platform.ts';
import type { BlobDescriptor, PullRequest, Registry, RegistryCredentials, ResolvedImage } from './registry.ts';
import { responseError } from './registry-errors.ts';
import { type HttpResponse, openTransport, type Transport } from './transport.ts';

export interface RegistryOptions {
  /** Hosts (`name:port`) that may speak http or show any certificate; loopback may always speak http. */
  readonly insecureHosts?: readonly string[];
  /** PEM file trusted besides the built-in certificates; TSCOMPOSE_EXTRA_CA_CERTS when absent. */
  readonly caFile?: string;
  readonly clock?: Clock;
}

const ACCEPT = [MEDIA_TYPES.ociIndex, MEDIA_TYPES.dockerList, MEDIA_TYPES.ociManifest, MEDIA_TYPES.dockerManifest].join(
  ', ',
);
const RESUMES = 5;
/** Images name docker.io; its registry answers elsewhere. */
const HOST_ALIASES: Readonly<Record<string, string>> = { 'docker.io': 'registry-1.docker.io' };

/** A client for any registry over HTTP. Connections are opened with the first request. */
export function openRegistry(options: RegistryOptions = {}): Registry {
  return new HttpRegistry(options);
}

interface Access {
  readonly ref: ImageRef;
  readonly credentials: RegistryCredentials | undefined;
  readonly signal: AbortSignal | undefined;
}

class HttpRegistry implements Registry {
  readonly #options: RegistryOptions;
  readonly #clock: Clock;
  #connection: Promise<{ transport: Transport; auth: Authenticator }> | undefined;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  async #connect() {
    const caFile = this.#options.caFile ?? process.env['TSCOMPOSE_EXTRA_CA_CERTS'];
    const transport = await openTransport({
      clock: this.#clock,
      ...(this.#options.insecureHosts && { insecureHosts: this.#options.insecureHosts }),
      ...(caFile !== undefined && caFile !== '' && { caFile }),
    });
    return { transport, auth: new Authenticator(transport, this.#clock) };
  }

  /** One request with the login that the registry asks for. */
  async #get(access: Access, path: string, headers: Readonly<Record<string, string>>): Promise<HttpResponse> {
    this.#connection ??= this.#connect();
    const { transport, auth } = await this.#connection;
    const { ref, credentials, signal } = access;
    const host = HOST_ALIASES[ref.registry] ?? ref.registry;
    const base = await transport.baseUrl(host, signal);
    const url = new URL(`/v2/${ref.repository}/${path}`, base);
    // Tokens of one login are never used for another.
    const login = credentials ? digestOf(JSON.stringify(credentials)) : 'anonymous';
    const key = `${host} ${ref.repository} ${login}`;
    const known = auth.known(key);
    const response = await transport.send({
      url,
      headers,
      signal,
      ...(known !== undefined && { authorization: known }),
    });
    if (response.status !== 401) return response;
    response.body.resume();
    const scope = `repository:${ref.repository}:pull`;
    const authorization = await auth.answer({ key, response, scope, credentials, signal });
    return await transport.send({ url, headers, signal, authorization });
  }

  async #readManifest(access: Access, reference: string) {
    const response = await this.#get(access, `manifests/${reference}`, { accept: ACCEPT });
    if (response.status !== 200) throw await responseError(response, formatImageRef(access.ref));
    const bytes = await readLimited(response.body, MANIFEST_LIMIT);
    const declared = response.headers['content-type']?.split(';')[0]?.trim();
    return { bytes, digest: digestOf(bytes), document: decodeManifest(bytes, declared) };
  }

  async resolve(ref: ImageRef, request: PullRequest): Promise<ResolvedImage> {
    const access: Access = { ref, credentials: request.credentials, signal: request.signal };
    const top = await this.#readManifest(access, ref.digest ?? ref.tag ?? 'latest');
    if (ref.digest !== undefined) checkDigest(top.digest, ref.digest, formatImageRef(ref));
    if (top.document.kind === 'manifest') return describe(top.digest, { ...top, document: top.document });
    const chosen = choosePlatform(top.document.manifests, request.platform);
    const image = await this.#readManifest(access, chosen.digest);
    checkDigest(image.digest, chosen.digest, formatImageRef(ref));
    if (image.document.kind !== 'manifest')
      throw new TscError('registry/unsupported', `${formatImageRef(ref)} is an index of indexes`);
    return describe(top.digest, { ...image, document: image.document });
  }

  async readManifest(ref: ImageRef, request: Omit<PullRequest, 'platform'>) {
    const access: Access = { ref, credentials: request.credentials, signal: request.signal };
    const { bytes, digest } = await this.#readManifest(access, ref.digest ?? ref.tag ?? 'latest');
    if (ref.digest !== undefined) checkDigest(digest, ref.digest, formatImageRef(ref));
    return { bytes, digest };
  }

  async openBlob(ref: ImageRef, blob: BlobDescriptor, request: Omit<PullRequest, 'platform'>): Promise<Readable> {
    const access: Access = { ref, credentials: request.credentials, signal: request.signal };
    const first = await this.#openPart(access, blob, 0);
    return Readable.from(this.#readBlob(access, blob, first), { objectMode: false, highWaterMark: 256 << 10 });
  }

  async #openPart(access: Access, blob: BlobDescriptor, offset: number): Promise<HttpResponse> {
    const response = await this.#get(
      access,
      `blobs/${blob.digest}`,
      offset > 0 ? { range: `bytes=${offset}-${blob.size - 1}` } : {},
    );
    if (response.status !== 200 && response.status !== 206)
      throw await responseError(response, `${formatImageRef(access.ref)} (content ${blob.digest})`);
    return response;
  }

  async *#readBlob(access: Access, blob: BlobDescriptor, first: HttpResponse): AsyncGenerator<Uint8Array> {
    const hash = createHash('sha256');
    let received = 0;
    let response = first;
    for (let resumes = 0; received < blob.size || resumes === 0; resumes += 1) {
      if (resumes > 0) {
        await this.#clock.sleep(200 * 2 ** resumes, access.signal);
        response = await this.#openPart(access, blob, received);
      }
      try {
        for await (const chunk of freshPart(response, received)) {
          received += chunk.length;
          if (received > blob.size) throw mismatch(blob, `is longer than ${blob.size} bytes`);
          hash.update(chunk);
          yield chunk;
        }
      } catch (error) {
        if (error instanceof TscError || access.signal?.aborted || resumes >= RESUMES) throw error;
      }
      if (received < blob.size && resumes >= RESUMES)
        throw mismatch(blob, `ends after ${received} of ${blob.size} bytes`);
    }
    if (`sha256:${hash.digest('hex')}` !== blob.digest) throw mismatch(blob, 'has another digest');
  }
}

/** Body bytes beyond what was received; a server that knows no ranges starts over, and that part is passed over. */
async function* freshPart(response: HttpResponse, received: number): AsyncGenerator<Buffer> {
  let skip = response.status === 206 ? 0 : received;
  for await (const chunk of response.body as AsyncIterable<Buffer>) {
    const fresh = chunk.subarray(Math.min(skip, chunk.length));
    skip -= chunk.length - fresh.length;
    if (fresh.length > 0) yield fresh;
  }
}

function mismatch(blob: BlobDescriptor, why: string): TscError {
  return new TscError('registry/corrupt', `content ${blob.digest} from the registry ${why}`, {
    hint: 'the registry or something on the way changed it; nothing was kept',
  });
}

function checkDigest(actual: Digest, expected: Digest, what: string): void {
  if (actual !== expected)
    throw new TscError('registry/corrupt', `the manifest of ${what} has the digest ${actual}, expected ${expected}`);
}

function describe(
  referenceDigest: Digest,
  image: {
    readonly bytes: Uint8Array;
    readonly digest: Digest;
    readonly document: Extract<ReturnType<typeof decodeManifest>, { kind: 'manifest' }>;
  },
): ResolvedImage {
  const { document, digest, bytes } = image;
  return {
    referenceDigest,
    manifest: { mediaType: document.mediaType, digest, bytes },
    config: document.config,
    layers: document.layers,
  };
}

async function readLimited(body: Readable, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) throw new TscError('registry/exhausted', `the registry's answer is larger than ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
