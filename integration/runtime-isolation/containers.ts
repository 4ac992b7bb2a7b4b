import { expect } from 'vitest';
import type { Bundle, Config, Workshop } from '../kit/bundle.ts';
import { createContainer } from '../kit/oci-container.ts';

type Change = (config: Config) => void;

/** The two kinds of containers that the scenarios look at. */
export function containersOf(shop: Workshop) {
  return {
    /** Output of a container that runs the payload with these words, and leaves nothing. */
    async inside(
      words: readonly string[],
      change?: Change,
      prepare: (bundle: Bundle) => void = () => undefined,
    ): Promise<string> {
      const bundle = shop.bundle(words, change);
      prepare(bundle);
      const result = await bundle.runtime('run', bundle.id);
      expect(result).toMatchObject({ status: 0 });
      expect(shop.leftovers()).toEqual([]);
      return result.stdout;
    },
    /** One that is created and waits. */
    async created(change?: Change): Promise<{ bundle: Bundle; pid: number }> {
      const bundle = shop.bundle(['pause'], change);
      const { pid, stderr } = await createContainer(bundle);
      expect(stderr).toBe('');
      return { bundle, pid };
    },
  };
}
