/** A step that writes files: what it depends on, and how it is done. */
export interface StepWork {
  /** Texts that, with the layers below, decide the result; the cache key. */
  readonly does: readonly string[];
  /** Does it; returns the directory whose content is the layer. */
  perform(): Promise<{ readonly upper: string }>;
}
