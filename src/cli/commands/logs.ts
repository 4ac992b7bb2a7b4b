import { parseDuration, TscError } from '../../core/index.ts';
import { followProject, LABEL, observe, readLogs, ServiceWatch } from '../../stack/index.ts';
import type { Context } from '../context.ts';
import { onInterrupt } from '../interrupts.ts';
import { checkServices, chooseContainers } from '../select-containers.ts';
import { LogView } from '../view/log-lines.ts';

interface Options {
  readonly follow?: boolean;
  readonly tail?: string;
  readonly timestamps?: boolean;
  readonly since?: string;
  readonly until?: string;
  /** Commander's names for `--no-log-prefix` and `--no-color`. */
  readonly logPrefix: boolean;
  readonly color: boolean;
  readonly index?: number;
}

/** `tscompose logs` */
export async function run(context: Context, services: readonly string[], options: Options): Promise<number> {
  const tail = parseTail(options.tail);
  const target = await context.target(services);
  const client = await context.engine();
  const state = await observe(client, target.name);
  checkServices(target, state, services);
  const sources = chooseContainers(state, services).filter(
    ({ number }) => options.index === undefined || number === options.index,
  );
  const view = new LogView(context.output, target.name, { prefix: options.logPrefix, colour: options.color });
  view.expect(sources.map(({ name }) => name));
  const stop = new AbortController();
  const read = {
    follow: options.follow === true,
    signal: stop.signal,
    onLine: (line: Parameters<LogView['line']>[0]) => view.line(line),
    ...(tail !== undefined && { tail }),
    ...(options.since && { since: parseTime(options.since) }),
    ...(options.until && { until: parseTime(options.until) }),
    ...(options.timestamps && { timestamps: true }),
  };
  if (!options.follow) {
    await readLogs(client, sources, read);
    return 0;
  }
  using watch = await ServiceWatch.open(client, target.name);
  const interrupted = Promise.withResolvers<void>();
  using _interrupt = onInterrupt(() => interrupted.resolve());
  const follower = followProject(client, watch, sources, {
    ...read,
    accept: ({ id, attributes }) => {
      const service = attributes[LABEL.service] ?? '';
      if (attributes[LABEL.oneoff] === 'True' || (services.length > 0 && !services.includes(service))) return undefined;
      return { id, name: attributes['name'] ?? id, service, number: Number(attributes[LABEL.number] ?? 0) };
    },
  });
  await Promise.race([interrupted.promise, watch.lost]).finally(() => stop.abort());
  await follower.drain();
  return 130;
}

function parseTail(text: string | undefined): number | undefined {
  if (text === undefined || text === 'all') return undefined;
  if (/^\d+$/.test(text)) return Number(text);
  throw new TscError('cli/invalid', `--tail ${text} is not a number`, { hint: 'write a number of lines, or all' });
}

/** A point in time, or a span before now, as the seconds of the API. */
function parseTime(text: string): string {
  if (/^\d+(\.\d+)?$/.test(text)) return text;
  const date = Date.parse(text);
  if (!Number.isNaN(date)) return String(date / 1000);
  return String((Date.now() - parseDuration(text) / 1e6) / 1000);
}
