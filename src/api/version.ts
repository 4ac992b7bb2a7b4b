import { TscError } from '../core/index.ts';

/** Newest version of the Engine API that the daemon speaks, and the one that answers without a prefix use. */
export const NEWEST_API_VERSION = '1.51';
/** Oldest version that is still answered. */
export const MIN_API_VERSION = '1.24';

/** Order of two `major.minor` versions: negative, zero or positive. Throws `api/invalid` when one is malformed. */
export function compareApiVersions(a: string, b: string): number {
  const [majorA, minorA] = parseApiVersion(a);
  const [majorB, minorB] = parseApiVersion(b);
  return majorA - majorB || minorA - minorB;
}

function parseApiVersion(text: string): readonly [number, number] {
  const match = /^(\d{1,4})\.(\d{1,4})$/.exec(text);
  if (!match) throw new TscError('api/invalid', `invalid API version ${JSON.stringify(text.slice(0, 20))}`);
  return [Number(match[1]), Number(match[2])];
}

/** A request path split into its version and the rest. */
export interface VersionedPath {
  readonly version: string;
  readonly path: string;
}

/**
 * Splits `/v1.43/containers/json`; a path without prefix gets the newest version. Throws `api/invalid` for a version
 * outside of what is spoken.
 */
export function splitApiVersion(path: string): VersionedPath {
  const match = /^\/v(\d{1,4}\.\d{1,4})(\/.*)$/.exec(path);
  const version = match?.[1];
  const rest = match?.[2];
  if (version === undefined || rest === undefined) return { version: NEWEST_API_VERSION, path };
  if (compareApiVersions(version, MIN_API_VERSION) < 0) {
    throw new TscError('api/invalid', `client version ${version} is too old; the oldest spoken is ${MIN_API_VERSION}`, {
      hint: 'upgrade the client',
    });
  }
  if (compareApiVersions(version, NEWEST_API_VERSION) > 0) {
    throw new TscError(
      'api/invalid',
      `client version ${version} is too new; the newest spoken is ${NEWEST_API_VERSION}`,
      {
        hint: `set DOCKER_API_VERSION=${NEWEST_API_VERSION}`,
      },
    );
  }
  return { version, path: rest };
}
