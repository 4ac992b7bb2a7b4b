import { type Digest, isDigest } from './digest.ts';
import { TscError } from './errors.ts';

/** A parsed image reference in its full form. */
export interface ImageRef {
  /** Registry host with optional port; `docker.io` when the text names none. */
  readonly registry: string;
  /** Path inside the registry, with `library/` added for official images of docker.io. */
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const HOST =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const MAX_LENGTH = 255;

/**
 * Parses `[host[:port]/]path[:tag][@digest]` by the distribution reference grammar.
 * A reference with neither tag nor digest keeps both absent; see {@link withDefaultTag}. Throws `image/invalid`.
 */
export function parseImageRef(text: string): ImageRef {
  const fail = (why: string) =>
    new TscError('image/invalid', `invalid image reference ${JSON.stringify(text.slice(0, 300))}: ${why}`);
  const [beforeDigest, digestText, ...more] = text.split('@');
  if (beforeDigest === undefined || beforeDigest === '' || more.length > 0) throw fail('expected name[:tag][@digest]');
  if (digestText !== undefined && !isDigest(digestText)) throw fail('the digest must be sha256: and 64 hex digits');

  const slash = beforeDigest.lastIndexOf('/');
  const colon = beforeDigest.indexOf(':', slash + 1);
  const name = colon < 0 ? beforeDigest : beforeDigest.slice(0, colon);
  const tag = colon < 0 ? undefined : beforeDigest.slice(colon + 1);
  if (tag !== undefined && !TAG.test(tag)) throw fail('a tag has 1 to 128 letters, digits, _ . -');

  const { registry, repository } = splitName(name);
  if (!HOST.test(registry)) throw fail('the registry host is malformed');
  if (repository.length > MAX_LENGTH) throw fail(`the name is longer than ${MAX_LENGTH} characters`);
  if (/[A-Z]/.test(repository)) throw fail('the name must be lower case');
  if (!repository.split('/').every((part) => COMPONENT.test(part))) throw fail('the name has an invalid component');
  return {
    registry,
    repository,
    ...(tag !== undefined && { tag }),
    ...(digestText !== undefined && { digest: digestText }),
  };
}

function splitName(name: string): { registry: string; repository: string } {
  const slash = name.indexOf('/');
  const first = slash < 0 ? '' : name.slice(0, slash);
  const isHost = first.includes('.') || first.includes(':') || first === 'localhost' || /[A-Z]/.test(first);
  const registry = isHost ? (first === 'index.docker.io' ? 'docker.io' : first) : 'docker.io';
  const path = isHost ? name.slice(slash + 1) : name;
  const official = registry === 'docker.io' && path !== '' && !path.includes('/');
  return { registry, repository: official ? `library/${path}` : path };
}

/** The reference with `latest` as tag when it has neither tag nor digest. */
export function withDefaultTag(ref: ImageRef): ImageRef {
  return ref.tag === undefined && ref.digest === undefined ? { ...ref, tag: 'latest' } : ref;
}

/** Full text: `docker.io/library/redis:7`. */
export function formatImageRef(ref: ImageRef): string {
  return `${ref.registry}/${ref.repository}${ref.tag === undefined ? '' : `:${ref.tag}`}${ref.digest === undefined ? '' : `@${ref.digest}`}`;
}

/** Short text as users write it: `redis:7`. */
export function familiarImageRef(ref: ImageRef): string {
  const full = formatImageRef(ref);
  if (ref.registry !== 'docker.io') return full;
  return full.slice(ref.repository.startsWith('library/') ? 'docker.io/library/'.length : 'docker.io/'.length);
}
