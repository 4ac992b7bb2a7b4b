import { describe, expect, it } from 'vitest';
import { systemClock } from '../../host/index.ts';
import type { EngineEvent, EventInput } from './event.ts';
import { createEventLog } from './event-log.ts';

const event = (action: string, id = 'c1', attributes: Record<string, string> = {}): EventInput => ({
  type: 'container',
  action,
  actor: { id, attributes },
});

async function all(events: AsyncIterable<EngineEvent>): Promise<string[]> {
  const found: string[] = [];
  for await (const item of events) found.push(item.action);
  return found;
}

describe('events', () => {
  it('keeps order and replays from a time', async () => {
    const log = createEventLog(systemClock);
    const first = log.publish(event('create'));
    const second = log.publish(event('start'));
    expect(second.timeNano > first.timeNano).toBe(true);
    expect(await all(log.subscribe({ since: 0n, until: second.timeNano }))).toEqual(['create', 'start']);
    expect(await all(log.subscribe({ since: second.timeNano, until: second.timeNano }))).toEqual(['start']);
  });

  it('delivers what is published after the call, even before the first read', async () => {
    const log = createEventLog(systemClock);
    const stop = new AbortController();
    const events = log.subscribe({ signal: stop.signal });
    log.publish(event('one'));
    log.publish(event('two'));
    stop.abort();
    log.publish(event('three'));
    expect(await all(events)).toEqual(['one', 'two']);
  });

  it.each([
    [{ event: ['health_status'] }, ['health_status: healthy']],
    [{ label: ['a=1'] }, ['start']],
    [{ label: ['a'] }, ['start']],
    [{ container: ['web'] }, ['start']],
    [{ container: ['c9'] }, ['die']],
    [{ image: ['busybox'] }, ['die']],
    [{ type: ['image'] }, []],
    [{ event: ['start', 'die'], container: ['c9'] }, ['die']],
  ])('filters by %j', async (filter, expected) => {
    const log = createEventLog(systemClock);
    log.publish(event('start', 'c1', { a: '1', name: 'web' }));
    log.publish(event('die', 'c9', { image: 'busybox' }));
    const last = log.publish(event('health_status: healthy', 'c2'));
    expect(await all(log.subscribe({ since: 0n, until: last.timeNano, filter }))).toEqual(expected);
  });
});
