import { join } from 'node:path';
import type { OciAddress } from '../../compose/index.ts';
import { type ImageRef, parseDigest, parseImageRef, TscError, withDefaultTag } from '../../core/index.ts';
import { writeAtomically } from '../../host/index.ts';
import { openRegistry, type Registry, type RegistryCredentials } from '../../registry/index.ts';
import { registryCredentials } from '../registry-login.ts';
import type { RemoteCache } from './remote-cache.ts';
import type { Fetched, FetchOptions } from './remote-tree.ts';

const PROJECT = 'application/vnd.docker.compose.project';
const COMPOSE_FILE = 'application/vnd.docker.compose.file+yaml';
const ENV_FILE = 'application/vnd.docker.compose.envfile';
const EMPTY_CONFIG = 'application/vnd.docker.compose.config.empty.v1+json';
/** As large as the loader takes. */
const FILE_LIMIT = 4 << 20;

/** The files of an artifact that `docker compose publish` has pushed; the kept ones when the registry cannot be asked. */
export async function fetchOci(address: OciAddress, cache: RemoteCache, options: FetchOptions): Promise<Fetched> {
  const ref = withDefaultTag(parseImageRef(address.reference));
  const asked = `oci ${address.reference}`;
  const known = await cache.recall(asked);
  if (known && (options.offline || ref.digest !== undefined)) return { root: known.path };
  if (options.offline) throw new TscError('cli/not-found', 'no copy is kept', { hint: 'run tscompose config once' });
  const credentials = await registryCredentials(options.environment)(address.reference);
  const source: Source = { registry: openRegistry(), ref, ...(credentials && { credentials }) };
  try {
    const top = await source.registry.readManifest(ref, source);
    const key = `oci-${top.digest.slice('sha256:'.length)}`;
    const root = (await cache.find(key)) ?? (await cache.keep(key, (folder) => unpack(top.bytes, folder, source)));
    await cache.remember(asked, key);
    return { root };
  } catch (error) {
    if (!known || !(error instanceof TscError) || error.code !== 'registry/unavailable') throw error;
    return { root: known.path, warning: `${error.message}; the copy of ${known.at.slice(0, 16)} is used` };
  }
}

interface Source {
  readonly registry: Registry;
  readonly ref: ImageRef;
  readonly credentials?: RegistryCredentials;
}

interface Layer {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

interface Manifest {
  readonly artifactType?: string;
  readonly config?: { readonly mediaType?: string };
  readonly layers?: readonly Layer[];
  readonly manifests?: readonly { readonly artifactType?: string; readonly digest: string }[];
}

async function unpack(top: Uint8Array, folder: string, source: Source): Promise<void> {
  const { artifactType = '', config, layers = [] } = await projectManifest(decode(top), source);
  if (artifactType === '' ? config?.mediaType !== EMPTY_CONFIG : artifactType !== PROJECT)
    throw new TscError(
      'cli/invalid',
      `it is no compose project but ${artifactType || config?.mediaType || 'something else'}`,
      {
        hint: 'name what docker compose publish has pushed',
      },
    );
  const files = new Map<string, Uint8Array[]>();
  for (const [index, layer] of layers.entries()) {
    const name = fileName(layer);
    if (name === undefined) continue;
    const parts = files.get(name) ?? [];
    // Several compose files are several documents of one.
    if (layer.mediaType === COMPOSE_FILE && index > 0 && layer.annotations?.['com.docker.compose.file'] !== undefined)
      parts.push(Buffer.from('\n---\n'));
    parts.push(await readLayer(layer, source));
    files.set(name, parts);
  }
  if (!files.has('compose.yaml')) throw new TscError('cli/invalid', 'the artifact has no compose file');
  for (const [name, parts] of files) await writeAtomically(join(folder, name), Buffer.concat(parts));
}

/** A project is published as an index that also names its images. The manifests were checked to be documents of the right form. */
async function projectManifest(document: Manifest, source: Source): Promise<Manifest> {
  if (!document.manifests) return document;
  const entry = document.manifests.find(({ artifactType }) => artifactType === PROJECT);
  if (!entry)
    throw new TscError('cli/invalid', 'it is no compose project', {
      hint: 'name what docker compose publish has pushed',
    });
  const { registry, ref } = source;
  return decode((await registry.readManifest({ ...ref, digest: parseDigest(entry.digest) }, source)).bytes);
}

function decode(bytes: Uint8Array): Manifest {
  return JSON.parse(new TextDecoder().decode(bytes)) as Manifest;
}

/** The file that a layer holds; undefined for a layer that holds none. Its name is the registry's word: a bare name, or nothing. */
function fileName({ mediaType, annotations = {} }: Layer): string | undefined {
  if (mediaType === COMPOSE_FILE && annotations['com.docker.compose.extends'] === undefined) return 'compose.yaml';
  if (mediaType !== COMPOSE_FILE && mediaType !== ENV_FILE) return undefined;
  const key = mediaType === COMPOSE_FILE ? 'com.docker.compose.file' : 'com.docker.compose.envfile';
  const name = annotations[key];
  if (typeof name === 'string' && /^[\w][\w. -]{0,200}$/.test(name)) return name;
  throw new TscError('cli/denied', `the artifact names a file ${JSON.stringify(name ?? '').slice(0, 200)}`, {
    hint: 'names of files in an artifact have no folders; do not use it',
  });
}

async function readLayer(layer: Layer, { registry, ref, credentials }: Source): Promise<Uint8Array> {
  if (layer.size > FILE_LIMIT) throw new TscError('cli/exhausted', 'a file of the artifact is larger than 4 MiB');
  const blob = { mediaType: layer.mediaType, digest: parseDigest(layer.digest), size: layer.size };
  const chunks: Uint8Array[] = [];
  for await (const chunk of await registry.openBlob(ref, blob, { ...(credentials && { credentials }) }))
    chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}
