import type { Healthcheck, HealthResult, HealthState } from './container.ts';

export interface HealthTiming {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly retries: number;
}

const KEPT_RESULTS = 5;
const FIRST_DELAY_MS = 25;

/** The timing with its defaults: 30 s, 30 s, 0, 5 s, 3. */
export function timingOf(check: Healthcheck): HealthTiming {
  const ms = (ns: number | undefined, fallback: number) => (ns ? ns / 1e6 : fallback);
  return {
    intervalMs: ms(check.intervalNs, 30_000),
    timeoutMs: ms(check.timeoutNs, 30_000),
    startPeriodMs: ms(check.startPeriodNs, 0),
    startIntervalMs: ms(check.startIntervalNs, 5_000),
    retries: check.retries || 3,
  };
}

/**
 * When the next probe runs. While the container starts, probes come at once and then at growing distances up to the
 * interval (inside the start period: the start interval), so that a quick service is healthy quickly.
 */
export function delayAfter(
  timing: HealthTiming,
  status: HealthState['status'],
  round: number,
  elapsedMs: number,
): number {
  if (status !== 'starting') return timing.intervalMs;
  const ceiling =
    elapsedMs < timing.startPeriodMs ? Math.min(timing.startIntervalMs, timing.intervalMs) : timing.intervalMs;
  return Math.min(FIRST_DELAY_MS * 2 ** Math.min(round, 20), ceiling);
}

/**
 * The health after a probe. Failures count only when a client of Docker would have seen a probe by then: after the start
 * period, and not before the first interval has passed – the early probes are our own addition and may only help.
 */
export function applyProbe(
  timing: HealthTiming,
  before: HealthState,
  result: HealthResult,
  elapsedMs: number,
): HealthState {
  const log = [...before.log, result].slice(-KEPT_RESULTS);
  if (result.exitCode === 0) return { status: 'healthy', failingStreak: 0, log };
  const grace = Math.max(timing.startPeriodMs, timing.intervalMs);
  if (before.status === 'starting' && elapsedMs < grace && before.failingStreak === 0) return { ...before, log };
  const failingStreak = before.failingStreak + 1;
  // Between the first counted failures the back-off has reached the interval, so retries take as long as expected.
  return { status: failingStreak >= timing.retries ? 'unhealthy' : before.status, failingStreak, log };
}
