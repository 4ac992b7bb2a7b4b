import { type Digest, TscError } from '../../core/index.ts';
import { type Clock, systemClock } from '../../host/index.ts';
import { decodeManifest, MANIFEST_LIMIT, MEDIA_TYPES } from '../../registry/index.ts';
import { chainIds, type EnsureOptions, type LayerContent, type LayerStore } from '../layers/index.ts';
import type { BlobStore } from './blob-store.ts';
import { CONFIG_LIMIT, decodeImageConfig, encodeImageConfig } from './config-codec.ts';
import type { Image, ImageConfig, ImageLayer } from './image.ts';
import { familiarName, type ImageIndex, type IndexedImage } from './image-index.ts';
import type { ImageStoreOptions, LayerDescriptor } from './image-store.ts';

interface Content {
  readonly config: ImageConfig;
  readonly layers: readonly ImageLayer[];
}

/** What all operations on images share: content, names, unpacked layers. */
export class ImageCatalog {
  readonly blobs: BlobStore;
  readonly index: ImageIndex;
  readonly layers: LayerStore;
  readonly options: ImageStoreOptions;
  readonly clock: Clock;
  /** Content of work under way, which no image names yet, with the number of holders. */
  readonly #leases = new Map<Digest, number>();
  readonly #pinned = new Set<Digest>();
  readonly #contents = new Map<Digest, Promise<Content>>();

  constructor(parts: { readonly blobs: BlobStore; readonly index: ImageIndex; readonly options: ImageStoreOptions }) {
    this.blobs = parts.blobs;
    this.index = parts.index;
    this.options = parts.options;
    this.layers = parts.options.layers;
    this.clock = parts.options.clock ?? systemClock;
  }

  /** Protects content from removal until `release`. */
  lease(digests: readonly Digest[]): void {
    for (const digest of digests) this.#leases.set(digest, (this.#leases.get(digest) ?? 0) + 1);
  }

  release(digests: readonly Digest[]): void {
    for (const digest of digests) {
      const holders = (this.#leases.get(digest) ?? 1) - 1;
      if (holders > 0) this.#leases.set(digest, holders);
      else this.#leases.delete(digest);
    }
  }

  /** Protects a new layer until an image refers to it. */
  pin(digests: readonly Digest[]): void {
    for (const digest of digests) this.#pinned.add(digest);
  }

  unpin(digests: readonly Digest[]): void {
    for (const digest of digests) this.#pinned.delete(digest);
  }

  /** Everything that is protected without an image. */
  get leased(): readonly Digest[] {
    return [...this.#leases.keys(), ...this.#pinned];
  }

  /** Config and layers of an image; damaged content throws `image/corrupt`. */
  content(image: Pick<IndexedImage, 'id' | 'manifest'>): Promise<Content> {
    const known = this.#contents.get(image.id);
    if (known) return known;
    const found = this.#readContent(image);
    this.#contents.set(image.id, found);
    found.catch(() => this.#contents.delete(image.id));
    return found;
  }

  forget(id: Digest): void {
    this.#contents.delete(id);
  }

  async #readContent({ id, manifest }: Pick<IndexedImage, 'id' | 'manifest'>): Promise<Content> {
    const document = decodeManifest(await this.blobs.read(manifest.digest, MANIFEST_LIMIT), manifest.mediaType);
    if (document.kind !== 'manifest' || document.config.digest !== id)
      throw new TscError('image/corrupt', `the manifest of image ${id} is of something else`);
    const config = decodeImageConfig(await this.blobs.read(id, CONFIG_LIMIT));
    return { config, layers: pairLayers(config, document.layers) };
  }

  /** The image as the rest of the engine sees it. */
  async view(indexed: IndexedImage): Promise<Image> {
    const { config, layers } = await this.content(indexed);
    const sizes = await Promise.all(
      layers.map(async (layer, index) => {
        const record = await this.layers.record(layer.diffId, config.diffIds.slice(0, index));
        return record?.bytes ?? layer.size;
      }),
    );
    return {
      id: indexed.id,
      digest: indexed.manifest.digest,
      config,
      tags: indexed.names.map(familiarName),
      repoDigests: indexed.repoDigests.map(familiarName),
      size: sizes.reduce((sum, size) => sum + size, 0),
      layers,
      chainId: chainIds(config.diffIds).at(-1),
      parent: indexed.parent,
    };
  }

  async unpack(layers: readonly ImageLayer[], options: EnsureOptions = {}): Promise<string[]> {
    const contents = layers.map(
      (layer): LayerContent => ({ diffId: layer.diffId, open: () => this.blobs.open(layer.digest) }),
    );
    return await this.layers.ensure(contents, options);
  }

  /** Stores config and manifest of layers that are stored, and indexes the image. */
  async record(
    config: ImageConfig,
    layers: readonly LayerDescriptor[],
    entry: { readonly names?: readonly string[]; readonly parent?: Digest | undefined },
  ): Promise<IndexedImage> {
    const add = (text: string) => this.blobs.add(toStream(text));
    const stored = await add(encodeImageConfig({ ...config, diffIds: layers.map((layer) => layer.diffId) }));
    const mediaType = MEDIA_TYPES.ociManifest;
    const manifest = await add(
      JSON.stringify({
        schemaVersion: 2,
        mediaType,
        config: { mediaType: MEDIA_TYPES.ociConfig, ...stored },
        layers: layers.map((layer) => ({ mediaType: layer.mediaType, digest: layer.digest, size: layer.size })),
      }),
    );
    const image = await this.index.put({
      id: stored.digest,
      manifest: { mediaType, ...manifest },
      names: entry.names ?? [],
      parent: entry.parent,
    });
    this.unpin(layers.flatMap((layer) => [layer.digest, layer.diffId]));
    return image;
  }
}

/** A text as a stream for `BlobStore.add`. */
export async function* toStream(content: string | Uint8Array): AsyncGenerator<Uint8Array> {
  yield typeof content === 'string' ? Buffer.from(content) : content;
}

/** Joins the config's diff ids with the manifest's layers. */
export function pairLayers(
  config: ImageConfig,
  layers: readonly { readonly digest: Digest; readonly size: number; readonly mediaType: string }[],
): ImageLayer[] {
  if (config.diffIds.length !== layers.length)
    throw new TscError(
      'image/corrupt',
      `the image has ${layers.length} layers, its configuration names ${config.diffIds.length}`,
    );
  return config.diffIds.map((diffId, index) => {
    const layer = layers[index];
    if (!layer) throw new TscError('image/bug', 'layers and diff ids differ in number');
    return { diffId, digest: layer.digest, size: layer.size, mediaType: layer.mediaType };
  });
}
