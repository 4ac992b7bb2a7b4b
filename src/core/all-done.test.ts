import { expect, it } from 'vitest';
import { allDone } from './all-done.ts';

it('waits for everything before it throws the first failure', async () => {
  const slow = Promise.withResolvers<number>();
  let ended = false;
  const all = allDone([Promise.reject(new Error('first')), slow.promise, Promise.reject(new Error('second'))]).catch(
    (error: unknown) => {
      ended = true;
      throw error;
    },
  );
  await new Promise((resolve) => setImmediate(resolve));
  expect(ended).toBe(false);
  slow.resolve(1);
  await expect(all).rejects.toThrow('first');
});

it('gives the values in order', async () => {
  expect(await allDone([Promise.resolve(1), 'two'])).toEqual([1, 'two']);
});
