import { type Digest, formatImageRef, type ImageRef, shortId, TscError, withDefaultTag } from '../../core/index.ts';
import { type BlobDescriptor, hostPlatform, parsePlatform, type ResolvedImage } from '../../registry/index.ts';
import { createKeyedLock } from '../state/index.ts';
import { type ImageCatalog, pairLayers, toStream } from './catalog.ts';
import { CONFIG_LIMIT, decodeImageConfig } from './config-codec.ts';
import type { Image } from './image.ts';
import type { ImageProgress, PullOptions } from './image-store.ts';

const PARALLEL_DOWNLOADS = 3;
/** A progress line at most for every this many bytes of a layer. */
const PROGRESS_STEP = 512 << 10;
const LAYER_TYPE =
  /^application\/vnd\.(?:oci\.image\.layer\.(?:nondistributable\.)?v1\.tar(?:\+gzip|\+zstd)?|docker\.image\.rootfs\.diff\.tar(?:\.gzip|\.zstd)?)$/;

/** One download of a blob for all that want it. */
const downloads = createKeyedLock();

interface Pull {
  readonly catalog: ImageCatalog;
  readonly ref: ImageRef;
  readonly options: PullOptions;
  readonly report: (progress: ImageProgress) => void;
}

/** Fetches what is missing of an image, unpacks each layer as soon as it is there, then gives the name. Given up: `registry/cancelled`. */
export async function pullImage(catalog: ImageCatalog, wanted: ImageRef, options: PullOptions): Promise<Image> {
  try {
    return await fetchImage(catalog, wanted, options);
  } catch (error) {
    // Whatever was cut off by it: a question, a transfer, a wait.
    if (options.signal?.aborted && !(error instanceof TscError))
      throw new TscError('registry/cancelled', 'cancelled', { cause: error });
    throw error;
  }
}

async function fetchImage(catalog: ImageCatalog, wanted: ImageRef, options: PullOptions): Promise<Image> {
  const ref = withDefaultTag(wanted);
  const report = options.onProgress ?? (() => undefined);
  const pull: Pull = { catalog, ref, options, report };
  const id = ref.tag ?? ref.digest;
  report({ status: `Pulling from ${ref.repository}`, ...(id !== undefined && { id }) });
  const resolved = await catalog.options.registry.resolve(ref, {
    platform: options.platform === undefined ? hostPlatform() : parsePlatform(options.platform),
    ...access(options),
  });
  checkKinds(resolved, formatImageRef(ref));
  const content = [resolved.manifest.digest, resolved.config.digest, ...resolved.layers.map((layer) => layer.digest)];
  catalog.lease(content);
  try {
    await fetchContent(pull, resolved);
    const { digest, mediaType, bytes } = resolved.manifest;
    const { registry, repository, tag } = ref;
    const image = await catalog.index.put({
      id: resolved.config.digest,
      manifest: { mediaType, digest, size: bytes.length },
      names: tag === undefined || ref.digest !== undefined ? [] : [formatImageRef({ registry, repository, tag })],
      repoDigests: [formatImageRef({ registry, repository, digest: resolved.referenceDigest })],
      parent: undefined,
    });
    return await catalog.view(image);
  } finally {
    catalog.release(content);
  }
}

function access(options: PullOptions) {
  const { credentials, signal } = options;
  return { ...(credentials && { credentials }), ...(signal && { signal }) };
}

function checkKinds(resolved: ResolvedImage, name: string): void {
  const odd = resolved.layers.find((layer) => !LAYER_TYPE.test(layer.mediaType));
  if (odd)
    throw new TscError('image/unsupported', `${name} has content of type ${odd.mediaType.slice(0, 200)}`, {
      hint: 'it is not a container image',
    });
  if (resolved.config.size > CONFIG_LIMIT)
    throw new TscError('image/exhausted', `the configuration of ${name} is larger than ${CONFIG_LIMIT} bytes`);
}

async function fetchContent(pull: Pull, resolved: ResolvedImage): Promise<void> {
  const { catalog, report, options } = pull;
  await fetchBlob(pull, resolved.config, () => undefined);
  const config = decodeImageConfig(await catalog.blobs.read(resolved.config.digest, CONFIG_LIMIT));
  const layers = pairLayers(config, resolved.layers);
  for (const layer of layers) report({ status: 'Pulling fs layer', id: shortId(layer.digest) });
  // The first failure ends the other transfers too.
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, ...(options.signal ? [options.signal] : [])]);
  const fetching = startDownloads({ ...pull, options: { ...options, signal } }, layers);
  const byDiffId = new Map(layers.map((layer) => [layer.diffId, layer]));
  try {
    await catalog.layers.ensure(
      layers.map((layer) => ({
        diffId: layer.diffId,
        open: async () => {
          await fetching.get(layer.digest);
          report({ status: 'Extracting', id: shortId(layer.digest) });
          return await catalog.blobs.open(layer.digest);
        },
      })),
      {
        signal,
        onLayer: (diffId, outcome) =>
          report({
            status: outcome === 'present' ? 'Already exists' : 'Pull complete',
            id: shortId(byDiffId.get(diffId)?.digest ?? diffId),
          }),
      },
    );
    // Layers that were unpacked already are still needed as archives, for `save`.
    await Promise.all(fetching.values());
  } catch (error) {
    stop.abort();
    await Promise.allSettled(fetching.values());
    throw await realCause(error, fetching.values());
  }
  const { digest } = resolved.manifest;
  await catalog.blobs.add(toStream(resolved.manifest.bytes), { digest });
}

/** A transfer that failed by itself explains more than the others that were stopped for it. */
async function realCause(error: unknown, transfers: Iterable<Promise<void>>): Promise<unknown> {
  for (const result of await Promise.allSettled(transfers))
    if (result.status === 'rejected' && result.reason instanceof TscError && result.reason.kind !== 'cancelled')
      return result.reason;
  return error;
}

/** Starts at most three transfers at a time, lowest layer first. */
function startDownloads(pull: Pull, layers: readonly BlobDescriptor[]): Map<Digest, Promise<void>> {
  const started = new Map<Digest, Promise<void>>();
  const slots = Array.from({ length: PARALLEL_DOWNLOADS }, () => Promise.resolve());
  for (const [index, layer] of layers.entries()) {
    if (started.has(layer.digest)) continue;
    const slot = index % PARALLEL_DOWNLOADS;
    const id = shortId(layer.digest);
    const transfer = (slots[slot] ?? Promise.resolve()).then(async () => {
      await fetchBlob(pull, layer, (current) => pull.report({ status: 'Downloading', id, current, total: layer.size }));
      pull.report({ status: 'Download complete', id });
    });
    transfer.catch(() => undefined);
    slots[slot] = transfer.catch(() => undefined);
    started.set(layer.digest, transfer);
  }
  return started;
}

function fetchBlob({ catalog, ref, options }: Pull, blob: BlobDescriptor, onBytes: (bytes: number) => void) {
  return downloads.run(`${catalog.options.directory} ${blob.digest}`, async () => {
    if ((await catalog.blobs.size(blob.digest)) === blob.size) return;
    options.signal?.throwIfAborted();
    const source = await catalog.options.registry.openBlob(ref, blob, access(options));
    await catalog.blobs.add(counted(source, onBytes), { digest: blob.digest, size: blob.size });
  });
}

async function* counted(
  source: AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  let total = 0;
  let reported = 0;
  for await (const chunk of source) {
    total += chunk.length;
    if (total - reported >= PROGRESS_STEP) {
      reported = total;
      onBytes(total);
    }
    yield chunk;
  }
  onBytes(total);
}
