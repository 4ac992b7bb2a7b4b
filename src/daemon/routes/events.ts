import { checkFilters, parseFilters } from '../../api/index.ts';
import { TscError } from '../../core/index.ts';
import type { EngineEvent } from '../../engine/index.ts';
import { stream } from '../http-message.ts';
import { type Route, type RouteCall, route } from '../match-route.ts';
import { parseTime } from '../query-values.ts';

/** What happens, as it happens. */
export const eventRoutes: readonly Route[] = [route('GET', '/events', events)];

const FILTERS = ['container', 'event', 'image', 'label', 'network', 'scope', 'type', 'volume', 'daemon'] as const;

function events({ request, services }: RouteCall) {
  const { query } = request;
  const now = services.clock.now();
  const since = parseTime(query.get('since'), now, 'since');
  const until = parseTime(query.get('until'), now, 'until');
  if (since !== undefined && until !== undefined && until < since) {
    throw new TscError('daemon/invalid', 'until lies before since');
  }
  const filters = parseFilters(query.get('filters'));
  checkFilters(filters, FILTERS);
  // One engine has one scope and no name of its own to filter by.
  const nothing = filters['scope'] !== undefined && !filters['scope'].includes('local');
  const given = (['container', 'event', 'image', 'label', 'network', 'type', 'volume'] as const).filter(
    (key) => filters[key],
  );
  const subscription = services.engine.events.subscribe({
    ...(since !== undefined && { since }),
    ...(until !== undefined && { until }),
    filter: Object.fromEntries(given.map((key) => [key, filters[key]])),
    signal: request.signal,
  });
  return stream('application/json', formatEvents(subscription, nothing));
}

async function* formatEvents(events: AsyncIterable<EngineEvent>, nothing: boolean): AsyncGenerator<string> {
  for await (const event of events) if (!nothing) yield `${formatEvent(event)}\n`;
}

/** One event as a line of the stream; nanoseconds keep all their digits. */
export function formatEvent(event: EngineEvent): string {
  const { actor, type, action } = event;
  const old = type === 'container' || type === 'image';
  const line = JSON.stringify({
    ...(old && { status: action, id: actor.id }),
    ...(type === 'container' && { from: actor.attributes['image'] ?? '' }),
    Type: type,
    Action: action,
    Actor: { ID: actor.id, Attributes: actor.attributes },
    scope: 'local',
    time: Number(event.timeNano / 1_000_000_000n),
  });
  // Written by hand: a number of JavaScript holds no nanoseconds since 1970.
  return `${line.slice(0, -1)},"timeNano":${event.timeNano}}`;
}
