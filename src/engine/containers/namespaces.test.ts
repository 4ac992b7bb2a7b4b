import { describe, expect, it } from 'vitest';
import type { LiveContainer, Run } from './live-container.ts';
import { requireJoined } from './namespaces.ts';

const runOf = (running: boolean) => ({ monitor: { isRunning: async () => running } }) as Run;
const containerOf = (run: Run | undefined) => ({ run, record: { name: 'db' } }) as LiveContainer;

describe('a container whose namespace is joined by the number of its process', () => {
  const refusal = { code: 'container/conflict', message: expect.stringContaining('container db ended') as unknown };

  it('runs still when the runtime has opened it: the number was its own', async () => {
    const run = runOf(true);
    await requireJoined([{ container: containerOf(run), run }]);
  });

  it('it does not run when the runtime has opened it, whoever has the number: refused', async () => {
    const run = runOf(false);
    await expect(requireJoined([{ container: containerOf(run), run }])).rejects.toMatchObject(refusal);
    await expect(requireJoined([{ container: containerOf(undefined), run }])).rejects.toMatchObject(refusal);
  });

  it('runs again: that is another process', async () => {
    const run = runOf(true);
    await expect(requireJoined([{ container: containerOf(runOf(true)), run }])).rejects.toMatchObject(refusal);
    await expect(requireJoined([{ container: containerOf(run), run: undefined }])).rejects.toMatchObject(refusal);
  });
});
