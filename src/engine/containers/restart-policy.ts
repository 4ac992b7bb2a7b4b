import type { RestartPolicy } from './container.ts';

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 60_000;
/** A run at least this long counts as good: the delay starts anew. */
const GOOD_RUN_MS = 10_000;

export interface EndedRun {
  readonly exitCode: number;
  readonly stoppedByUser: boolean;
  readonly ranMs: number;
}

export interface RestartDecision {
  readonly restart: boolean;
  readonly delayMs: number;
}

/** Delay and count of one container's restarts. */
export class RestartBackoff {
  #delayMs = 0;
  #count = 0;

  constructor(count = 0) {
    this.#count = count;
  }

  get count(): number {
    return this.#count;
  }

  /** A user started it: count and delay begin anew. */
  reset(): void {
    this.#delayMs = 0;
    this.#count = 0;
  }

  /** Whether the policy wants another run, and after which delay: 100 ms, doubled after each bad run, at most 60 s. */
  decide(policy: RestartPolicy, run: EndedRun): RestartDecision {
    if (run.stoppedByUser || !wants(policy, run.exitCode, this.#count)) return { restart: false, delayMs: 0 };
    const good = run.ranMs >= GOOD_RUN_MS;
    this.#delayMs = good || this.#delayMs === 0 ? FIRST_DELAY_MS : Math.min(this.#delayMs * 2, LONGEST_DELAY_MS);
    this.#count += 1;
    return { restart: true, delayMs: this.#delayMs };
  }
}

function wants(policy: RestartPolicy, exitCode: number, count: number): boolean {
  switch (policy.name) {
    case 'no':
      return false;
    case 'always':
    case 'unless-stopped':
      return true;
    case 'on-failure':
      return exitCode !== 0 && (policy.maximumRetries === 0 || count < policy.maximumRetries);
  }
}
