import type { Readable } from 'node:stream';
import type { Digest, ImageRef } from '../../core/index.ts';
import type { Clock } from '../../host/index.ts';
import type { Registry, RegistryCredentials } from '../../registry/index.ts';
import type { EnsureOptions, LayerStore } from '../layers/index.ts';
import type { HistoryEntry, Image, ImageConfig, ImageRunConfig } from './image.ts';

/** One step of long work, in the words of the Engine API's progress stream. */
export interface ImageProgress {
  readonly status: string;
  /** Short layer digest, or the tag for the first line of a pull. */
  readonly id?: string;
  readonly current?: number;
  readonly total?: number;
}

export interface PullOptions {
  /** `linux/arm64/v8`; the host's own when absent. */
  readonly platform?: string;
  readonly credentials?: RegistryCredentials;
  readonly onProgress?: (progress: ImageProgress) => void;
  readonly signal?: AbortSignal;
}

/** A container that uses an image. */
export interface ImageUser {
  readonly container: string;
  readonly running: boolean;
}

export interface RemoveOptions {
  readonly force?: boolean;
  /** Keep untagged parents. */
  readonly noPrune?: boolean;
  /** Who uses the image; a running user forbids removal even with force. */
  readonly usersOf: (id: Digest) => Promise<readonly ImageUser[]> | readonly ImageUser[];
}

export type ImageDeletion = { readonly untagged: string } | { readonly deleted: string };

export interface ImportRequest {
  /** Name for the image, optional. */
  readonly repository?: string;
  readonly tag?: string;
  /** Dockerfile instructions (`CMD ["sh"]`, `ENV A=b`, …) applied to the config. */
  readonly changes?: readonly string[];
  readonly message?: string;
  readonly platform?: string;
  readonly signal?: AbortSignal;
}

/** A layer archive in the content store. */
export interface LayerDescriptor {
  readonly diffId: Digest;
  readonly digest: Digest;
  readonly size: number;
  readonly mediaType: string;
}

export interface CreateImageRequest {
  /** `diffIds` is taken from `layers`; `history` is the whole history. */
  readonly config: Omit<ImageConfig, 'diffIds' | 'history'> & { readonly history: readonly HistoryEntry[] };
  /** All layers, bottom first: those of the base (`Image.layers`) and new ones from `addLayer` or `commitLayer`. */
  readonly layers: readonly LayerDescriptor[];
  readonly parent?: Digest;
  /** Names to give, `repository[:tag]`. */
  readonly tags?: readonly string[];
}

export interface ImageHistoryRow {
  /** Image id for rows that are an image here, else `<missing>`. */
  readonly id: string;
  readonly created: string;
  readonly createdBy: string;
  readonly tags: readonly string[];
  readonly size: number;
  readonly comment: string;
}

export interface PruneReport {
  readonly deletions: readonly ImageDeletion[];
  /** Bytes of stored archives and unpacked layers given back. */
  readonly reclaimed: number;
}

export interface ImageStore {
  /** Finds an image by name (`redis`, `redis:7`, `redis@sha256:…`), id, or unambiguous id prefix. Throws `image/not-found`; `image/conflict` for an ambiguous prefix. */
  resolve(text: string): Promise<Image>;
  /** Like `resolve`, undefined when there is none. */
  find(text: string): Promise<Image | undefined>;
  /** All images, newest first. */
  list(): Promise<Image[]>;
  /** Gives an image another name; an image that had the name loses it. */
  tag(source: string, target: string): Promise<void>;
  /** `rmi`: removes a name, and the image with its last one. Throws `image/in-use`, `image/conflict`, `image/not-found`. */
  remove(text: string, options: RemoveOptions): Promise<ImageDeletion[]>;
  history(text: string): Promise<ImageHistoryRow[]>;
  /** Fetches an image and unpacks it. The name gets the tag, or `latest`. */
  pull(ref: ImageRef, options?: PullOptions): Promise<Image>;
  /** Reads a docker or OCI archive (plain, gzip or zstd). Returns loaded names, or ids of images without one. */
  load(archive: Readable, options?: Pick<PullOptions, 'onProgress' | 'signal'>): Promise<string[]>;
  /** Writes an archive that is both a docker archive and an OCI layout. */
  save(names: readonly string[]): Promise<Readable>;
  /** Makes an image of a root file system tar (plain, gzip, bzip2, xz, zstd). */
  importRootfs(archive: Readable, request: ImportRequest): Promise<Image>;
  /** Stores a layer tar (plain, gzip or zstd) and unpacks it when it is needed. */
  addLayer(archive: Readable): Promise<LayerDescriptor>;
  /** Makes a layer of an overlay upper directory; the directory is moved into the layer store and is gone afterwards. */
  commitLayer(upper: string): Promise<LayerDescriptor>;
  /** Records an image made of stored layers. */
  createImage(request: CreateImageRequest): Promise<Image>;
  /** Overlay directories of an image, top first; unpacks what is missing. */
  lowerDirectories(image: Image, options?: EnsureOptions): Promise<string[]>;
  /** Removes dangling images (`all`: every image) that nobody uses, with their content. */
  prune(options: {
    readonly all?: boolean;
    readonly usersOf: RemoveOptions['usersOf'];
    readonly accept?: (image: Image) => boolean;
  }): Promise<PruneReport>;
}

export interface ImageStoreOptions {
  /** `<data>/images`; created when absent. */
  readonly directory: string;
  readonly layers: LayerStore;
  readonly registry: Registry;
  readonly clock?: Clock;
  /** Applies Dockerfile instructions of `import --change`; without it changes are refused. */
  readonly applyChanges?: (run: ImageRunConfig, changes: readonly string[]) => ImageRunConfig;
}
