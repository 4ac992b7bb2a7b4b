import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { type ArchiveEntry, decompressArchive, readArchive } from '../../archive/index.ts';
import {
  type Digest,
  digestHex,
  formatImageRef,
  parseImageRef,
  shortId,
  TscError,
  withDefaultTag,
} from '../../core/index.ts';
import {
  choosePlatform,
  decodeManifest,
  hostPlatform,
  type IndexEntry,
  MANIFEST_LIMIT,
  MEDIA_TYPES,
} from '../../registry/index.ts';
import type { StoredBlob } from './blob-store.ts';
import { type ImageCatalog, pairLayers, toStream } from './catalog.ts';
import { CONFIG_LIMIT, decodeImageConfig } from './config-codec.ts';
import type { ImageLayer } from './image.ts';
import { familiarName, type IndexedImage } from './image-index.ts';
import type { PullOptions } from './image-store.ts';
import { describeLayer } from './make-image.ts';

const ENTRY_LIMIT = 100_000;
const LINK_LIMIT = 8;

const invalid = (why: string) =>
  new TscError('image/invalid', `cannot load the archive: ${why}`, {
    hint: 'it must come from docker save or be an OCI image layout as tar',
  });

/** Files of the archive by their exact names: nothing is ever looked up on a disk. */
interface Spool {
  readonly files: ReadonlyMap<string, StoredBlob>;
  readonly links: ReadonlyMap<string, string>;
}

interface Load {
  readonly catalog: ImageCatalog;
  readonly spool: Spool;
  readonly options: Pick<PullOptions, 'onProgress' | 'signal'>;
}

/** Reads a docker archive or an OCI layout. Returns names, ids where there are none. */
export async function loadArchive(
  catalog: ImageCatalog,
  archive: Readable,
  options: Pick<PullOptions, 'onProgress' | 'signal'>,
): Promise<string[]> {
  const added: Digest[] = [];
  try {
    const spool = await spoolArchive(catalog, archive, added);
    const load: Load = { catalog, spool, options };
    const names = spool.files.has('manifest.json')
      ? await loadDockerArchive(load)
      : spool.files.has('index.json')
        ? await loadLayout(load)
        : undefined;
    if (!names) throw invalid('it has neither manifest.json nor index.json');
    return names;
  } finally {
    catalog.release(added);
    await dropUnused(catalog, added);
  }
}

async function spoolArchive(catalog: ImageCatalog, archive: Readable, added: Digest[]): Promise<Spool> {
  const files = new Map<string, StoredBlob>();
  const links = new Map<string, string>();
  for await (const entry of readArchive(await decompressArchive(archive), { entries: ENTRY_LIMIT })) {
    const name = posix.normalize(`/${entry.name}`).slice(1);
    if (entry.type === 'symlink') links.set(name, posix.resolve('/', posix.dirname(name), entry.linkName).slice(1));
    else if (entry.type === 'link') links.set(name, posix.resolve('/', entry.linkName).slice(1));
    else if (entry.type === 'file') files.set(name, await keep(catalog, entry, added));
  }
  return { files, links };
}

async function keep(catalog: ImageCatalog, entry: ArchiveEntry, added: Digest[]): Promise<StoredBlob> {
  const blob = await catalog.blobs.add(entry.content, { size: entry.size });
  catalog.lease([blob.digest]);
  added.push(blob.digest);
  return blob;
}

/** Gives back what no image came to refer to. */
async function dropUnused(catalog: ImageCatalog, added: readonly Digest[]): Promise<void> {
  const used = new Set<Digest>(catalog.leased);
  for (const image of catalog.index.all) {
    used.add(image.id).add(image.manifest.digest);
    const content = await catalog.content(image).catch(() => undefined);
    for (const layer of content?.layers ?? []) used.add(layer.digest);
  }
  for (const digest of new Set(added)) if (!used.has(digest)) await catalog.blobs.remove(digest);
}

function findFile(spool: Spool, name: string): StoredBlob {
  let current = posix.normalize(`/${name}`).slice(1);
  for (let step = 0; step < LINK_LIMIT; step += 1) {
    const file = spool.files.get(current);
    if (file) return file;
    const next = spool.links.get(current);
    if (next === undefined) break;
    current = next;
  }
  throw invalid(`${JSON.stringify(name.slice(0, 200))} is missing in it`);
}

async function readJson({ catalog, spool }: Load, name: string): Promise<unknown> {
  const bytes = await catalog.blobs.read(findFile(spool, name).digest, MANIFEST_LIMIT);
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    throw invalid(`${name} is not valid JSON`);
  }
}

interface DockerRow {
  readonly config: string;
  readonly layers: readonly string[];
  readonly names: readonly string[];
}

async function loadDockerArchive(load: Load): Promise<string[]> {
  const rows = await readJson(load, 'manifest.json');
  if (!Array.isArray(rows) || rows.length === 0) throw invalid('manifest.json is not a list of images');
  const loaded: string[] = [];
  for (const row of rows) loaded.push(...(await loadDockerImage(load, decodeRow(row))));
  return loaded;
}

function decodeRow(row: unknown): DockerRow {
  const { Config, Layers, RepoTags } = (row ?? {}) as Record<string, unknown>;
  const texts = (value: unknown): string[] => {
    if (value === null || value === undefined) return [];
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string'))
      throw invalid('manifest.json has a list that holds something else than texts');
    return value;
  };
  if (typeof Config !== 'string') throw invalid('manifest.json names no configuration');
  return { config: Config, layers: texts(Layers), names: texts(RepoTags).map(loadedName) };
}

function loadedName(text: string): string {
  return formatImageRef(withDefaultTag(parseImageRef(text)));
}

async function loadDockerImage(load: Load, row: DockerRow): Promise<string[]> {
  const { catalog, spool } = load;
  const configBlob = findFile(spool, row.config);
  const config = decodeImageConfig(await catalog.blobs.read(configBlob.digest, CONFIG_LIMIT));
  const described = await Promise.all(
    row.layers.map(async (name) => {
      const file = findFile(spool, name);
      return await describeLayer(catalog, file.digest, file.size);
    }),
  );
  const layers = pairLayers(config, described);
  const wrong = layers.find((layer, index) => described[index]?.diffId !== layer.diffId);
  if (wrong) throw new TscError('image/corrupt', `layer ${wrong.diffId} of the archive does not have its digest`);
  const mediaType = MEDIA_TYPES.ociManifest;
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType,
    config: { mediaType: MEDIA_TYPES.ociConfig, digest: configBlob.digest, size: configBlob.size },
    layers: layers.map(({ digest, size, mediaType: type }) => ({ mediaType: type, digest, size })),
  });
  const manifest = await catalog.blobs.add(toStream(text));
  return await finishImage(
    load,
    { id: configBlob.digest, manifest: { mediaType, ...manifest }, names: row.names },
    layers,
  );
}

async function finishImage(
  { catalog, options }: Load,
  image: Pick<IndexedImage, 'id' | 'manifest' | 'names'>,
  layers: readonly ImageLayer[],
): Promise<string[]> {
  await catalog.unpack(layers, {
    ...(options.signal && { signal: options.signal }),
    onLayer: (diffId) => options.onProgress?.({ status: 'Loading layer', id: shortId(diffId) }),
  });
  const indexed = await catalog.index.put({ ...image, parent: undefined });
  return image.names.length > 0 ? image.names.map(familiarName) : [indexed.id];
}

async function loadLayout(load: Load): Promise<string[]> {
  const { catalog, spool } = load;
  const bytes = await catalog.blobs.read(findFile(spool, 'index.json').digest, MANIFEST_LIMIT);
  const index = decodeManifest(bytes);
  if (index.kind !== 'index') throw invalid('index.json is no index');
  const loaded: string[] = [];
  for (const [digest, names] of groupNames(index.manifests)) {
    const entry = index.manifests.find((item) => item.digest === digest);
    if (entry) loaded.push(...(await loadLayoutImage(load, entry, names)));
  }
  return loaded;
}

/** One image may be listed once per name. */
function groupNames(entries: readonly IndexEntry[]): Map<Digest, string[]> {
  const groups = new Map<Digest, string[]>();
  for (const entry of entries) {
    const names = groups.get(entry.digest) ?? [];
    const name = layoutName(entry);
    groups.set(entry.digest, name === undefined ? names : [...names, name]);
  }
  return groups;
}

function layoutName({ annotations }: IndexEntry): string | undefined {
  const text = annotations.get('io.containerd.image.name') ?? annotations.get('org.opencontainers.image.ref.name');
  // A bare tag, as some tools write it, does not say which image it is a tag of.
  if (text === undefined || !/[/:]/.test(text)) return undefined;
  try {
    return loadedName(text);
  } catch {
    return undefined;
  }
}

async function loadLayoutImage(load: Load, entry: IndexEntry, names: readonly string[]): Promise<string[]> {
  const { catalog, spool } = load;
  const blobName = (digest: Digest) => `blobs/sha256/${digestHex(digest)}`;
  const readDocument = async (digest: Digest, mediaType: string) => {
    const file = findFile(spool, blobName(digest));
    if (file.digest !== digest) throw new TscError('image/corrupt', `content ${digest} does not have its digest`);
    return decodeManifest(await catalog.blobs.read(digest, MANIFEST_LIMIT), mediaType);
  };
  const top = await readDocument(entry.digest, entry.mediaType);
  const chosen = top.kind === 'index' ? choosePlatform(top.manifests, hostPlatform()) : entry;
  const document = top.kind === 'index' ? await readDocument(chosen.digest, chosen.mediaType) : top;
  if (document.kind !== 'manifest') throw invalid('it holds an index of indexes');
  for (const blob of [document.config, ...document.layers])
    if (findFile(spool, blobName(blob.digest)).digest !== blob.digest)
      throw new TscError('image/corrupt', `content ${blob.digest} does not have its digest`);
  const config = decodeImageConfig(await catalog.blobs.read(document.config.digest, CONFIG_LIMIT));
  const manifest = { mediaType: document.mediaType, digest: chosen.digest, size: chosen.size };
  return await finishImage(load, { id: document.config.digest, manifest, names }, pairLayers(config, document.layers));
}
