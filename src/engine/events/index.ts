/**
 * events: what happened in this engine, in order, in a bounded ring, with live subscribers. Refuses persistence: after a
 * restart of the daemon the ring is empty.
 */

export type { EngineEvent, EventActor, EventInput, EventType } from './event.ts';
export { createEventLog, type EventFilter, type EventLog, type EventQuery } from './event-log.ts';
