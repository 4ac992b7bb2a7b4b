import { setTimeout as delay } from 'node:timers/promises';
import type { ContainerSummary, EngineClient, EngineEvent } from '../client/index.ts';
import { describeError, TscError } from '../core/index.ts';
import { LABEL } from './labels.ts';
import { isUp } from './observed-state.ts';

/** Milliseconds that an engine may be away, and between two attempts to reach it. */
export const ABSENCE = { most: 15_000, pause: 100 } as const;

/**
 * The container events of a project, from now on and over a restart of the engine: what happened while it was away is told
 * as events, found by looking. Throws `stack/unavailable` when the engine does not come back.
 */
export async function followEvents(
  client: EngineClient,
  project: string,
  signal: AbortSignal,
): Promise<AsyncIterable<EngineEvent>> {
  const labels = [`${LABEL.project}=${project}`];
  const open = () => client.events({ labels, types: ['container'], signal });
  return continued({ client, labels, signal, open }, await open());
}

interface Source {
  readonly client: EngineClient;
  readonly labels: readonly string[];
  readonly signal: AbortSignal;
  readonly open: () => Promise<AsyncIterable<EngineEvent>>;
}

async function* continued(source: Source, first: AsyncIterable<EngineEvent>): AsyncGenerator<EngineEvent> {
  /** Whether each container ran, as the events told. */
  const ran = new Map<string, boolean>();
  let events = first;
  for (;;) {
    let cause: unknown;
    try {
      for await (const event of events) {
        if (event.action === 'start' || event.action === 'die') ran.set(event.id, event.action === 'start');
        yield event;
      }
    } catch (error) {
      cause = error;
    }
    if (source.signal.aborted) return;
    const again = await reopen(source, cause);
    if (again === undefined) return;
    for (const event of await missedEvents(source, ran)) yield event;
    events = again;
  }
}

/** Undefined: nobody wants them any more. */
async function reopen(source: Source, cause: unknown): Promise<AsyncIterable<EngineEvent> | undefined> {
  const limit = performance.now() + ABSENCE.most;
  let last = cause;
  while (performance.now() < limit) {
    await delay(ABSENCE.pause);
    if (source.signal.aborted) return undefined;
    try {
      return await source.open();
    } catch (error) {
      last = error;
    }
  }
  throw new TscError(
    'stack/unavailable',
    `the engine has gone and did not come back within ${ABSENCE.most / 1000} s${last === undefined ? '' : `: ${describeError(last)}`}`,
    { hint: 'the containers may still run; run the command again when the engine does' },
  );
}

/** The present state as the events that led to it; a health is told anew, as nobody knows whether it changed. */
async function missedEvents({ client, labels }: Source, ran: Map<string, boolean>): Promise<EngineEvent[]> {
  const events: EngineEvent[] = [];
  for (const container of await client.listContainers({ labels, all: true })) {
    const up = isUp(container);
    if (up && ran.get(container.id) !== true) events.push(toEvent(container, 'start'));
    if (!up && container.state !== 'created' && ran.get(container.id) !== false) {
      const { exitCode } = await client.inspectContainer(container.id);
      events.push(toEvent(container, 'die', { exitCode: String(exitCode) }));
    }
    if (up && container.health !== 'none') events.push(toEvent(container, `health_status: ${container.health}`));
    ran.set(container.id, up);
  }
  return events;
}

function toEvent(container: ContainerSummary, action: string, facts: Record<string, string> = {}): EngineEvent {
  const attributes = { ...container.labels, name: container.name, ...facts };
  return { type: 'container', action, id: container.id, attributes, timeNano: `${Date.now()}000000` };
}
