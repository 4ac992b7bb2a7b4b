import type { ContainerId } from '../../core/index.ts';
import type { Sandbox } from '../network/index.ts';
import type { ContainerRecord, ContainerState } from './container.ts';
import type { ExitResult } from './container-service.ts';
import type { ProcessMonitor } from './process-monitor.ts';
import { RestartBackoff } from './restart-policy.ts';
import type { PendingSession } from './session.ts';

/** One run of a container's process. */
export interface Run {
  readonly monitor: ProcessMonitor;
  readonly pid: number;
  readonly startedMonotonic: number;
  /** Settles when the exit has been recorded and ports and names are withdrawn. */
  readonly ended: Promise<void>;
  /** The start was undone: the exit is not an event of the container's life. */
  failed: boolean;
}

/** A container in memory: its record, and what exists only while the daemon lives. */
export class LiveContainer {
  readonly id: ContainerId;
  record: ContainerRecord;
  run: Run | undefined;
  sandbox: Sandbox | undefined;
  /** The running probes. */
  health: { stop(): void } | undefined;
  /** Fires when somebody else decided what happens instead of the planned restart. */
  restartTimer: AbortController | undefined;
  removing = false;
  /** It could not be killed when it was to be removed: that is done at its end. */
  removeAtEnd: { readonly volumes: boolean } | undefined;
  /** A restart is under way: its end must not remove the container. */
  restarting = false;
  readonly backoff: RestartBackoff;
  readonly pending = new Set<PendingSession>();
  readonly execIds = new Set<string>();
  readonly #stopWaiters = new Set<(result: ExitResult) => void>();
  readonly #removeWaiters = new Set<(result: ExitResult) => void>();

  constructor(record: ContainerRecord) {
    this.id = record.id;
    this.record = record;
    this.backoff = new RestartBackoff(record.state.restartCount);
  }

  get state(): ContainerState {
    return this.record.state;
  }

  /** Running, or paused, or beyond the reach of SIGKILL while it is to be removed. */
  get isRunning(): boolean {
    const { status } = this.state;
    return status === 'running' || status === 'paused' || (status === 'removing' && this.run !== undefined);
  }

  setState(change: Partial<ContainerState>): void {
    this.record = { ...this.record, state: { ...this.record.state, ...change } };
  }

  get exitResult(): ExitResult {
    return { exitCode: this.state.exitCode, error: this.state.error };
  }

  onStop(waiter: (result: ExitResult) => void): () => void {
    this.#stopWaiters.add(waiter);
    return () => void this.#stopWaiters.delete(waiter);
  }

  onRemove(waiter: (result: ExitResult) => void): () => void {
    this.#removeWaiters.add(waiter);
    return () => void this.#removeWaiters.delete(waiter);
  }

  notifyStopped(): void {
    const waiters = [...this.#stopWaiters];
    this.#stopWaiters.clear();
    for (const waiter of waiters) waiter(this.exitResult);
  }

  notifyRemoved(): void {
    this.notifyStopped();
    const waiters = [...this.#removeWaiters];
    this.#removeWaiters.clear();
    for (const waiter of waiters) waiter(this.exitResult);
  }
}
