import type { DiagnosticCollector, Position } from '../core/index.ts';
import { type Node, positionOf, type Span } from './node.ts';

/** Values that all files of one load may have, each include and each base of a service counted as often as it is used. */
const MAX_VALUES = 1_000_000;
/** Characters that all files and expanded variables of one load may have. */
const MAX_TEXT = 64 << 20;

type Place = Span | Position | undefined;

/**
 * What one load may make of its files. Each file is within its own limits; together, named again and again, a few lines could
 * still become gigabytes. Told once; whoever is refused goes on without the value.
 */
export class LoadBudget {
  readonly #findings: DiagnosticCollector;
  readonly #sizes = new WeakMap<Node, number>();
  #values = MAX_VALUES;
  #text = MAX_TEXT;
  #told = false;

  constructor(findings: DiagnosticCollector) {
    this.#findings = findings;
  }

  /** Whether something was refused: nothing that is read from now on is used. */
  get isSpent(): boolean {
    return this.#told;
  }

  /** Whether one more use of the tree is within the limit. */
  takeTree(tree: Node, at: Place): boolean {
    return this.takeValues(this.#sizeOf(tree), at);
  }

  /** Whether so many more values are within the limit. */
  takeValues(count: number, at: Place): boolean {
    this.#values -= count;
    return this.#values >= 0 || this.#refuse(`the files stand for more than ${MAX_VALUES} values`, at);
  }

  /** Whether so many more characters are within the limit. */
  takeText(length: number, at: Place): boolean {
    this.#text -= length;
    return this.#text >= 0 || this.#refuse(`the files and variables have more than ${MAX_TEXT >> 20} MiB of text`, at);
  }

  #refuse(message: string, at: Place): false {
    if (!this.#told) {
      const hint = 'include and extend less, or split the project';
      this.#findings.add({
        code: 'compose/load-limit',
        severity: 'error',
        message,
        ...(at && { at: 'source' in at ? positionOf(at) : at }),
        hint,
      });
    }
    this.#told = true;
    return false;
  }

  /** Values with all aliases written out. */
  #sizeOf(node: Node): number {
    if (node.kind === 'scalar') return 1;
    const known = this.#sizes.get(node);
    if (known !== undefined) return known;
    let size = 1;
    if (node.kind === 'list') for (const item of node.items) size += this.#sizeOf(item);
    else for (const { value } of node.entries.values()) size += this.#sizeOf(value);
    this.#sizes.set(node, size);
    return size;
  }
}
