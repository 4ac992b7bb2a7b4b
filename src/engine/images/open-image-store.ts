import type { Readable } from 'node:stream';
import type { ImageRef } from '../../core/index.ts';
import type { EnsureOptions } from '../layers/index.ts';
import { openLayoutBlobStore } from './blob-store.ts';
import { ImageCatalog } from './catalog.ts';
import { type FoundImage, findImage, noSuchImage } from './find-image.ts';
import type { Image } from './image.ts';
import { ImageIndex } from './image-index.ts';
import type {
  CreateImageRequest,
  ImageHistoryRow,
  ImageStore,
  ImageStoreOptions,
  ImportRequest,
  LayerDescriptor,
  PullOptions,
  RemoveOptions,
} from './image-store.ts';
import { loadArchive } from './load-archive.ts';
import { addLayer, commitLayer, createImage, fullName, importRootfs } from './make-image.ts';
import { pullImage } from './pull-image.ts';
import { pruneImages, removeImage } from './remove-image.ts';
import { saveArchive } from './save-archive.ts';

/** Opens the images of a data directory. */
export async function openImageStore(options: ImageStoreOptions): Promise<ImageStore> {
  const blobs = await openLayoutBlobStore(options.directory);
  const index = await ImageIndex.open(options.directory);
  return new LayoutImageStore(new ImageCatalog({ blobs, index, options }));
}

class LayoutImageStore implements ImageStore {
  readonly #catalog: ImageCatalog;

  constructor(catalog: ImageCatalog) {
    this.#catalog = catalog;
  }

  #need(text: string): FoundImage {
    const found = findImage(this.#catalog.index, text);
    if (!found) throw noSuchImage(text);
    return found;
  }

  async resolve(text: string): Promise<Image> {
    return await this.#catalog.view(this.#need(text).image);
  }

  async find(text: string): Promise<Image | undefined> {
    const found = findImage(this.#catalog.index, text);
    return found && (await this.#catalog.view(found.image));
  }

  async list(): Promise<Image[]> {
    // One damaged image must not hide the others.
    const views = await Promise.allSettled(this.#catalog.index.all.map((image) => this.#catalog.view(image)));
    return views
      .flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
      .sort((a, b) => (Date.parse(b.config.created) || 0) - (Date.parse(a.config.created) || 0));
  }

  async tag(source: string, target: string): Promise<void> {
    const { image } = this.#need(source);
    const name = fullName(target);
    await this.#catalog.index.put({ ...image, names: [name], repoDigests: [] });
  }

  remove(text: string, options: RemoveOptions) {
    return removeImage(this.#catalog, text, options);
  }

  async history(text: string): Promise<ImageHistoryRow[]> {
    const image = await this.resolve(text);
    let layer = 0;
    const sizes = await Promise.all(
      image.layers.map(async ({ diffId, size }, index) => {
        const below = image.config.diffIds.slice(0, index);
        return (await this.#catalog.layers.record(diffId, below))?.bytes ?? size;
      }),
    );
    const rows = image.config.history.map(({ created, createdBy, comment, emptyLayer }) => {
      const size = emptyLayer ? 0 : (sizes[layer] ?? 0);
      if (!emptyLayer) layer += 1;
      return { id: '<missing>', created, createdBy, tags: [], size, comment };
    });
    const newest = rows.reverse();
    const top = newest[0] ?? { created: image.config.created, createdBy: '', size: image.size, comment: '' };
    return [{ ...top, id: image.id, tags: image.tags }, ...newest.slice(1)];
  }

  pull(ref: ImageRef, options: PullOptions = {}): Promise<Image> {
    return pullImage(this.#catalog, ref, options);
  }

  load(archive: Readable, options: Pick<PullOptions, 'onProgress' | 'signal'> = {}): Promise<string[]> {
    return loadArchive(this.#catalog, archive, options);
  }

  async save(names: readonly string[]): Promise<Readable> {
    const found = names.map((name) => this.#need(name));
    const ids = [...new Set(found.map(({ image }) => image.id))];
    const images = ids.flatMap((id) => {
      const same = found.filter(({ image }) => image.id === id);
      const image = same[0]?.image;
      // An id saves the image without names; a name only that name.
      const wanted = same.flatMap(({ name }) => (name !== undefined && image?.names.includes(name) ? [name] : []));
      return image ? [{ image, names: wanted }] : [];
    });
    const archive = await saveArchive(this.#catalog, images);
    return archive;
  }

  async importRootfs(archive: Readable, request: ImportRequest): Promise<Image> {
    return await this.#catalog.view(await importRootfs(this.#catalog, archive, request));
  }

  addLayer(archive: Readable): Promise<LayerDescriptor> {
    return addLayer(this.#catalog, archive);
  }

  commitLayer(upper: string): Promise<LayerDescriptor> {
    return commitLayer(this.#catalog, upper);
  }

  async createImage(request: CreateImageRequest): Promise<Image> {
    return await this.#catalog.view(await createImage(this.#catalog, request));
  }

  lowerDirectories(image: Image, options: EnsureOptions = {}): Promise<string[]> {
    return this.#catalog.unpack(image.layers, options);
  }

  prune(options: Parameters<ImageStore['prune']>[0]) {
    return pruneImages(this.#catalog, options);
  }
}
