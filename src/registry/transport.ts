import { lookup } from 'node:dns';
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { Readable } from 'node:stream';
import { getCACertificates } from 'node:tls';
import { describeError, TscError } from '../core/index.ts';
import { type Clock, isErrno, readTextIfExists } from '../host/index.ts';

export interface TransportOptions {
  /** Hosts (`name:port`) that may speak http or show any certificate. Loopback may always speak http. */
  readonly insecureHosts?: readonly string[];
  /** PEM file with certificates trusted besides the built-in ones. */
  readonly caFile?: string;
  readonly clock: Clock;
  /** Tries per request; 5 unless told. */
  readonly attempts?: number;
}

export interface HttpRequest {
  readonly url: URL;
  readonly method?: 'GET' | 'HEAD' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  /** Never follows a redirect to another origin. */
  readonly authorization?: string;
  readonly body?: string;
  readonly signal?: AbortSignal | undefined;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Readable;
  readonly url: URL;
}

/** HTTP with our rules: retries, safe redirects, no request to places a registry must not send us to. */
export interface Transport {
  send(request: HttpRequest): Promise<HttpResponse>;
  /** Base address of a registry host: https, or http where that is allowed and https does not answer. */
  baseUrl(host: string, signal?: AbortSignal): Promise<URL>;
  close(): void;
}

const REDIRECTS = 10;
const IDLE_MS = 60_000;
const RETRY_STATUS = new Set([408, 429, 500, 502, 503, 504]);
/** What passes by itself; a refused connection or an unknown name is told at once. */
const RETRY_ERRNO = ['ECONNRESET', 'ETIMEDOUT', 'EPIPE'];
const WAIT_LIMIT_MS = 60_000;

/** Whether the host name, port stripped, means this machine. */
export function isLoopbackHost(host: string): boolean {
  const name = hostName(host);
  return name === 'localhost' || name.endsWith('.localhost') || /^127(\.\d{1,3}){3}$/.test(name) || name === '::1';
}

function hostName(host: string): string {
  return /^\[([^\]]*)\]/.exec(host)?.[1] ?? host.replace(/:\d+$/, '');
}

const isLinkLocal = (address: string) => /^169\.254\./.test(address) || /^(::ffff:169\.254\.|fe[89ab])/i.test(address);
const isLoopbackAddress = (address: string) => /^(::ffff:)?127\./.test(address) || address === '::1';

export async function openTransport(options: TransportOptions): Promise<Transport> {
  const extra = options.caFile === undefined ? undefined : await readTextIfExists(options.caFile);
  if (options.caFile !== undefined && extra === undefined)
    throw new TscError('registry/not-found', `certificate file ${options.caFile} does not exist`);
  return new NodeTransport(options, extra);
}

class NodeTransport implements Transport {
  readonly #options: TransportOptions;
  readonly #insecure: ReadonlySet<string>;
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;
  readonly #httpsUnchecked: HttpsAgent;
  readonly #bases = new Map<string, Promise<URL>>();

  constructor(options: TransportOptions, extraCa: string | undefined) {
    this.#options = options;
    this.#insecure = new Set(options.insecureHosts ?? []);
    const shared = { keepAlive: true, proxyEnv: process.env };
    const ca = extraCa === undefined ? {} : { ca: [...getCACertificates('default'), extraCa] };
    this.#http = new HttpAgent(shared);
    this.#https = new HttpsAgent({ ...shared, ...ca });
    this.#httpsUnchecked = new HttpsAgent({ ...shared, rejectUnauthorized: false });
  }

  close(): void {
    for (const agent of [this.#http, this.#https, this.#httpsUnchecked]) agent.destroy();
  }

  #mayUseHttp(host: string): boolean {
    return this.#insecure.has(host) || isLoopbackHost(host);
  }

  baseUrl(host: string, signal?: AbortSignal): Promise<URL> {
    const known = this.#bases.get(host);
    if (known) return known;
    const found = this.#probe(host, signal);
    this.#bases.set(host, found);
    found.catch(() => this.#bases.delete(host));
    return found;
  }

  async #probe(host: string, signal: AbortSignal | undefined): Promise<URL> {
    const secure = new URL(`https://${host}`);
    if (!this.#mayUseHttp(host)) return secure;
    try {
      // Nothing secret is sent before it is known which protocol the host speaks.
      const answer = await this.#once({ url: new URL('/v2/', secure), signal }, new URL(secure));
      answer.body.resume();
      return secure;
    } catch (error) {
      if (signal?.aborted) throw error;
      // It does speak https, with a certificate that is not trusted: no reason to go on in the clear.
      if (isCertificateError(error)) return secure;
      return new URL(`http://${host}`);
    }
  }

  async send(request: HttpRequest): Promise<HttpResponse> {
    const attempts = this.#options.attempts ?? 5;
    for (let attempt = 1; ; attempt += 1) {
      const last = attempt >= attempts || request.method === 'POST';
      let wait = 500 * 2 ** (attempt - 1);
      try {
        const response = await this.#follow(request);
        if (!RETRY_STATUS.has(response.status) || last) return response;
        wait = retryAfter(response, this.#options.clock) ?? wait;
        response.body.resume();
      } catch (error) {
        if (request.signal?.aborted) throw new TscError('registry/cancelled', 'cancelled', { cause: error });
        if (error instanceof TscError) throw error;
        if (last || !isErrno(error, ...RETRY_ERRNO)) throw unreachableHost(request.url, error);
      }
      await this.#options.clock.sleep(Math.min(wait, WAIT_LIMIT_MS), request.signal);
    }
  }

  async #follow(first: HttpRequest): Promise<HttpResponse> {
    let request = first;
    for (let count = 0; count <= REDIRECTS; count += 1) {
      const response = await this.#once(request, first.url);
      const location = response.headers.location;
      if (![301, 302, 303, 307, 308].includes(response.status) || location === undefined) return response;
      response.body.resume();
      const url = this.#checkRedirect(location, request.url, first.url);
      const { authorization, ...rest } = request;
      request = {
        ...rest,
        url,
        ...(authorization !== undefined && url.origin === request.url.origin && { authorization }),
      };
    }
    throw new TscError('registry/failed', `${first.url.host} redirects more than ${REDIRECTS} times`);
  }

  #checkRedirect(location: string, from: URL, first: URL): URL {
    const url = URL.parse(location, from);
    const refuse = (why: string) =>
      new TscError('registry/denied', `${from.host} redirects to ${location.slice(0, 200)}: ${why}`);
    if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) throw refuse('not an http address');
    if (url.username !== '' || url.password !== '') throw refuse('the address carries credentials');
    if (url.protocol === 'http:' && (first.protocol === 'https:' || !this.#mayUseHttp(url.host)))
      throw refuse('plain http is not allowed');
    return url;
  }

  /** One exchange. `first` is what was asked for originally: only a loopback registry may lead to loopback. */
  #once(request: HttpRequest, first: URL): Promise<HttpResponse> {
    const { promise, resolve, reject } = Promise.withResolvers<HttpResponse>();
    const { url } = request;
    const secure = url.protocol === 'https:';
    const allowLoopback = isLoopbackHost(first.host);
    const literal = hostName(url.host);
    const problem = isIP(literal) === 0 ? undefined : addressProblem(literal, allowLoopback);
    if (problem !== undefined) throw new TscError('registry/denied', `${url.host} ${problem}`);
    const agent = !secure ? this.#http : this.#insecure.has(url.host) ? this.#httpsUnchecked : this.#https;
    const outgoing = (secure ? httpsRequest : httpRequest)(url, {
      agent,
      method: request.method ?? 'GET',
      lookup: guardedLookup(allowLoopback),
      headers: {
        'user-agent': 'tscompose',
        'accept-encoding': 'identity',
        ...request.headers,
        ...(request.authorization !== undefined && { authorization: request.authorization }),
      },
      ...(request.signal && { signal: request.signal }),
    });
    outgoing.setTimeout(IDLE_MS, () =>
      outgoing.destroy(Object.assign(new Error(`no data for ${IDLE_MS / 1000} seconds`), { code: 'ETIMEDOUT' })),
    );
    outgoing.on('error', reject);
    outgoing.on('response', (body) => resolve({ status: body.statusCode ?? 0, headers: body.headers, body, url }));
    outgoing.end(request.body);
    return promise;
  }
}

function isCertificateError(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /CERT|ISSUER|LEAF_SIGNATURE|CRL/.test(code);
}

function addressProblem(address: string, allowLoopback: boolean): string | undefined {
  if (isLinkLocal(address)) return 'is a link-local address';
  return isLoopbackAddress(address) && !allowLoopback ? 'is an address of this machine' : undefined;
}

/** Looks at what a name resolves to, so that a name cannot lead where its address would be refused. */
function guardedLookup(allowLoopback: boolean): LookupFunction {
  return (name, options, callback) => {
    lookup(name, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, '', 0);
      const allowed = addresses.filter((item) => addressProblem(item.address, allowLoopback) === undefined);
      const first = allowed[0];
      if (!first)
        return callback(Object.assign(new Error(`${name} is a forbidden address`), { code: 'EACCES' }), '', 0);
      if (options.all) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
}

function retryAfter(response: HttpResponse, clock: Clock): number | undefined {
  const text = response.headers['retry-after'];
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - clock.now());
}

function unreachableHost(url: URL, error: unknown): TscError {
  return new TscError('registry/unavailable', `cannot reach ${url.host}: ${describeError(error)}`, {
    cause: error,
    hint: 'check the name, the network and HTTPS_PROXY; for an own certificate authority set TSCOMPOSE_EXTRA_CA_CERTS',
  });
}
