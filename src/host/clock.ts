import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { ObjectId } from '../core/index.ts';

/** The one source of time and waiting, injected so that tests can move it. */
export interface Clock {
  /** Wall clock in milliseconds since 1970. */
  now(): number;
  /** Monotonic milliseconds, for measuring and deadlines. */
  monotonic(): number;
  /** Resolves after `ms`; rejects when the signal fires. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) => delay(ms, undefined, signal ? { signal } : {}),
};

/** Now as RFC 3339 with nanoseconds, the form of the Engine API. */
export function timestamp(clock: Clock = systemClock): string {
  return new Date(clock.now()).toISOString().replace('Z', '000000Z');
}

/** A fresh random object id. */
export function newObjectId(): ObjectId {
  return randomBytes(32).toString('hex') as ObjectId;
}
