import { describe, expect, it } from 'vitest';
import { RestartBackoff } from './restart-policy.ts';

const always = { name: 'always', maximumRetries: 0 } as const;
const bad = { exitCode: 1, stoppedByUser: false, ranMs: 5 };

describe('restart back-off', () => {
  it('doubles from 100 ms to one minute and starts anew after a good run', () => {
    const backoff = new RestartBackoff();
    const delays = Array.from({ length: 12 }, () => backoff.decide(always, bad).delayMs);
    expect(delays).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]);
    expect(backoff.decide(always, { ...bad, ranMs: 10_000 }).delayMs).toBe(100);
    expect(backoff.count).toBe(13);
  });

  it.each([
    ['no', 0, 1, false],
    ['always', 0, 0, true],
    ['unless-stopped', 0, 0, true],
    ['on-failure', 0, 0, false],
    ['on-failure', 0, 137, true],
  ] as const)('%s (at most %i) after exit code %i: %s', (name, maximumRetries, exitCode, restart) => {
    expect(new RestartBackoff().decide({ name, maximumRetries }, { ...bad, exitCode }).restart).toBe(restart);
  });

  it('counts retries of on-failure, and stops for the user', () => {
    const backoff = new RestartBackoff();
    const policy = { name: 'on-failure', maximumRetries: 2 } as const;
    expect([1, 2, 3].map(() => backoff.decide(policy, bad).restart)).toEqual([true, true, false]);
    expect(new RestartBackoff().decide(always, { ...bad, stoppedByUser: true }).restart).toBe(false);
  });
});
