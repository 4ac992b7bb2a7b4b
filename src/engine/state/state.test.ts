import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createKeyedLock, openRecordStore } from './index.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tsc-state-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const parse = (value: unknown) => {
  if (typeof value === 'object' && value !== null && 'n' in value) return value;
  throw new Error('no record');
};

describe('records', () => {
  it('are read back as written, half-made and damaged ones apart', async () => {
    const store = await openRecordStore(directory, parse);
    await store.prepare('a');
    await store.save('a', { n: 1 }, { durable: true });
    await store.prepare('half');
    mkdirSync(join(directory, 'torn'));
    writeFileSync(join(directory, 'torn', 'record.json'), '{"n":');
    const { records, incomplete, damaged } = await (await openRecordStore(directory, parse)).load();
    expect([...records]).toEqual([['a', { n: 1 }]]);
    expect(incomplete).toEqual(['half']);
    expect(damaged.map((item) => item.key)).toEqual(['torn']);
  });

  it('are gone after removal', async () => {
    const store = await openRecordStore(directory, parse);
    await store.prepare('a');
    await store.save('a', { n: 1 });
    await store.remove('a');
    expect((await store.load()).records.size).toBe(0);
  });
});

describe('locks', () => {
  it('run work of one key in order, of others at once, and go on after a failure', async () => {
    const lock = createKeyedLock();
    const seen: string[] = [];
    const work = (key: string, name: string, ms: number) =>
      lock.run(key, async () => {
        await delay(ms);
        seen.push(name);
      });
    await Promise.all([work('a', 'a1', 20), work('a', 'a2', 0), work('b', 'b1', 0)]);
    expect(seen).toEqual(['b1', 'a1', 'a2']);
    await expect(lock.run('a', () => Promise.reject(new Error('x')))).rejects.toThrow('x');
    await work('a', 'a3', 0);
    expect(seen.at(-1)).toBe('a3');
    await delay(0);
    expect(lock.isHeld('a')).toBe(false);
  });
});
