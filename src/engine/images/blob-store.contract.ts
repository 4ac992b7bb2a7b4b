import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import type { Digest } from '../../core/index.ts';
import type { BlobStore } from './blob-store.ts';

async function* chunks(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

const digestOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}` as Digest;

/** What every blob store does; `open` gives an empty one. */
export function describeBlobStore(name: string, open: () => Promise<BlobStore>): void {
  describe(`blob store: ${name}`, () => {
    it('gives back what was added', async () => {
      const store = await open();
      const blob = await store.add(chunks('he', 'llo'));
      expect(blob).toEqual({ digest: digestOf('hello'), size: 5 });
      expect((await buffer(await store.open(blob.digest))).toString()).toBe('hello');
      expect((await store.read(blob.digest, 5)).toString()).toBe('hello');
      expect(await store.size(blob.digest)).toBe(5);
      expect(await store.list()).toEqual([blob.digest]);
    });

    it('adds the same content twice and at the same time', async () => {
      const store = await open();
      await Promise.all(Array.from({ length: 8 }, () => store.add(chunks('same'))));
      expect(await store.list()).toEqual([digestOf('same')]);
    });

    it('keeps nothing that is not what was expected', async () => {
      const store = await open();
      for (const expected of [{ digest: digestOf('x') }, { size: 4 }, { size: 6 }])
        await expect(store.add(chunks('hello'), expected)).rejects.toMatchObject({ code: 'image/corrupt' });
      const failing = (async function* () {
        yield Buffer.from('part');
        throw new Error('cut off');
      })();
      await expect(store.add(failing)).rejects.toThrow('cut off');
      expect(await store.list()).toEqual([]);
    });

    it('does not read more than allowed', async () => {
      const store = await open();
      const { digest } = await store.add(chunks('hello'));
      await expect(store.read(digest, 4)).rejects.toMatchObject({ code: 'image/exhausted' });
    });

    it('removes, also what is not there', async () => {
      const store = await open();
      const { digest } = await store.add(chunks('hello'));
      await store.remove(digest);
      await store.remove(digest);
      expect(await store.size(digest)).toBeUndefined();
      await expect(store.open(digest)).rejects.toMatchObject({ code: 'image/not-found' });
      await expect(store.read(digest, 9)).rejects.toMatchObject({ code: 'image/not-found' });
    });

    it('holds an empty blob', async () => {
      const store = await open();
      expect(await store.add(chunks())).toEqual({ digest: digestOf(''), size: 0 });
      expect(await store.read(digestOf(''), 0)).toHaveLength(0);
    });
  });
}
