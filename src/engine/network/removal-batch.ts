/** One thing to remove and who waits for it. */
interface Waiting<T> {
  readonly item: T;
  done(): void;
  failed(error: unknown): void;
}

/**
 * Removals that are asked for at about the same time go together: the kernel makes the caller wait as long for one bridge as for
 * many. What `check` refuses fails by itself and stops no other.
 */
export class RemovalBatch<T> {
  #waiting: Waiting<T>[] = [];
  readonly #check: (item: T) => void;
  /** Removes all of them, one run after the other. */
  readonly #remove: (items: () => readonly T[]) => Promise<void>;

  constructor(acts: {
    readonly check: (item: T) => void;
    readonly remove: (items: () => readonly T[]) => Promise<void>;
  }) {
    this.#check = acts.check;
    this.#remove = acts.remove;
  }

  add(item: T): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ item, done: resolve, failed: reject });
    // Requests of one client arrive in one turn of the loop; the first of them need not go alone.
    if (this.#waiting.length === 1) setImmediate(() => void this.#run());
    return promise;
  }

  async #run(): Promise<void> {
    const taken: Waiting<T>[] = [];
    try {
      await this.#remove(() => {
        for (const waiting of this.#waiting) {
          try {
            this.#check(waiting.item);
            taken.push(waiting);
          } catch (error) {
            waiting.failed(error);
          }
        }
        this.#waiting = [];
        return taken.map(({ item }) => item);
      });
      for (const { done } of taken) done();
    } catch (error) {
      for (const { failed } of taken) failed(error);
    }
  }
}
