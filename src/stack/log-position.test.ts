import { expect, it } from 'vitest';
import { LogPosition } from './log-position.ts';

const at = (time: string, text: string) => Buffer.from(`2026-01-31T12:00:0${time}Z ${text}`);

it('goes on after the last entry, also when several have one time', () => {
  const position = new LogPosition(false);
  const take = (entry: Buffer) => position.take(entry)?.toString();
  expect(position.resume({ tail: 5, since: '1' })).toEqual({ tail: 5, since: '1' });
  const entries = [at('1.000000001', 'a'), at('2.5', 'b'), at('2.5', 'c'), at('2.5', 'd'), at('3', 'e')];
  expect(entries.slice(0, 3).map(take)).toEqual(['a', 'b', 'c']);
  expect(position.resume({ tail: 5, since: '1' })).toEqual({ since: '1769860802.5' });
  // The engine answers from that time on, the entries of that time included.
  expect(entries.slice(1).map(take)).toEqual([undefined, undefined, 'd', 'e']);
  position.resume({});
  // Or without them: nothing new may be lost.
  expect(take(at('4', 'f'))).toBe('f');
});

it('keeps times when they are wanted, and takes what has none as it is', () => {
  const entry = at('1.5', 'a');
  expect(new LogPosition(true).take(entry)).toBe(entry);
  expect(new LogPosition(false).take(Buffer.from('no time'))?.toString()).toBe('no time');
});
