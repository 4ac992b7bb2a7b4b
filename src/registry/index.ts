/**
 * registry: the distribution protocol – manifests and blobs from OCI and Docker registries, with token and basic
 * authentication. Refuses plain http except for loopback and listed hosts, content that does not have its digest, and to
 * show credentials to any host but the one they belong to.
 */
export {
  decodeManifest,
  digestOf,
  type IndexEntry,
  MANIFEST_LIMIT,
  type ManifestDocument,
  MEDIA_TYPES,
} from './manifest.ts';
export { openRegistry, type RegistryOptions } from './open-registry.ts';
export { choosePlatform, formatPlatform, hostPlatform, parsePlatform } from './platform.ts';
export type {
  BlobDescriptor,
  Platform,
  PullRequest,
  Registry,
  RegistryCredentials,
  ResolvedImage,
} from './registry.ts';
