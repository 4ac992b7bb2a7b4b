import type { Digest } from '../../core/index.ts';

/** HEALTHCHECK of an image; durations in nanoseconds, 0 means the default. */
export interface HealthcheckConfig {
  /** `NONE`, `CMD` with arguments, or `CMD-SHELL` with one line; empty inherits. */
  readonly test: readonly string[];
  readonly interval: number;
  readonly timeout: number;
  readonly startPeriod: number;
  readonly startInterval: number;
  readonly retries: number;
}

/** What an image says about the process to run. */
export interface ImageRunConfig {
  readonly user: string;
  readonly workingDir: string;
  /** `KEY=value`, in order. */
  readonly env: readonly string[];
  readonly entrypoint: readonly string[] | undefined;
  readonly cmd: readonly string[] | undefined;
  /** `80/tcp` */
  readonly exposedPorts: readonly string[];
  /** Absolute paths. */
  readonly volumes: readonly string[];
  readonly labels: ReadonlyMap<string, string>;
  readonly stopSignal: string | undefined;
  readonly shell: readonly string[] | undefined;
  readonly healthcheck: HealthcheckConfig | undefined;
  readonly onBuild: readonly string[];
}

export interface HistoryEntry {
  /** RFC 3339; empty when unknown. */
  readonly created: string;
  readonly createdBy: string;
  readonly author: string;
  readonly comment: string;
  /** The step made no layer. */
  readonly emptyLayer: boolean;
}

/** A decoded image config. */
export interface ImageConfig {
  readonly architecture: string;
  readonly os: string;
  readonly variant: string;
  /** RFC 3339; empty when unknown. */
  readonly created: string;
  readonly author: string;
  readonly run: ImageRunConfig;
  /** Bottom first. */
  readonly diffIds: readonly Digest[];
  readonly history: readonly HistoryEntry[];
}

export interface ImageLayer {
  readonly diffId: Digest;
  /** Digest of the stored, possibly compressed, archive. */
  readonly digest: Digest;
  /** Bytes of the stored archive. */
  readonly size: number;
  readonly mediaType: string;
}

export interface Image {
  /** Digest of the config: the image id of the Engine API. */
  readonly id: Digest;
  /** Digest of the manifest. */
  readonly digest: Digest;
  readonly config: ImageConfig;
  /** As users write them: `redis:7`. */
  readonly tags: readonly string[];
  /** `redis@sha256:…` for each repository it was pulled from. */
  readonly repoDigests: readonly string[];
  /** Bytes of file content of all layers, unpacked. */
  readonly size: number;
  /** Bottom first. */
  readonly layers: readonly ImageLayer[];
  /** Chain id of the top layer; undefined for an image without layers. */
  readonly chainId: Digest | undefined;
  /** Image this one was built on, when the builder said so. */
  readonly parent: Digest | undefined;
}
