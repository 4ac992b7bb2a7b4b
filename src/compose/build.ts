import type { Extensible } from './extension.ts';
import type { FileGrant, Ulimit } from './grants.ts';

/** How to build a service's image. */
export interface Build extends Extensible {
  /** Absolute folder, or a git or http address. */
  readonly context: string;
  /** Relative to the context, or absolute; absent when `dockerfileInline` is used. */
  readonly dockerfile?: string;
  readonly dockerfileInline?: string;
  readonly entitlements: readonly string[];
  /** ARG values; one that neither the file nor the caller's environment gives is left out, null while unresolved. */
  readonly args: ReadonlyMap<string, string | null>;
  /** ssh agent or keys by id; an empty path means the caller's agent. */
  readonly ssh: ReadonlyMap<string, string>;
  readonly labels: ReadonlyMap<string, string>;
  readonly cacheFrom: readonly string[];
  readonly cacheTo: readonly string[];
  readonly noCache: boolean;
  readonly noCacheFilter: readonly string[];
  readonly additionalContexts: ReadonlyMap<string, string>;
  readonly pull: boolean;
  readonly extraHosts: ReadonlyMap<string, readonly string[]>;
  readonly isolation?: string;
  readonly network?: string;
  /** Stage to stop at. */
  readonly target?: string;
  readonly secrets: readonly FileGrant[];
  /** Bytes. */
  readonly shmSize?: number;
  readonly tags: readonly string[];
  readonly ulimits: ReadonlyMap<string, Ulimit>;
  readonly platforms: readonly string[];
  readonly privileged: boolean;
  readonly provenance?: string;
  readonly sbom?: string;
}
