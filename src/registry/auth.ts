import { buffer } from 'node:stream/consumers';
import { TscError } from '../core/index.ts';
import type { Clock } from '../host/index.ts';
import type { RegistryCredentials } from './registry.ts';
import type { HttpResponse, Transport } from './transport.ts';

export interface Challenge {
  /** Lower case: `bearer`, `basic`. */
  readonly scheme: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const PARAMETER = /^([a-z0-9!#$%&'*+.^_`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*,?\s*/i;

/** Parses a WWW-Authenticate header with one or several challenges. */
export function parseChallenges(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  let rest = header.trim();
  while (rest !== '') {
    const parameter = PARAMETER.exec(rest);
    const current = challenges.at(-1);
    if (parameter && current) {
      current.parameters.set(
        (parameter[1] ?? '').toLowerCase(),
        parameter[2] === undefined ? (parameter[3] ?? '') : parameter[2].replace(/\\(.)/g, '$1'),
      );
      rest = rest.slice(parameter[0].length);
      continue;
    }
    const scheme = /^([a-z0-9-]+)(?:\s+|,\s*|$)/i.exec(rest);
    if (!scheme) break;
    challenges.push({ scheme: (scheme[1] ?? '').toLowerCase(), parameters: new Map() });
    rest = rest.slice(scheme[0].length);
  }
  return challenges;
}

interface Token {
  readonly header: string;
  readonly expires: number;
}

const TOKEN_LIMIT = 1 << 20;

/** Answers challenges of registries; keeps tokens per host, repository and login until shortly before they expire. */
export class Authenticator {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #tokens = new Map<string, Token>();

  constructor(transport: Transport, clock: Clock) {
    this.#transport = transport;
    this.#clock = clock;
  }

  /** Authorization for a request, when one is known already. */
  known(key: string): string | undefined {
    const token = this.#tokens.get(key);
    return token && token.expires > this.#clock.monotonic() ? token.header : undefined;
  }

  /** Forgets what was refused, answers the challenge of a 401, and keeps the answer. */
  async answer(request: {
    readonly key: string;
    readonly response: HttpResponse;
    readonly scope: string;
    readonly credentials: RegistryCredentials | undefined;
    readonly signal: AbortSignal | undefined;
  }): Promise<string> {
    this.#tokens.delete(request.key);
    const challenges = parseChallenges(String(request.response.headers['www-authenticate'] ?? ''));
    const host = request.response.url.host;
    const bearer = challenges.find((item) => item.scheme === 'bearer');
    const token = bearer
      ? await this.#fetchToken(bearer, request)
      : challenges.some((item) => item.scheme === 'basic')
        ? basicToken(request.credentials, host)
        : undefined;
    if (!token)
      throw new TscError('registry/denied', `${host} asks for an unknown kind of login`, {
        hint: 'basic and bearer authentication are supported',
      });
    this.#tokens.set(request.key, token);
    return token.header;
  }

  async #fetchToken(
    challenge: Challenge,
    request: {
      readonly response: HttpResponse;
      readonly scope: string;
      readonly credentials: RegistryCredentials | undefined;
      readonly signal: AbortSignal | undefined;
    },
  ): Promise<Token> {
    const registry = request.response.url;
    const realm = checkRealm(challenge.parameters.get('realm') ?? '', registry);
    const service = challenge.parameters.get('service');
    const scope = challenge.parameters.get('scope') ?? request.scope;
    const { credentials, signal } = request;
    const fields = new URLSearchParams({ ...(service !== undefined && { service }), scope });
    if (credentials?.kind !== 'identity') {
      for (const [key, value] of fields) realm.searchParams.append(key, value);
      return await this.#readToken(
        await this.#transport.send({
          url: realm,
          signal,
          ...(credentials && { authorization: basicHeader(credentials) }),
        }),
        registry,
      );
    }
    fields.set('grant_type', 'refresh_token');
    fields.set('refresh_token', credentials.token);
    fields.set('client_id', 'tscompose');
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const post = { url: realm, method: 'POST', body: fields.toString(), headers, signal } as const;
    return await this.#readToken(await this.#transport.send(post), registry);
  }

  async #readToken(response: HttpResponse, registry: URL): Promise<Token> {
    if (response.status !== 200) {
      response.body.resume();
      throw new TscError(
        response.status < 500 ? 'registry/denied' : 'registry/unavailable',
        `the login service of ${registry.host} answered ${response.status}`,
        { hint: 'log in with a user who may read this repository' },
      );
    }
    const fields: unknown = await readJson(response);
    const { token, access_token, expires_in } = (fields ?? {}) as Record<string, unknown>;
    const value = token ?? access_token;
    if (typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value))
      throw new TscError('registry/failed', `the login service of ${registry.host} sent no token`);
    const seconds = typeof expires_in === 'number' && expires_in > 0 ? Math.min(expires_in, 86_400) : 60;
    return { header: `Bearer ${value}`, expires: this.#clock.monotonic() + Math.max(seconds - 10, 5) * 1000 };
  }
}

async function readJson(response: HttpResponse): Promise<unknown> {
  let size = 0;
  response.body.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > TOKEN_LIMIT) response.body.destroy(new Error('the answer is too large'));
  });
  try {
    return JSON.parse((await buffer(response.body)).toString('utf8'));
  } catch (error) {
    throw new TscError('registry/failed', 'the login service sent no valid answer', { cause: error });
  }
}

/** Credentials go to a realm only over a connection as safe as the registry's own. */
function checkRealm(text: string, registry: URL): URL {
  const realm = URL.parse(text);
  if (!realm || (realm.protocol !== 'https:' && realm.protocol !== 'http:') || realm.username !== '')
    throw new TscError('registry/denied', `${registry.host} names no valid login service`);
  if (realm.protocol === 'http:' && registry.protocol === 'https:')
    throw new TscError('registry/denied', `${registry.host} sends logins to ${realm.host} without encryption`);
  return realm;
}

function basicHeader(credentials: Extract<RegistryCredentials, { kind: 'basic' }>): string {
  return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;
}

function basicToken(credentials: RegistryCredentials | undefined, host: string): Token {
  if (credentials?.kind !== 'basic')
    throw new TscError('registry/denied', `${host} wants a user name and password`, {
      hint: `log in first: docker login ${host}`,
    });
  return { header: basicHeader(credentials), expires: Number.POSITIVE_INFINITY };
}
