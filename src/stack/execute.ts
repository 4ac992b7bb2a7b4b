import type { ContainerSpec, EngineClient } from '../client/index.ts';
import { describeError, isKind, TscError } from '../core/index.ts';
import { LABEL } from './labels.ts';
import type { ObservedState } from './observed-state.ts';
import type { Operation, Plan } from './plan.ts';
import { explainCreateFailure, explainStartFailure } from './service-failure.ts';
import type { ServiceWatch } from './service-watch.ts';

export type OperationState = 'begin' | 'done' | 'failed' | 'warned';

export interface ExecuteOptions {
  readonly client: EngineClient;
  readonly plan: Plan;
  readonly have: ObservedState;
  /** Sees every event of the project from before the first operation; needed when the plan waits. */
  readonly watch?: ServiceWatch;
  /** Operations under way at once; 16 unless told. */
  readonly parallel?: number;
  readonly signal?: AbortSignal;
  readonly onOperation?: (operation: Operation, state: OperationState, note?: string) => void;
}

export interface ExecuteResult {
  /** Id by container name, of those that exist now. */
  readonly containers: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
}

/** A plan that stopped half way: the first error, and what was done before. */
export class PlanFailure extends TscError {
  readonly done: readonly Operation[];

  constructor(cause: TscError, done: readonly Operation[]) {
    super(cause.code, cause.message, cause);
    this.name = 'PlanFailure';
    this.done = done;
  }
}

/**
 * Carries the plan out along its graph with bounded parallelism; nothing is decided here. After the first failure nothing
 * more begins; what is under way is awaited. Throws {@link PlanFailure}.
 */
export async function executePlan(options: ExecuteOptions): Promise<ExecuteResult> {
  const run = new PlanRun(options);
  await run.finish();
  return { containers: run.ids, warnings: run.warnings };
}

class PlanRun {
  readonly ids: Map<string, string>;
  readonly warnings: string[] = [];
  readonly #options: ExecuteOptions;
  readonly #waiting: Set<Operation>;
  readonly #done = new Set<number>();
  readonly #finished: Operation[] = [];
  readonly #result = Promise.withResolvers<void>();
  /** Cancels waits once something failed. */
  readonly #stop = new AbortController();
  /** Operations under way, waits among them. */
  #running = 0;
  /** Calls under way; a wait occupies none. */
  #calls = 0;
  #failure: TscError | undefined;

  constructor(options: ExecuteOptions) {
    this.#options = options;
    this.ids = new Map(options.have.containers.map(({ name, id }) => [name, id]));
    this.#waiting = new Set(options.plan.operations);
    options.signal?.addEventListener('abort', () => this.#stop.abort(), { once: true });
  }

  finish(): Promise<void> {
    this.#advance();
    return this.#result.promise;
  }

  #advance(): void {
    const limit = this.#options.parallel ?? 16;
    if (this.#options.signal?.aborted) this.#failure ??= new TscError('stack/cancelled', 'interrupted');
    for (const operation of this.#waiting) {
      if (this.#failure !== undefined || this.#calls >= limit) break;
      if (!operation.after.every((id) => this.#done.has(id))) continue;
      this.#waiting.delete(operation);
      void this.#perform(operation);
    }
    if (this.#running > 0) return;
    if (this.#failure) this.#result.reject(new PlanFailure(this.#failure, this.#finished));
    else if (this.#waiting.size > 0) this.#result.reject(new TscError('stack/bug', 'the plan waits for itself'));
    else this.#result.resolve();
  }

  async #perform(operation: Operation): Promise<void> {
    const { onOperation } = this.#options;
    const calls = operation.kind === 'wait' ? 0 : 1;
    this.#running += 1;
    this.#calls += calls;
    try {
      onOperation?.(operation, 'begin');
      const note = await this.#act(operation);
      this.#done.add(operation.id);
      this.#finished.push(operation);
      onOperation?.(operation, note === undefined ? 'done' : 'warned', note);
    } catch (error) {
      const failure = error instanceof TscError ? error : new TscError('stack/bug', String(error), { cause: error });
      if (this.#failure === undefined || isKind(this.#failure, 'cancelled')) this.#failure = failure;
      this.#stop.abort();
      onOperation?.(operation, 'failed', failure.message);
    }
    this.#running -= 1;
    this.#calls -= calls;
    this.#advance();
  }

  /** Returns a warning, or nothing. */
  async #act(operation: Operation): Promise<string | undefined> {
    const { client } = this.#options;
    switch (operation.kind) {
      case 'create-network':
        await ignoring('conflict', client.createNetwork(operation.spec));
        return undefined;
      case 'remove-network':
        return this.#removeNetwork(operation.networkId, operation.name);
      case 'create-volume':
        await client.createVolume(operation.spec);
        return undefined;
      case 'remove-volume':
        return this.#keepIfUsed(`volume ${operation.name}`, client.removeVolume(operation.name));
      case 'remove-image':
        return this.#keepIfUsed(`image ${operation.name}`, client.removeImage(operation.name));
      case 'wait':
        return this.#wait(operation);
      default:
        return this.#actOnContainer(operation);
    }
  }

  async #actOnContainer(operation: Extract<Operation, { kind: `${string}-container` }>): Promise<string | undefined> {
    const { client } = this.#options;
    const { name } = operation;
    switch (operation.kind) {
      case 'create-container': {
        const { id, warnings } = await client.createContainer(this.#labelled(operation)).catch((error: unknown) => {
          throw explainCreateFailure(error, operation.service, name);
        });
        this.ids.set(name, id);
        this.warnings.push(...warnings.map((text) => `${name}: ${text}`));
        return undefined;
      }
      case 'start-container':
        try {
          await client.startContainer(this.#id(name));
        } catch (error) {
          throw explainStartFailure(error, operation.service, name);
        }
        return undefined;
      case 'stop-container':
        await ignoring('not-found', client.stopContainer(this.#id(name), operation.timeout));
        return undefined;
      case 'remove-container': {
        const { volumes, force } = operation;
        await ignoring('not-found', client.removeContainer(this.#id(name), { volumes, force }));
        this.ids.delete(name);
        return undefined;
      }
      case 'rename-container': {
        const id = this.#id(name);
        await client.renameContainer(id, operation.to);
        this.ids.delete(name);
        this.ids.set(operation.to, id);
        return undefined;
      }
    }
  }

  #labelled({ spec, hash }: Extract<Operation, { kind: 'create-container' }>): ContainerSpec {
    if (!hash) return spec;
    return { ...spec, labels: { ...spec.labels, [LABEL.configHash]: hash((name) => this.#id(name)) } };
  }

  #id(name: string): string {
    return this.ids.get(name) ?? name;
  }

  async #wait(operation: Extract<Operation, { kind: 'wait' }>): Promise<string | undefined> {
    const { watch } = this.#options;
    if (!watch) throw new TscError('stack/bug', 'a plan that waits needs a watch');
    try {
      for (const name of operation.containers)
        await watch.waitFor({
          id: this.#id(name),
          name,
          service: operation.service,
          condition: operation.condition,
          signal: this.#stop.signal,
        });
      return undefined;
    } catch (error) {
      if (operation.required || isKind(error, 'cancelled')) throw error;
      return `optional dependency ${operation.service}: ${describeError(error)}`;
    }
  }

  async #removeNetwork(id: string, name: string): Promise<string | undefined> {
    return this.#keepIfUsed(`network ${name}`, this.#options.client.removeNetwork(id));
  }

  /** What others still use stays, and is named. */
  async #keepIfUsed(what: string, removal: Promise<void>): Promise<string | undefined> {
    try {
      await ignoring('not-found', removal);
      return undefined;
    } catch (error) {
      if (isKind(error, 'conflict') || isKind(error, 'denied') || isKind(error, 'in-use'))
        return `${what} is still in use and stays: ${error.message}`;
      throw error;
    }
  }
}

async function ignoring(kind: 'not-found' | 'conflict', done: Promise<unknown>): Promise<void> {
  try {
    await done;
  } catch (error) {
    if (!isKind(error, kind)) throw error;
  }
}
