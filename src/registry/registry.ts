import type { Readable } from 'node:stream';
import type { Digest, ImageRef } from '../core/index.ts';

/** Login of one registry host. */
export type RegistryCredentials =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  /** OAuth2 refresh token, exchanged at the registry's token service. */
  | { readonly kind: 'identity'; readonly token: string };

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

/** Content in a registry: type, digest and exact size. */
export interface BlobDescriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
}

export interface PullRequest {
  readonly platform: Platform;
  readonly credentials?: RegistryCredentials;
  readonly signal?: AbortSignal;
}

/** An image chosen for one platform; its manifest bytes have the digest. */
export interface ResolvedImage {
  /** Digest that the reference named: of the index when there is one. */
  readonly referenceDigest: Digest;
  readonly manifest: { readonly mediaType: string; readonly digest: Digest; readonly bytes: Uint8Array };
  readonly config: BlobDescriptor;
  /** Bottom first. */
  readonly layers: readonly BlobDescriptor[];
}

/** A registry client. Errors: `registry/not-found`, `registry/denied`, `registry/unavailable`, `registry/corrupt`, `registry/unsupported`, `registry/failed`. */
export interface Registry {
  /** Reads the manifest of a reference, through an index when there is one. */
  resolve(ref: ImageRef, request: PullRequest): Promise<ResolvedImage>;
  /** The bytes of a manifest or index as they are, for artifacts that are no images; they have the digest. */
  readManifest(
    ref: ImageRef,
    request: Omit<PullRequest, 'platform'>,
  ): Promise<{ readonly digest: Digest; readonly bytes: Uint8Array }>;
  /** A blob as a stream that fails with `registry/corrupt` when size or digest is wrong; interrupted transfers are resumed. */
  openBlob(ref: ImageRef, blob: BlobDescriptor, request: Omit<PullRequest, 'platform'>): Promise<Readable>;
}
