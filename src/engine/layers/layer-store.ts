import type { Readable } from 'node:stream';
import type { Digest } from '../../core/index.ts';
import type { LayerTool } from './layer-tool.ts';

/** One layer of an image and where its archive is read from. */
export interface LayerContent {
  readonly diffId: Digest;
  /** Opens the archive, compressed or not; called only when the layer is not unpacked yet. */
  readonly open: () => Promise<Readable>;
}

export interface EnsureOptions {
  readonly signal?: AbortSignal;
  /** Called once per layer: when it was unpacked, or at once when it was there. */
  readonly onLayer?: (diffId: Digest, outcome: 'unpacked' | 'present') => void;
}

export interface LayerRecord {
  readonly diffId: Digest;
  /** Bytes of file content. */
  readonly bytes: number;
  readonly entries: number;
}

export interface LayerStore {
  /** The confined file operations of the native helper. */
  readonly tool: LayerTool;
  /** Unpacks what is missing of a stack given bottom first. Returns the directories top first, as overlay wants them; none for scratch. Throws `layer/corrupt` when an archive does not have its diff id. */
  ensure(layers: readonly LayerContent[], options?: EnsureOptions): Promise<string[]>;
  /** Directories of a stack, top first, when all are unpacked; else undefined. */
  directories(diffIds: readonly Digest[]): Promise<string[] | undefined>;
  /** Takes over an overlay upper directory (same file system; it is renamed away) as the unpacked form of a layer that was made from it. */
  adopt(diffId: Digest, upper: string): Promise<void>;
  /** What is known of an unpacked layer; `below` are the diff ids of the layers under it, bottom first. */
  record(diffId: Digest, below: readonly Digest[]): Promise<LayerRecord | undefined>;
  /**
   * Removes unpacked layers that belong to no stack in `keep` (diff ids bottom first); with `among` only those of these
   * stacks. Layers being unpacked stay.
   */
  removeUnreferenced(keep: Iterable<readonly Digest[]>, among?: Iterable<readonly Digest[]>): Promise<Digest[]>;
}

export interface LayerStoreOptions {
  /** `<data>/layers`; created when absent. */
  readonly directory: string;
  readonly tool: LayerTool;
}
