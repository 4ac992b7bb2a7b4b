import { join } from 'node:path';
import {
  hashTexts,
  listDirectory,
  makeDirectory,
  readJsonIfExists,
  removeFile,
  writeAtomically,
} from '../../host/index.ts';
import type { LayerDescriptor } from '../images/index.ts';
import { createKeyedLock } from '../state/index.ts';

/** What a step made: a layer, or nothing. */
export interface CachedStep {
  readonly layer: LayerDescriptor | null;
}

/** Key of a step: what it does and the content it works on. Image history never takes part, so a loaded image cannot poison it. */
export function stepKey(parts: { readonly below: readonly string[]; readonly does: readonly string[] }): string {
  return hashTexts(['step 1', ...parts.below, 'does', ...parts.does]);
}

/** Results of steps on disk, one file each. */
export class StepCache {
  readonly #directory: string;
  readonly #steps = createKeyedLock();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Whether another build is doing this very step now. */
  isUnderWay(key: string): boolean {
    return this.#steps.isHeld(key);
  }

  /** Does a step while nobody else does the same one: builds that run side by side do common work once. */
  alone<T>(key: string, work: () => Promise<T>): Promise<T> {
    return this.#steps.run(key, work);
  }

  /** The result of a step seen before; a damaged record counts as none. */
  async find(key: string): Promise<CachedStep | undefined> {
    try {
      const value = await readJsonIfExists(this.#path(key));
      return isCachedStep(value) ? value : undefined;
    } catch {
      // A cache may lose anything; the step is simply done again.
      return undefined;
    }
  }

  async store(key: string, step: CachedStep): Promise<void> {
    await this.#write(this.#path(key), step);
  }

  /** Id of the image that the same build made before. */
  async findImage(key: string): Promise<string | undefined> {
    try {
      const value = await readJsonIfExists(this.#path(`image-${key}`));
      return typeof value === 'object' && value !== null && 'image' in value && typeof value.image === 'string'
        ? value.image
        : undefined;
    } catch {
      return undefined;
    }
  }

  async storeImage(key: string, image: string): Promise<void> {
    await this.#write(this.#path(`image-${key}`), { image });
  }

  /** Forgets everything; returns the number of records. */
  async clear(): Promise<number> {
    const names = (await listDirectory(this.#directory)).filter((name) => name.endsWith('.json'));
    for (const name of names) await removeFile(join(this.#directory, name));
    return names.length;
  }

  async #write(path: string, value: object): Promise<void> {
    await makeDirectory(this.#directory);
    await writeAtomically(path, JSON.stringify(value));
  }

  #path(key: string): string {
    return join(this.#directory, `${key}.json`);
  }
}

function isCachedStep(value: unknown): value is CachedStep {
  if (typeof value !== 'object' || value === null || !('layer' in value)) return false;
  const { layer } = value;
  if (layer === null) return true;
  return (
    typeof layer === 'object' &&
    layer !== undefined &&
    'diffId' in layer &&
    'digest' in layer &&
    'size' in layer &&
    'mediaType' in layer
  );
}
