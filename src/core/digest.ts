import { TscError } from './errors.ts';

declare const digestBrand: unique symbol;
/** `sha256:` and 64 lower-case hex digits; made only by {@link parseDigest}. */
export type Digest = string & { readonly [digestBrand]: true };

const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Checks a content digest. Only sha256 is accepted: every registry offers it. Throws `core/invalid`. */
export function parseDigest(text: string): Digest {
  if (!DIGEST.test(text)) throw new TscError('core/invalid', `invalid digest ${JSON.stringify(text.slice(0, 100))}`);
  return text as Digest;
}

/** Whether the text is a well-formed sha256 digest. */
export function isDigest(text: string): text is Digest {
  return DIGEST.test(text);
}

/** The 64 hex digits behind the algorithm. */
export function digestHex(digest: Digest): string {
  return digest.slice('sha256:'.length);
}
