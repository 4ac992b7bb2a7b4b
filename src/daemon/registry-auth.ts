import { TscError } from '../core/index.ts';
import type { PullOptions } from '../engine/index.ts';
import { parseJson } from './read-body.ts';
import { WireObject } from './wire-object.ts';

type Credentials = NonNullable<PullOptions['credentials']>;

/** Credentials of an `X-Registry-Auth` header: base64url of JSON. Absent and empty ones are undefined. */
export function readRegistryAuth(header: string | undefined): Credentials | undefined {
  return header === undefined || header === '' ? undefined : readCredentials(decode(header, 'X-Registry-Auth'));
}

/** Credentials by registry host of an `X-Registry-Config` header. */
export function readRegistryConfig(header: string | undefined): (registry: string) => Credentials | undefined {
  if (header === undefined || header === '') return () => undefined;
  const hosts = new Map<string, Credentials>();
  for (const [name, value] of decode(header, 'X-Registry-Config').entries()) {
    const credentials = readCredentials(WireObject.from(value, 'X-Registry-Config'));
    if (credentials) hosts.set(hostOf(name), credentials);
  }
  return (registry) => hosts.get(registry);
}

// Clients key Docker Hub by the address of its old API.
function hostOf(name: string): string {
  const host = name.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
  return ['index.docker.io', 'registry-1.docker.io'].includes(host) ? 'docker.io' : host;
}

function decode(header: string, what: string): WireObject {
  if (header.length > 64 << 10) throw new TscError('daemon/invalid', `${what} is too long`);
  return WireObject.from(parseJson(Buffer.from(header, 'base64').toString('utf8'), what), what);
}

function readCredentials(auth: WireObject): Credentials | undefined {
  const token = auth.string('identitytoken') ?? '';
  if (token !== '') return { kind: 'identity', token };
  if ((auth.string('registrytoken') ?? '') !== '') {
    throw new TscError('daemon/unsupported', 'registry tokens are not supported', {
      hint: 'log in with name and password',
    });
  }
  const username = auth.string('username') ?? '';
  const password = auth.string('password') ?? '';
  if (username !== '') return { kind: 'basic', username, password };
  const pair = Buffer.from(auth.string('auth') ?? '', 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  return colon < 1 ? undefined : { kind: 'basic', username: pair.slice(0, colon), password: pair.slice(colon + 1) };
}
