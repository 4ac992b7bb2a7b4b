/** Runs work on one key after the other, work on different keys at the same time. */
export interface KeyedLock {
  run<T>(key: string, work: () => Promise<T>): Promise<T>;
  isHeld(key: string): boolean;
}

/** A lock without holders. Not reentrant: work that asks for its own key waits for ever. */
export function createKeyedLock(): KeyedLock {
  const tails = new Map<string, Promise<unknown>>();
  return {
    run<T>(key: string, work: () => Promise<T>): Promise<T> {
      const before = tails.get(key) ?? Promise.resolve();
      const result = before.then(work, work);
      const tail = result.then(
        () => undefined,
        () => undefined,
      );
      tails.set(key, tail);
      void tail.then(() => {
        if (tails.get(key) === tail) tails.delete(key);
      });
      return result;
    },
    isHeld: (key) => tails.has(key),
  };
}
