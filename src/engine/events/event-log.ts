import type { Clock } from '../../host/index.ts';
import type { EngineEvent, EventInput } from './event.ts';

/** Each key must match with one of its values; names as in the Engine API. */
export interface EventFilter {
  readonly type?: readonly string[];
  /** The action, or its part before a colon (`exec_start`). */
  readonly event?: readonly string[];
  /** Id, id prefix or name. */
  readonly container?: readonly string[];
  readonly image?: readonly string[];
  readonly network?: readonly string[];
  readonly volume?: readonly string[];
  /** `key` or `key=value`. */
  readonly label?: readonly string[];
}

export interface EventQuery {
  /** Nanoseconds since 1970: first the kept events from here on. Absent: only new ones. */
  readonly since?: bigint;
  /** Ends there; in the past: only kept events. */
  readonly until?: bigint;
  readonly filter?: EventFilter;
  readonly signal?: AbortSignal;
}

/** The engine's events. */
export interface EventLog {
  publish(event: EventInput): EngineEvent;
  /** Listens from the moment of the call (not of the first read); ends by `until` or the signal. */
  subscribe(query?: EventQuery): AsyncIterable<EngineEvent>;
  /** Calls back synchronously on every event; returns the way out. */
  listen(listener: (event: EngineEvent) => void): () => void;
}

const CAPACITY = 4096;
/** A subscriber that does not read this many is cut off instead of filling the memory. */
const BACKLOG = 65_536;

/** An empty log. */
export function createEventLog(clock: Clock): EventLog {
  const ring: EngineEvent[] = [];
  const listeners = new Set<(event: EngineEvent) => void>();
  let sequence = 0;
  let last = 0n;

  const publish = (input: EventInput): EngineEvent => {
    const now = BigInt(Math.round(clock.now() * 1e6));
    // The wall clock may step back or be coarse; order must still hold.
    last = now > last ? now : last + 1n;
    sequence += 1;
    const event: EngineEvent = { ...input, sequence, timeNano: last };
    ring.push(event);
    if (ring.length > CAPACITY) ring.splice(0, ring.length - CAPACITY);
    for (const listener of [...listeners]) listener(event);
    return event;
  };

  const listen = (listener: (event: EngineEvent) => void) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  };

  const subscribe = (query: EventQuery = {}): AsyncIterable<EngineEvent> => {
    const wanted = (event: EngineEvent) =>
      (query.since === undefined || event.timeNano >= query.since) &&
      (query.until === undefined || event.timeNano <= query.until) &&
      matchesEvent(event, query.filter ?? {});
    const pending = query.since === undefined ? [] : ring.filter(wanted);
    return streamEvents({ query, pending, wanted, listen, clock });
  };

  return { publish, subscribe, listen };
}

interface Subscription {
  readonly query: EventQuery;
  readonly pending: EngineEvent[];
  readonly wanted: (event: EngineEvent) => boolean;
  readonly listen: EventLog['listen'];
  readonly clock: Clock;
}

function streamEvents(input: Subscription): AsyncIterable<EngineEvent> {
  const { pending, query } = input;
  let wake: (() => void) | undefined;
  const stop = new AbortController();
  const signal = query.signal ? AbortSignal.any([query.signal, stop.signal]) : stop.signal;
  const leave = input.listen((event) => {
    if (!input.wanted(event)) return;
    pending.push(event);
    if (pending.length > BACKLOG) stop.abort();
    wake?.();
  });
  signal.addEventListener('abort', () => {
    leave();
    wake?.();
  });
  if (query.signal?.aborted) leave();
  if (query.until !== undefined) {
    const left = Number(query.until / 1_000_000n) - input.clock.now();
    if (left <= 0) stop.abort();
    else
      input.clock.sleep(left, signal).then(
        () => stop.abort(),
        () => undefined,
      );
  }
  return (async function* () {
    try {
      for (;;) {
        for (let event = pending.shift(); event; event = pending.shift()) yield event;
        if (signal.aborted) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      stop.abort();
    }
  })();
}

/** Whether an event passes a filter. */
export function matchesEvent(event: EngineEvent, filter: EventFilter): boolean {
  const { attributes, id } = event.actor;
  const names = (type: string, values: readonly string[] | undefined) =>
    values === undefined ||
    values.length === 0 ||
    (event.type === type &&
      values.some(
        (value) => value !== '' && (id.startsWith(value) || attributes['name'] === value.replace(/^\//, '')),
      )) ||
    // A container's event also names its image; a network's its container.
    (event.type !== type && values.some((value) => attributes[type] === value));
  return (
    oneOf(filter.type, (value) => value === event.type) &&
    oneOf(filter.event, (value) => event.action === value || event.action.startsWith(`${value}:`)) &&
    names('container', filter.container) &&
    names('image', filter.image) &&
    names('network', filter.network) &&
    names('volume', filter.volume) &&
    (filter.label ?? []).every((value) => hasLabel(attributes, value))
  );
}

function oneOf(values: readonly string[] | undefined, test: (value: string) => boolean): boolean {
  return values === undefined || values.length === 0 || values.some(test);
}

function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const at = wanted.indexOf('=');
  if (at < 0) return Object.hasOwn(labels, wanted);
  return Object.hasOwn(labels, wanted.slice(0, at)) && labels[wanted.slice(0, at)] === wanted.slice(at + 1);
}
