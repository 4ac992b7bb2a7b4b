import type { ContainerDetails, EngineClient, EngineEvent } from '../client/index.ts';
import { describeError, TscError } from '../core/index.ts';
import { followEvents } from './follow-events.ts';
import { LABEL } from './labels.ts';
import type { WaitCondition } from './plan.ts';
import { explainExit, explainUnhealthy } from './service-failure.ts';

export interface WaitRequest {
  readonly id: string;
  readonly name: string;
  readonly service: string;
  readonly condition: WaitCondition;
  readonly signal: AbortSignal;
}

/** A container that ended, as the event told it. */
export interface Death {
  readonly id: string;
  readonly name: string;
  readonly service: string;
  readonly exitCode: number;
}

export interface WatchOptions {
  /** Seconds from now until every wait fails; none when absent. */
  readonly timeoutSeconds?: number;
}

/**
 * Follows the events of one project, so that waiting means waiting for an event: a state is looked at once, and again only
 * when the engine says that something happened.
 */
export class ServiceWatch implements Disposable {
  /** Containers that ended since the watch began, in order. */
  readonly deaths: Death[] = [];
  readonly #client: EngineClient;
  readonly #stop = new AbortController();
  readonly #listeners = new Set<(event: EngineEvent) => void>();
  readonly #timeoutSeconds: number | undefined;
  readonly #deadline: AbortSignal | undefined;
  readonly #lost = Promise.withResolvers<never>();
  #broken: TscError | undefined;

  private constructor(client: EngineClient, options: WatchOptions) {
    this.#client = client;
    this.#timeoutSeconds = options.timeoutSeconds;
    // Whoever only waits for conditions learns of it there.
    this.#lost.promise.catch(() => undefined);
    if (options.timeoutSeconds !== undefined) this.#deadline = AbortSignal.timeout(options.timeoutSeconds * 1000);
  }

  static async open(client: EngineClient, project: string, options: WatchOptions = {}): Promise<ServiceWatch> {
    const watch = new ServiceWatch(client, options);
    void watch.#follow(await followEvents(client, project, watch.#stop.signal));
    return watch;
  }

  /** Rejects when the engine has gone for good; never resolves. */
  get lost(): Promise<never> {
    return this.#lost.promise;
  }

  /** Calls back for every event of the project until the returned function is called. */
  listen(listener: (event: EngineEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves when the condition holds; throws when it can no longer hold or the deadline has passed. */
  async waitFor(request: WaitRequest): Promise<void> {
    let changed = Promise.withResolvers<void>();
    const wake = () => changed.resolve();
    const unlisten = this.listen((event) => {
      if (event.id === request.id) wake();
    });
    const signals = [request.signal, this.#stop.signal, ...(this.#deadline ? [this.#deadline] : [])];
    for (const signal of signals) signal.addEventListener('abort', wake, { once: true });
    try {
      for (;;) {
        const details = await this.#client.inspectContainer(request.id);
        if (await judge(this.#client, request, details)) return;
        await this.#refuseFurtherWait(request, details);
        await changed.promise;
        changed = Promise.withResolvers<void>();
      }
    } finally {
      unlisten();
      for (const signal of signals) signal.removeEventListener('abort', wake);
    }
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
  }

  async #refuseFurtherWait(request: WaitRequest, details: ContainerDetails): Promise<void> {
    if (request.signal.aborted) throw new TscError('stack/cancelled', `waiting for ${request.name} was cancelled`);
    if (this.#broken) throw this.#broken;
    if (!this.#deadline?.aborted) return;
    const verdict = `is not ${WANTED[request.condition]} after ${this.#timeoutSeconds} s`;
    throw await explainUnhealthy(this.#client, request.service, details, verdict, 'stack/timeout');
  }

  async #follow(events: AsyncIterable<EngineEvent>): Promise<void> {
    try {
      for await (const event of events) {
        if (event.action === 'die') this.deaths.push(toDeath(event));
        for (const listener of [...this.#listeners]) listener(event);
      }
      if (this.#stop.signal.aborted) return;
      this.#broken = new TscError('stack/unavailable', 'the engine ended the event stream');
    } catch (error) {
      const words = `lost the event stream: ${describeError(error)}`;
      this.#broken = error instanceof TscError ? error : new TscError('stack/unavailable', words, { cause: error });
    }
    this.#lost.reject(this.#broken);
    this.#stop.abort();
  }
}

const WANTED: Readonly<Record<WaitCondition, string>> = {
  service_started: 'running',
  service_healthy: 'healthy',
  service_completed_successfully: 'finished',
  ready: 'ready',
};

function toDeath(event: EngineEvent): Death {
  return {
    id: event.id,
    name: event.attributes['name'] ?? event.id.slice(0, 12),
    service: event.attributes[LABEL.service] ?? '',
    exitCode: Number(event.attributes['exitCode'] ?? 0),
  };
}

/** Whether the condition holds; throws when it cannot hold any more. */
async function judge(client: EngineClient, request: WaitRequest, details: ContainerDetails): Promise<boolean> {
  const { service, condition } = request;
  const ended = details.state === 'exited' || details.state === 'dead';
  if (condition === 'service_completed_successfully') {
    if (!ended) return false;
    if (details.exitCode === 0) return true;
    throw await explainExit(client, service, details, 'it had to complete successfully');
  }
  if (ended) throw await explainExit(client, service, details, `it had to be ${WANTED[condition]}`);
  if (condition === 'service_started') return details.state === 'running';
  if (condition === 'service_healthy' && !details.hasHealthcheck) {
    throw new TscError(
      'stack/invalid',
      `service ${service} has no healthcheck, and another one waits until it is healthy`,
      {
        hint: `add a healthcheck to ${service}, or depend on service_started`,
      },
    );
  }
  // Between two runs: without a health check nothing would tell a later run from a good one.
  if (details.state === 'restarting' && !details.hasHealthcheck)
    throw await explainExit(client, service, details, `it had to be ${WANTED[condition]}`);
  if (details.state !== 'running') return false;
  if (!details.hasHealthcheck) return true;
  if (details.health === 'unhealthy') throw await explainUnhealthy(client, service, details, 'is unhealthy');
  return details.health === 'healthy';
}
