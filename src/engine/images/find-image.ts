import { type Digest, isDigest, parseImageRef, TscError } from '../../core/index.ts';
import type { ImageIndex, IndexedImage } from './image-index.ts';

/** How a text named an image: removal treats ids and names differently. */
export interface FoundImage {
  readonly image: IndexedImage;
  /** Full reference when the text was a name or repository digest, undefined for ids. */
  readonly name: string | undefined;
}

/** Finds by full id, then by name, then by id prefix. Throws `image/conflict` for an ambiguous prefix. */
export function findImage(index: ImageIndex, text: string): FoundImage | undefined {
  const full = text.startsWith('sha256:') ? text : `sha256:${text}`;
  const byId = isDigest(full) ? index.get(full as Digest) : undefined;
  if (byId) return { image: byId, name: undefined };
  const byName = findByName(index, text);
  if (byName) return byName;
  const prefix = text.replace(/^sha256:/, '');
  if (!/^[0-9a-f]{1,64}$/.test(prefix)) return undefined;
  const matches = index.all.filter((image) => image.id.startsWith(`sha256:${prefix}`));
  if (matches.length > 1)
    throw new TscError('image/conflict', `several images have an id that begins with ${prefix}`, {
      hint: 'write more digits of the id',
    });
  const image = matches[0];
  return image && { image, name: undefined };
}

function findByName(index: ImageIndex, text: string): FoundImage | undefined {
  let ref: ReturnType<typeof parseImageRef>;
  try {
    ref = parseImageRef(text);
  } catch {
    return undefined;
  }
  const image = index.byRef(ref);
  if (!image) return undefined;
  const { tag, digest, registry, repository } = ref;
  const name = `${registry}/${repository}${digest === undefined ? `:${tag ?? 'latest'}` : `@${digest}`}`;
  return { image, name };
}

/** The error for a text that names no image here. */
export function noSuchImage(text: string): TscError {
  return new TscError('image/not-found', `no such image: ${text.slice(0, 300)}`, {
    hint: 'list what is there with: docker images; or pull it',
  });
}
