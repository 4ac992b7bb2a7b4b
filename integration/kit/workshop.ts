import { afterAll, beforeAll, expect } from 'vitest';
import { openWorkshop, type Workshop } from './bundle.ts';

/** One workshop for all scenarios of a file: opened before the first, closed and found empty after the last. */
export function workshopOfFile(): Workshop {
  let opened: Workshop | undefined;
  const shop = (): Workshop => {
    if (!opened) throw new Error('the workshop is open only while the scenarios run');
    return opened;
  };
  beforeAll(() => {
    opened = openWorkshop();
  });
  afterAll(async () => {
    await shop().close();
    expect(shop().leftovers()).toEqual([]);
  });
  return {
    get directory() {
      return shop().directory;
    },
    get cgroup() {
      return shop().cgroup;
    },
    bundle: (words, change) => shop().bundle(words, change),
    leftovers: () => shop().leftovers(),
    close: () => shop().close(),
  };
}
