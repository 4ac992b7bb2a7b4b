import type { EngineClient, EngineEvent } from '../client/index.ts';
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
  const begin = (source: LogSource, read: FollowOptions) => {
    // One reader per container at a time: a restarted one is read on from its new start.
    const previous = reading.get(source.id) ?? Promise.resolve();
    // A container that is removed while it is followed ends its stream; that is no error of ours.
    const next = previous.then(() => readOne(client, source, read)).catch(() => undefined);
    reading.set(source.id, next);
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
    if (end !== undefined) begin(source, { ...rest, since: nanosecondsToSince(end) });
    else begin(source, reading.has(event.id) ? { ...rest, since: nanosecondsToSince(event.timeNano) } : rest);
  });
  return {
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
  const chunks = client.containerLogs(source.id, {
    follow: options.follow,
    tty,
    ...(options.tail !== undefined && { tail: options.tail }),
    ...(options.since !== undefined && { since: options.since }),
    ...(options.until !== undefined && { until: options.until }),
    ...(options.timestamps && { timestamps: true }),
    signal: options.signal,
  });
  for await (const { stream, data } of chunks) lines.push(stream, data);
  lines.finish();
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
