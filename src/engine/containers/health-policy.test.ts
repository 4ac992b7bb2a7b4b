import { describe, expect, it } from 'vitest';
import type { HealthState } from './container.ts';
import { applyProbe, delayAfter, timingOf } from './health-policy.ts';

const timing = timingOf({ test: ['CMD', 'x'], intervalNs: 1e9, retries: 2, startPeriodNs: 3e9, startIntervalNs: 5e8 });
const starting: HealthState = { status: 'starting', failingStreak: 0, log: [] };
const result = (exitCode: number) => ({ start: '', end: '', exitCode, output: '' });

describe('probes', () => {
  it('come at once, then back off to the start interval, then to the interval', () => {
    expect([0, 1, 2, 3, 4, 5].map((round) => delayAfter(timing, 'starting', round, 0))).toEqual([
      25, 50, 100, 200, 400, 500,
    ]);
    expect(delayAfter(timing, 'starting', 10, 4000)).toBe(1000);
    expect(delayAfter(timing, 'healthy', 1, 0)).toBe(1000);
  });

  it('do not count as failures in the start period, but one success ends it', () => {
    expect(applyProbe(timing, starting, result(1), 2000)).toMatchObject({ status: 'starting', failingStreak: 0 });
    const healthy = applyProbe(timing, starting, result(0), 100);
    expect(healthy.status).toBe('healthy');
    const once = applyProbe(timing, healthy, result(1), 1200);
    expect(once).toMatchObject({ status: 'healthy', failingStreak: 1 });
    expect(applyProbe(timing, once, result(1), 2200)).toMatchObject({ status: 'unhealthy', failingStreak: 2 });
  });

  it('before the first interval count only when they are good', () => {
    const plain = timingOf({ test: ['CMD', 'x'], intervalNs: 1e9, retries: 1 });
    expect(applyProbe(plain, starting, result(1), 900).status).toBe('starting');
    expect(applyProbe(plain, starting, result(1), 1100).status).toBe('unhealthy');
  });

  it('leave the last five results', () => {
    let state = starting;
    for (let round = 0; round < 9; round += 1) state = applyProbe(timing, state, result(round % 2), 9000);
    expect(state.log).toHaveLength(5);
  });

  it('have the known defaults', () => {
    expect(timingOf({ test: [] })).toEqual({
      intervalMs: 30_000,
      timeoutMs: 30_000,
      startPeriodMs: 0,
      startIntervalMs: 5000,
      retries: 3,
    });
  });
});
