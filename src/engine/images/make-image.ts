import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { type Compression, decompressArchive, detectCompression } from '../../archive/index.ts';
import { type Digest, formatImageRef, parseDigest, parseImageRef, TscError, withDefaultTag } from '../../core/index.ts';
import { makeDirectory, removeTree } from '../../host/index.ts';
import { hostPlatform, MEDIA_TYPES, parsePlatform } from '../../registry/index.ts';
import type { ImageCatalog } from './catalog.ts';
import type { ImageConfig, ImageRunConfig } from './image.ts';
import type { IndexedImage } from './image-index.ts';
import type { CreateImageRequest, ImportRequest, LayerDescriptor } from './image-store.ts';

const LAYER_TYPES: Partial<Record<Compression, string>> = {
  none: MEDIA_TYPES.ociLayer,
  gzip: MEDIA_TYPES.ociLayerGzip,
  zstd: MEDIA_TYPES.ociLayerZstd,
};

/** Run configuration of an image made from nothing. */
export const EMPTY_RUN_CONFIG: ImageRunConfig = {
  user: '',
  workingDir: '',
  env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
  entrypoint: undefined,
  cmd: undefined,
  exposedPorts: [],
  volumes: [],
  labels: new Map(),
  stopSignal: undefined,
  shell: undefined,
  healthcheck: undefined,
  onBuild: [],
};

/** Full name of a tag as the user wrote it. */
export function fullName(text: string): string {
  const ref = withDefaultTag(parseImageRef(text));
  if (ref.digest !== undefined)
    throw new TscError('image/invalid', `${text} carries a digest; a name for an image has only a tag`);
  return formatImageRef(ref);
}

/** What a stored archive is: media type and the digest of its uncompressed content. */
export async function describeLayer(catalog: ImageCatalog, digest: Digest, size: number): Promise<LayerDescriptor> {
  const source = await catalog.blobs.open(digest);
  const start = await firstBytes(source);
  const kind = detectCompression(start);
  const mediaType = LAYER_TYPES[kind];
  if (mediaType === undefined)
    throw new TscError('image/unsupported', `a layer is compressed with ${kind}`, { hint: 'use gzip, zstd or none' });
  if (kind === 'none') return { diffId: digest, digest, size, mediaType };
  const hash = createHash('sha256');
  try {
    for await (const chunk of await decompressArchive(await catalog.blobs.open(digest))) hash.update(chunk as Buffer);
  } catch (error) {
    throw new TscError('image/corrupt', 'the compression of a layer is damaged', { cause: error });
  }
  return { diffId: parseDigest(`sha256:${hash.digest('hex')}`), digest, size, mediaType };
}

async function firstBytes(source: Readable): Promise<Uint8Array> {
  for await (const chunk of source) return chunk as Uint8Array;
  return new Uint8Array();
}

/** Stores a layer archive; it stays protected until an image refers to it. */
export async function addLayer(catalog: ImageCatalog, archive: Readable): Promise<LayerDescriptor> {
  const { digest, size } = await catalog.blobs.add(archive);
  catalog.pin([digest]);
  const layer = await describeLayer(catalog, digest, size);
  catalog.pin([layer.diffId]);
  return layer;
}

export async function commitLayer(catalog: ImageCatalog, upper: string): Promise<LayerDescriptor> {
  const { digest, size } = await catalog.blobs.add(catalog.layers.tool.diff(upper));
  catalog.pin([digest]);
  await catalog.layers.adopt(digest, upper);
  return { diffId: digest, digest, size, mediaType: MEDIA_TYPES.ociLayer };
}

export async function createImage(catalog: ImageCatalog, request: CreateImageRequest): Promise<IndexedImage> {
  const names = (request.tags ?? []).map(fullName);
  for (const layer of request.layers)
    if ((await catalog.blobs.size(layer.digest)) === undefined)
      throw new TscError('image/not-found', `layer ${layer.digest} is not stored`);
  const config: ImageConfig = { ...request.config, diffIds: [] };
  return await catalog.record(config, request.layers, { names, parent: request.parent });
}

/** Makes an image of one layer. bzip2 and xz, which only the native helper reads, are packed again. */
export async function importRootfs(
  catalog: ImageCatalog,
  archive: Readable,
  request: ImportRequest,
): Promise<IndexedImage> {
  const names = request.repository === undefined ? [] : [importName(request.repository, request.tag)];
  const run = applyChanges(catalog, request.changes ?? []);
  const layer = await storeRootfs(catalog, archive, request.signal);
  await catalog.unpack([layer], request.signal ? { signal: request.signal } : {});
  const platform = request.platform === undefined ? hostPlatform() : parsePlatform(request.platform);
  const created = new Date(catalog.clock.now()).toISOString();
  const comment = request.message ?? 'Imported from -';
  const config: ImageConfig = {
    architecture: platform.architecture,
    os: platform.os,
    variant: platform.variant ?? '',
    created,
    author: '',
    run,
    diffIds: [],
    history: [{ created, createdBy: '', author: '', comment, emptyLayer: false }],
  };
  const image = await catalog.record(config, [layer], { names });
  return image;
}

function importName(repository: string, tag: string | undefined): string {
  const ref = parseImageRef(repository);
  return fullName(tag !== undefined && tag !== '' && ref.tag === undefined ? `${repository}:${tag}` : repository);
}

function applyChanges(catalog: ImageCatalog, changes: readonly string[]): ImageRunConfig {
  if (changes.length === 0) return EMPTY_RUN_CONFIG;
  const { applyChanges: apply } = catalog.options;
  if (!apply) throw new TscError('image/unsupported', 'this image store cannot apply changes');
  return apply(EMPTY_RUN_CONFIG, changes);
}

async function storeRootfs(
  catalog: ImageCatalog,
  archive: Readable,
  signal: AbortSignal | undefined,
): Promise<LayerDescriptor> {
  const { digest, size } = await catalog.blobs.add(archive);
  catalog.pin([digest]);
  const kind = detectCompression(await firstBytes(await catalog.blobs.open(digest)));
  if (kind !== 'bzip2' && kind !== 'xz') return await describeLayer(catalog, digest, size);
  const place = join(catalog.options.directory, 'incoming', randomBytes(12).toString('hex'));
  await makeDirectory(place);
  try {
    await catalog.layers.tool.apply(place, await catalog.blobs.open(digest), signal ? { signal } : {});
    return await addLayer(catalog, catalog.layers.tool.pack(place, signal ? { signal } : {}));
  } finally {
    catalog.unpin([digest]);
    await catalog.blobs.remove(digest);
    await removeTree(place);
  }
}
