/**
 * registry: the distribution protocol – manifests and blobs from OCI and Docker registries, with token and basic
 * authentication. Refuses plain http except for loopback and listed hosts, content that does not have its digest, and to
 * show credentials to any host but the one they belong to.
 */
export type {
  BlobDescriptor,
  Platform,
  PullRequest,
  Registry,
  RegistryCredentials,
  ResolvedImage,
} from './registry.ts';
