import type { ContainerStats as WireStats } from '../../api/index.ts';
import { formatAttachHeader } from '../../api/index.ts';
import { TscError } from '../../core/index.ts';
import type { AttachSession, ContainerStats, LogFrame, LogFrames } from '../../engine/index.ts';
import { parseDetachKeys, watchDetachKeys } from '../detach-keys.ts';
import { type ApiResponse, type HijackSession, json, stream } from '../http-message.ts';
import { type Route, type RouteCall, route } from '../match-route.ts';
import { flag, flagDefaultOn, parseTime } from '../query-values.ts';
import type { DaemonServices } from '../services.ts';
import { outputType } from '../stream-types.ts';

/** What containers say and do over time. */
export const containerStreamRoutes: readonly Route[] = [
  route('GET', '/containers/{id}/logs', logs),
  route('GET', '/containers/{id}/stats', stats),
  route('POST', '/containers/{id}/attach', attach),
  route('GET', '/containers/{id}/attach/ws', () => {
    throw new TscError('daemon/unsupported', 'attaching by websocket is not supported', {
      hint: 'use POST /containers/{id}/attach',
    });
  }),
];

async function logs({ request, services, param, version }: RouteCall): Promise<ApiResponse> {
  const { query } = request;
  const now = services.clock.now();
  const since = parseTime(query.get('since'), now, 'since');
  const until = parseTime(query.get('until'), now, 'until');
  const stdout = flag(query, 'stdout');
  const stderr = flag(query, 'stderr');
  if (!stdout && !stderr) {
    throw new TscError('daemon/invalid', 'choose at least one of stdout and stderr', { hint: 'add stdout=1' });
  }
  const tail = readTail(query.get('tail'));
  const { config } = await services.engine.containers.inspect(param('id'));
  const frames = await services.engine.containers.logs(param('id'), {
    stdout,
    stderr,
    follow: flag(query, 'follow'),
    ...(tail !== undefined && { tail }),
    // 0 is how clients say «from the beginning».
    ...(since !== undefined && since > 0n && { since }),
    ...(until !== undefined && until > 0n && { until }),
    signal: request.signal,
  });
  const format = { timestamps: flag(query, 'timestamps'), details: flag(query, 'details'), tty: config.tty };
  return stream(outputType(config.tty, version), formatLog(frames, format));
}

function readTail(text: string | null): number | undefined {
  if (text === null || text === '' || text === 'all') return undefined;
  const lines = Number(text);
  // Anything that is no count means everything, as in the published API.
  return Number.isSafeInteger(lines) && lines >= 0 ? lines : undefined;
}

interface LogFormat {
  readonly timestamps: boolean;
  readonly details: boolean;
  readonly tty: boolean;
}

async function* formatLog(frames: LogFrames, format: LogFormat): AsyncGenerator<Buffer> {
  for await (const batch of frames.batches ?? singles(frames)) yield formatBatch(batch, format);
}

async function* singles(frames: AsyncIterable<LogFrame>): AsyncGenerator<readonly LogFrame[]> {
  for await (const frame of frames) yield [frame];
}

/** One piece for many lines: a write for each would cost more than all the rest. */
function formatBatch(batch: readonly LogFrame[], format: LogFormat): Buffer {
  return Buffer.concat(
    batch.flatMap((frame) => {
      const prefix = `${format.timestamps ? `${frame.time} ` : ''}${format.details ? ' ' : ''}`;
      const data = prefix === '' ? frame.data : Buffer.concat([Buffer.from(prefix), frame.data]);
      return format.tty ? [data] : [formatAttachHeader(frame.stream === 'stderr' ? 2 : 1, data.length), data];
    }),
  );
}

async function attach({ request, services, param, version }: RouteCall): Promise<ApiResponse> {
  const { query } = request;
  const keys = parseDetachKeys(query.get('detachKeys') ?? '');
  const stdin = flag(query, 'stdin');
  const { config } = await services.engine.containers.inspect(param('id'));
  const session = await services.engine.containers.attach(param('id'), {
    stdin,
    stdout: flag(query, 'stdout'),
    stderr: flag(query, 'stderr'),
    logs: flag(query, 'logs'),
    stream: flag(query, 'stream'),
  });
  return {
    kind: 'hijack',
    contentType: outputType(session.tty, version),
    session: stdin && session.tty ? withDetachKeys(session, keys) : joinable(session, config.stdinOnce && !session.tty),
  };
}

function joinable(session: AttachSession, endsInput: boolean): HijackSession {
  const { input, output, done } = session;
  return { input, output, done, endsInput, close: () => session.close() };
}

/** A terminal's session with its input watched for the detach keys. */
export function withDetachKeys(session: Omit<HijackSession, 'endsInput'>, keys: Buffer): HijackSession {
  const { promise: detached, resolve: detach } = Promise.withResolvers<void>();
  const input = watchDetachKeys(keys, () => {
    session.close();
    detach();
  });
  input.pipe(session.input);
  session.input.on('error', () => input.destroy());
  const done = Promise.race([session.done, detached]);
  return { output: session.output, input, endsInput: false, done, close: () => session.close() };
}

async function stats({ request, services, param }: RouteCall): Promise<ApiResponse> {
  const { query } = request;
  const details = await services.engine.containers.inspect(param('id'));
  const identity = { id: details.id, name: `/${details.name}` };
  const sample = () => services.engine.containers.stats(details.id);
  const first = await sample();
  if (flagDefaultOn(query, 'stream')) {
    return stream('application/json', followStats({ services, identity, sample, first, signal: request.signal }));
  }
  if (flag(query, 'one-shot')) return json(statsView(identity, first, undefined));
  await services.clock.sleep(1000, request.signal);
  return json(statsView(identity, await sample(), first));
}

interface StatsSource {
  readonly services: DaemonServices;
  readonly identity: { readonly id: string; readonly name: string };
  readonly sample: () => Promise<ContainerStats>;
  readonly first: ContainerStats;
  readonly signal: AbortSignal;
}

async function* followStats(source: StatsSource): AsyncGenerator<string> {
  let previous: ContainerStats | undefined;
  let current = source.first;
  for (;;) {
    yield `${JSON.stringify(statsView(source.identity, current, previous))}\n`;
    try {
      await source.services.clock.sleep(1000, source.signal);
    } catch {
      return;
    }
    previous = current;
    current = await source.sample();
  }
}

const NEVER = '0001-01-01T00:00:00Z';

function statsView(
  identity: { readonly id: string; readonly name: string },
  now: ContainerStats,
  before: ContainerStats | undefined,
): WireStats {
  const none = null;
  return {
    ...identity,
    os_type: 'linux',
    read: now.read,
    preread: before?.read ?? NEVER,
    num_procs: 0,
    pids_stats: { current: now.pids, ...(now.pidsLimit > 0 && { limit: now.pidsLimit }) },
    blkio_stats: {
      io_service_bytes_recursive: none,
      io_serviced_recursive: none,
      io_queue_recursive: none,
      io_service_time_recursive: none,
      io_wait_time_recursive: none,
      io_merged_recursive: none,
      io_time_recursive: none,
      sectors_recursive: none,
    },
    storage_stats: {},
    cpu_stats: cpuView(now),
    precpu_stats: before
      ? cpuView(before)
      : {
          cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
          throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
        },
    memory_stats: { usage: now.memoryUsage, limit: now.memoryLimit, stats: now.memoryStat },
  };
}

function cpuView(sample: ContainerStats): WireStats['cpu_stats'] {
  return {
    cpu_usage: {
      total_usage: sample.cpuTotal,
      usage_in_kernelmode: sample.cpuSystem,
      usage_in_usermode: sample.cpuUser,
    },
    system_cpu_usage: sample.systemCpu,
    online_cpus: sample.onlineCpus,
    throttling_data: {
      periods: sample.periods,
      throttled_periods: sample.throttledPeriods,
      throttled_time: sample.throttledTime,
    },
  };
}
