import { setTimeout as delay } from 'node:timers/promises';
import type { EngineClient, EngineEvent, LogOptions } from '../client/index.ts';
import { isKind, TscError } from '../core/index.ts';
import { ABSENCE } from './follow-events.ts';
import { LogPosition } from './log-position.ts';
import type { ObservedContainer } from './observed-state.ts';
import type { ServiceWatch } from './service-watch.ts';

export interface LogLine {
  readonly service: string;
  readonly container: string;
  readonly number: number;
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
}

export interface FollowOptions {
  /** Last lines per container; all when absent. */
  readonly tail?: number;
  readonly since?: string;
  readonly until?: string;
  readonly timestamps?: boolean;
  readonly follow: boolean;
  readonly signal: AbortSignal;
  readonly onLine: (line: LogLine) => void;
}

/** What a log stream is read from. */
export type LogSource = Pick<ObservedContainer, 'id' | 'name' | 'service' | 'number'>;

/** Prints the output of containers line by line; resolves when all have ended (or, without follow, been read). */
export async function readLogs(
  client: EngineClient,
  sources: readonly LogSource[],
  options: FollowOptions,
): Promise<void> {
  await Promise.all(sources.map((source) => readOne(client, source, options)));
}

/** Log streams under way. */
export interface LogFollower {
  /** Resolves when what the container wrote until its end has been passed on. */
  settled(id: string): Promise<void>;
  /** No new containers from now on; resolves when every stream has ended by itself or by the signal. */
  drain(): Promise<void>;
}

/**
 * Follows the output of containers across restarts, and of those that join later. `accept` says which containers of an
 * event are of interest.
 */
export function followProject(
  client: EngineClient,
  watch: ServiceWatch,
  sources: readonly LogSource[],
  options: FollowOptions & { readonly accept: (event: EngineEvent) => LogSource | undefined },
): LogFollower {
  const reading = new Map<string, Promise<void>>();
  const finished = new Set<string>();
  const begin = (source: LogSource, read: FollowOptions) => {
    // One reader per container at a time: a restarted one is read on from its new start.
    const previous = reading.get(source.id) ?? Promise.resolve();
    // A container that is removed while it is followed ends its stream; that is no error of ours.
    const next = previous.then(() => readOne(client, source, read)).catch(() => undefined);
    reading.set(source.id, next);
    void next.then(() => {
      if (reading.get(source.id) === next) finished.add(source.id);
    });
    finished.delete(source.id);
  };
  for (const source of sources) begin(source, options);
  const { tail: _tail, since: _since, ...rest } = options;
  const ends = new Map<string, string>();
  const unlisten = watch.listen((event) => {
    if (event.action === 'die') ends.set(event.id, event.timeNano);
    const source = event.action === 'start' ? options.accept(event) : undefined;
    if (!source) return;
    // The first lines of a new run may be older than its start event, never older than the end of the run before.
    const end = ends.get(event.id);
    ends.delete(event.id);
    if (end !== undefined) begin(source, { ...rest, since: nanosecondsToSince(end) });
    else if (!reading.has(event.id)) begin(source, rest);
    else if (finished.has(event.id)) begin(source, { ...rest, since: nanosecondsToSince(event.timeNano) });
  });
  return {
    settled: async (id) => reading.get(id),
    drain: async () => {
      unlisten();
      await Promise.all(reading.values());
    },
  };
}

async function readOne(client: EngineClient, source: LogSource, options: FollowOptions): Promise<void> {
  const { tty } = await client.inspectContainer(source.id);
  const lines = new LineSplitter((stream, text) =>
    options.onLine({ service: source.service, container: source.name, number: source.number, stream, text }),
  );
  // A terminal's output is not split into entries: only the others can be continued exactly.
  const position = options.follow && !tty ? new LogPosition(options.timestamps === true) : undefined;
  let failures = 0;
  const pump = async (read: FollowOptions) => {
    const chunks = client.containerLogs(source.id, { ...logOptions(read), tty, ...(position && { timestamps: true }) });
    for await (const { stream, data } of chunks) {
      failures = 0;
      const entry = position ? position.take(data) : data;
      if (entry) lines.push(stream, entry);
    }
  };
  for (let read = options; ; read = position?.resume(options) ?? options) {
    try {
      await pump(read);
      break;
    } catch (error) {
      failures += 1;
      if (!isLost(error) || !position || failures * ABSENCE.pause > ABSENCE.most) throw error;
    }
    await delay(ABSENCE.pause);
    if (options.signal.aborted) return;
  }
  lines.finish();
}

function logOptions(options: FollowOptions): LogOptions {
  const { follow, tail, since, until, timestamps, signal } = options;
  return {
    follow,
    signal,
    ...(tail !== undefined && { tail }),
    ...(since !== undefined && { since }),
    ...(until !== undefined && { until }),
    ...(timestamps && { timestamps }),
  };
}

/** Whether the engine went away, as opposed to an answer of it. */
function isLost(error: unknown): boolean {
  return !(error instanceof TscError) || isKind(error, 'unavailable');
}

/** Cuts two byte streams into lines; a character is never cut in two. */
export class LineSplitter {
  readonly #emit: (stream: 'stdout' | 'stderr', text: string) => void;
  readonly #rest = { stdout: '', stderr: '' };
  readonly #decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };

  constructor(emit: (stream: 'stdout' | 'stderr', text: string) => void) {
    this.#emit = emit;
  }

  push(stream: 'stdout' | 'stderr', data: Uint8Array): void {
    const lines = (this.#rest[stream] + this.#decoders[stream].decode(data, { stream: true })).split('\n');
    this.#rest[stream] = lines.pop() ?? '';
    for (const line of lines) this.#emit(stream, line.endsWith('\r') ? line.slice(0, -1) : line);
  }

  finish(): void {
    for (const stream of ['stdout', 'stderr'] as const) {
      if (this.#rest[stream] !== '') this.#emit(stream, this.#rest[stream]);
      this.#rest[stream] = '';
    }
  }
}

/** `1700000000123456789` as the `1700000000.123456789` of the API. */
export function nanosecondsToSince(nanoseconds: string): string {
  const digits = nanoseconds.padStart(10, '0');
  return `${digits.slice(0, -9)}.${digits.slice(-9)}`;
}
