import { createHash } from 'node:crypto';
import { type Digest, isDigest, parseDigest, TscError } from '../core/index.ts';
import type { BlobDescriptor, Platform } from './registry.ts';

export const MEDIA_TYPES = {
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  ociLayer: 'application/vnd.oci.image.layer.v1.tar',
  ociLayerGzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  ociLayerZstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
} as const;

/** Largest document read, in bytes. */
export const MANIFEST_LIMIT = 4 << 20;
const ENTRY_LIMIT = 1000;

export interface IndexEntry extends BlobDescriptor {
  readonly platform: Platform | undefined;
  readonly annotations: ReadonlyMap<string, string>;
}

/** A decoded manifest document. */
export type ManifestDocument =
  | { readonly kind: 'index'; readonly mediaType: string; readonly manifests: readonly IndexEntry[] }
  | {
      readonly kind: 'manifest';
      readonly mediaType: string;
      readonly config: BlobDescriptor;
      readonly layers: readonly BlobDescriptor[];
    };

/** Digest of bytes at hand. */
export function digestOf(bytes: Uint8Array | string): Digest {
  return parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
}

const corrupt = (why: string, cause?: unknown) =>
  new TscError('registry/corrupt', `invalid manifest: ${why}`, { cause });

/**
 * Decodes an image manifest or an index, OCI or Docker. `declaredType` is what the transport or the referring descriptor
 * said; a document that says otherwise, or that could be read both ways, is refused. Throws `registry/corrupt`,
 * and `registry/unsupported` for schema 1 and artifacts that are no image.
 */
export function decodeManifest(bytes: Uint8Array, declaredType?: string): ManifestDocument {
  if (bytes.length > MANIFEST_LIMIT) throw corrupt(`larger than ${MANIFEST_LIMIT} bytes`);
  const document = parseObject(bytes);
  if (document['schemaVersion'] !== 2)
    throw new TscError(
      'registry/unsupported',
      `manifest schema ${String(JSON.stringify(document['schemaVersion'])).slice(0, 40)} is not supported`,
      {
        hint: 'the image was pushed in a format of 2015; push it again with a current tool',
      },
    );
  const hasList = 'manifests' in document;
  const hasImage = 'config' in document || 'layers' in document || 'fsLayers' in document;
  if (hasList === hasImage) throw corrupt('neither clearly an image nor clearly an index');
  const own = document['mediaType'];
  if (own !== undefined && typeof own !== 'string') throw corrupt('mediaType is not a text');
  const mediaType = own ?? knownType(declaredType) ?? (hasList ? MEDIA_TYPES.ociIndex : MEDIA_TYPES.ociManifest);
  if (own !== undefined && knownType(declaredType) !== undefined && own !== declaredType)
    throw corrupt(`it says ${own} but was served as ${declaredType}`);
  const isIndexType = mediaType === MEDIA_TYPES.ociIndex || mediaType === MEDIA_TYPES.dockerList;
  const isImageType = mediaType === MEDIA_TYPES.ociManifest || mediaType === MEDIA_TYPES.dockerManifest;
  if (!isIndexType && !isImageType)
    throw new TscError('registry/unsupported', `manifests of type ${mediaType.slice(0, 200)} are not supported`);
  if (isIndexType !== hasList) throw corrupt(`content and type ${mediaType} contradict each other`);
  if (hasList)
    return { kind: 'index', mediaType, manifests: listOf(document['manifests'], 'manifests').map(decodeIndexEntry) };
  return {
    kind: 'manifest',
    mediaType,
    config: decodeDescriptor(document['config'], 'config'),
    layers: listOf(document['layers'], 'layers').map((item) => decodeDescriptor(item, 'layers')),
  };
}

function knownType(type: string | undefined): string | undefined {
  return Object.values(MEDIA_TYPES).find((item) => item === type);
}

function parseObject(bytes: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw corrupt('not valid JSON', error);
  }
  return objectOf(value, 'the document');
}

function objectOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw corrupt(`${what} is not an object`);
  return value as Record<string, unknown>;
}

function listOf(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value) || value.length > ENTRY_LIMIT)
    throw corrupt(`${what} is not a list of at most ${ENTRY_LIMIT} entries`);
  return value;
}

function decodeDescriptor(value: unknown, what: string): BlobDescriptor {
  const { mediaType, digest, size } = objectOf(value, what);
  if (typeof digest !== 'string' || !isDigest(digest)) throw corrupt(`${what} has no sha256 digest`);
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw corrupt(`${what} has no valid size`);
  if (typeof mediaType !== 'string' || mediaType.length > 255) throw corrupt(`${what} has no media type`);
  return { mediaType, digest, size };
}

function decodeIndexEntry(value: unknown): IndexEntry {
  const { platform, annotations } = objectOf(value, 'manifests');
  const texts = typeof annotations === 'object' && annotations !== null ? Object.entries(annotations) : [];
  return {
    ...decodeDescriptor(value, 'manifests'),
    platform: decodePlatform(platform),
    annotations: new Map(texts.filter((pair): pair is [string, string] => typeof pair[1] === 'string')),
  };
}

function decodePlatform(value: unknown): Platform | undefined {
  if (value === undefined || value === null) return undefined;
  const { os, architecture, variant } = objectOf(value, 'platform');
  if (typeof os !== 'string' || typeof architecture !== 'string') throw corrupt('platform without os and architecture');
  return { os, architecture, ...(typeof variant === 'string' && variant !== '' && { variant }) };
}
