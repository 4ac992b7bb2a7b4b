import { mergeKey } from './merge-key.ts';
import type { Entry, Node, Span } from './node.ts';

/** Thrown where a text says something that only the YAML library knows, or knows how to complain about. */
export class Beyond extends Error {}

/** A key of a mapping as it is written. */
export interface PlainKey {
  readonly key: Span;
  readonly text: string;
  /** `<<` */
  readonly merges: boolean;
}

/** What a mapping holds, as its keys come in. */
export class PlainEntries {
  readonly #entries = new Map<string, Entry>();
  #merged: Node | undefined;

  add({ key, text, merges }: PlainKey, value: Node): void {
    if (merges ? this.#merged : this.#entries.has(text)) throw new Beyond();
    if (merges) this.#merged = value;
    else this.#entries.set(text, { key, value });
  }

  close(): ReadonlyMap<string, Entry> {
    if (this.#merged && mergeKey(this.#entries, this.#merged)) throw new Beyond();
    return this.#entries;
  }
}
