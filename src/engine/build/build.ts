import type { Readable } from 'node:stream';
import type { Digest } from '../../core/index.ts';
import type { RegistryCredentials } from '../../registry/index.ts';
import type { ImageProgress } from '../images/index.ts';

/** What a build is made from. */
export interface BuildRequest {
  /** Build context as tar: plain, gzip, bzip2, xz or zstd. */
  readonly context: Readable;
  /** Path inside the context; default `Dockerfile`. */
  readonly dockerfile?: string;
  /** Names for the result, `repository[:tag]`. */
  readonly tags: readonly string[];
  /** Values for ARG; a name without value takes nothing. */
  readonly buildArgs: ReadonlyMap<string, string>;
  /** Labels added to the result, over those of the file. */
  readonly labels: ReadonlyMap<string, string>;
  /** Stage name or number to stop at; default the last. */
  readonly target?: string;
  readonly noCache?: boolean;
  /** Fetch base images even when they are here. */
  readonly pull?: boolean;
  readonly network?: 'default' | 'none' | 'host';
  /** `name:address` lines for /etc/hosts of RUN steps. */
  readonly extraHosts?: readonly string[];
  readonly shmSizeBytes?: number;
  /** Only the host's own platform is built. */
  readonly platform?: string;
  /** Credentials for pulling base images, by registry host. */
  readonly credentials?: (registry: string) => RegistryCredentials | undefined;
}

/** What a running build reports: text for people, pull progress, the id at the end. */
export type BuildProgress =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'pull'; readonly progress: ImageProgress }
  | { readonly kind: 'result'; readonly id: Digest };

export interface BuildOptions {
  readonly onProgress: (event: BuildProgress) => void;
  readonly signal?: AbortSignal;
}

/** The builder. One call is one build; calls may overlap. */
export interface BuildService {
  /** Builds and names an image; resolves with its id. Throws `dockerfile/…` for the file, `build/failed` for a step, `build/cancelled`. */
  build(request: BuildRequest, options: BuildOptions): Promise<Digest>;
  /** Forgets cached steps; returns how many there were. Layers go with the images' own garbage collection. */
  pruneCache(): Promise<number>;
}
