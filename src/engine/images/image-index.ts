import { join } from 'node:path';
import {
  type Digest,
  familiarImageRef,
  formatImageRef,
  type ImageRef,
  isDigest,
  parseImageRef,
  TscError,
} from '../../core/index.ts';
import { readTextIfExists, removeTemporaries, writeAtomically } from '../../host/index.ts';
import { createKeyedLock, type KeyedLock } from '../state/index.ts';

const INDEX_LIMIT = 16 << 20;
const REF_NAME = 'org.opencontainers.image.ref.name';
const IMAGE_ID = 'dev.tscompose.image.id';
const REPOSITORIES = 'dev.tscompose.image.repositories';
const PARENT = 'dev.tscompose.image.parent';

/** One image of the index. Names are full references with a tag, repository digests full references with a digest. */
export interface IndexedImage {
  /** Digest of the config. */
  readonly id: Digest;
  readonly manifest: { readonly mediaType: string; readonly digest: Digest; readonly size: number };
  readonly names: readonly string[];
  readonly repoDigests: readonly string[];
  readonly parent: Digest | undefined;
}

/** Which images there are and what they are called: `index.json` of an OCI layout, one descriptor per name. */
export class ImageIndex {
  readonly #path: string;
  readonly #lock: KeyedLock = createKeyedLock();
  #images: Map<Digest, IndexedImage>;

  private constructor(path: string, images: Map<Digest, IndexedImage>) {
    this.#path = path;
    this.#images = images;
  }

  static async open(directory: string): Promise<ImageIndex> {
    const path = join(directory, 'index.json');
    await removeTemporaries(directory);
    const text = await readTextIfExists(path, INDEX_LIMIT);
    await writeAtomically(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    return new ImageIndex(path, text === undefined ? new Map() : decodeIndex(text, path));
  }

  get all(): readonly IndexedImage[] {
    return [...this.#images.values()];
  }

  get(id: Digest): IndexedImage | undefined {
    return this.#images.get(id);
  }

  /** Image with a name or repository digest. */
  byRef(ref: ImageRef): IndexedImage | undefined {
    const named = formatImageRef({
      ...ref,
      ...(ref.tag === undefined && ref.digest === undefined && { tag: 'latest' }),
    });
    if (ref.digest === undefined) return this.all.find((image) => image.names.includes(named));
    // `name:tag@digest`: the digest decides.
    const { tag: _, ...rest } = ref;
    const pinned = formatImageRef(rest);
    return this.all.find((image) => image.repoDigests.includes(pinned));
  }

  /** Adds an image or what is new of it; a name moves away from whoever had it. */
  put(image: Omit<IndexedImage, 'names' | 'repoDigests'> & Partial<IndexedImage>): Promise<IndexedImage> {
    return this.#change((images) => {
      const known = images.get(image.id);
      const names = image.names ?? [];
      for (const other of images.values())
        if (other.id !== image.id && other.names.some((name) => names.includes(name)))
          images.set(other.id, { ...other, names: other.names.filter((name) => !names.includes(name)) });
      const merged: IndexedImage = {
        id: image.id,
        manifest: known?.manifest ?? image.manifest,
        names: union(known?.names ?? [], names),
        repoDigests: union(known?.repoDigests ?? [], image.repoDigests ?? []),
        parent: known?.parent ?? image.parent,
      };
      images.set(image.id, merged);
      return merged;
    });
  }

  /** Takes names and repository digests away; the image stays. */
  withdraw(id: Digest, names: readonly string[]): Promise<void> {
    return this.#change((images) => {
      const image = images.get(id);
      if (!image) return;
      const keep = (name: string) => !names.includes(name);
      images.set(id, { ...image, names: image.names.filter(keep), repoDigests: image.repoDigests.filter(keep) });
    });
  }

  remove(ids: readonly Digest[]): Promise<void> {
    return this.#change((images) => {
      for (const id of ids) images.delete(id);
    });
  }

  #change<T>(change: (images: Map<Digest, IndexedImage>) => T): Promise<T> {
    return this.#lock.run('index', async () => {
      const images = new Map(this.#images);
      const result = change(images);
      await writeAtomically(this.#path, encodeIndex([...images.values()]), { durable: true });
      this.#images = images;
      return result;
    });
  }
}

const union = (before: readonly string[], added: readonly string[]) => [...new Set([...before, ...added])];

function encodeIndex(images: readonly IndexedImage[]): string {
  const manifests = images.flatMap((image) => {
    const annotations = {
      [IMAGE_ID]: image.id,
      ...(image.repoDigests.length > 0 && { [REPOSITORIES]: image.repoDigests.join(' ') }),
      ...(image.parent && { [PARENT]: image.parent }),
    };
    return image.names.length === 0
      ? [{ ...image.manifest, annotations }]
      : image.names.map((name) => ({ ...image.manifest, annotations: { ...annotations, [REF_NAME]: name } }));
  });
  return JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests });
}

function decodeIndex(text: string, path: string): Map<Digest, IndexedImage> {
  const images = new Map<Digest, IndexedImage>();
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new TscError('image/corrupt', `${path} is not valid JSON`, {
      cause: error,
      hint: 'restore it from a backup',
    });
  }
  const { manifests } = (document ?? {}) as { manifests?: unknown };
  // A row that cannot be read loses one image, not all.
  for (const row of Array.isArray(manifests) ? manifests : []) {
    const image = decodeRow(row);
    if (!image) continue;
    const known = images.get(image.id);
    images.set(image.id, known ? { ...known, names: union(known.names, image.names) } : image);
  }
  return images;
}

function decodeRow(row: unknown): IndexedImage | undefined {
  const { mediaType, digest, size, annotations } = (row ?? {}) as Record<string, unknown>;
  const notes = (annotations ?? {}) as Record<string, unknown>;
  const id = notes[IMAGE_ID];
  if (typeof id !== 'string' || !isDigest(id) || typeof digest !== 'string' || !isDigest(digest)) return undefined;
  if (typeof mediaType !== 'string' || typeof size !== 'number') return undefined;
  const repositories = notes[REPOSITORIES];
  const parent = notes[PARENT];
  return {
    id,
    manifest: { mediaType, digest, size },
    names: [notes[REF_NAME]].filter(isName),
    repoDigests: typeof repositories === 'string' ? repositories.split(' ').filter(isName) : [],
    parent: typeof parent === 'string' && isDigest(parent) ? parent : undefined,
  };
}

function isName(text: unknown): text is string {
  if (typeof text !== 'string') return false;
  try {
    parseImageRef(text);
    return true;
  } catch {
    return false;
  }
}

/** Full reference as users write it. */
export function familiarName(full: string): string {
  return familiarImageRef(parseImageRef(full));
}
