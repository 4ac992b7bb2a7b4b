/**
 * Inverses of the acts done so far. `run` calls them newest first and collects their failures instead of stopping;
 * `clear` forgets them once the whole succeeded.
 */
export class UndoList {
  #steps: { readonly what: string; readonly undo: () => Promise<void> | void }[] = [];

  /** Registers the inverse of an act that has just succeeded. */
  add(what: string, undo: () => Promise<void> | void): void {
    this.#steps.push({ what, undo });
  }

  clear(): void {
    this.#steps = [];
  }

  /** Undoes everything; returns what could not be undone. */
  async run(): Promise<{ readonly what: string; readonly error: unknown }[]> {
    const failures: { what: string; error: unknown }[] = [];
    for (const step of this.#steps.reverse()) {
      try {
        await step.undo();
      } catch (error) {
        failures.push({ what: step.what, error });
      }
    }
    this.#steps = [];
    return failures;
  }
}
