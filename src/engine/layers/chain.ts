import { createHash } from 'node:crypto';
import { type Digest, parseDigest } from '../../core/index.ts';

/**
 * Chain ids of a stack of layers given bottom first: the first is the layer's own diff id, every other names the layer
 * together with all below it (OCI image specification).
 */
export function chainIds(diffIds: readonly Digest[]): Digest[] {
  const chain: Digest[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    chain.push(below === undefined ? diffId : hashText(`${below} ${diffId}`));
  }
  return chain;
}

function hashText(text: string): Digest {
  return parseDigest(`sha256:${createHash('sha256').update(text).digest('hex')}`);
}
