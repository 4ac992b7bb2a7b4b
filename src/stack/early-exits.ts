import type { ContainerDetails, EngineClient } from '../client/index.ts';
import { isKind, type TscError } from '../core/index.ts';
import type { OperationState } from './execute.ts';
import type { Operation } from './plan.ts';
import { explainExit } from './service-failure.ts';
import type { ServiceWatch } from './service-watch.ts';

/** How long a container is watched: one that is still busy after `mostMs` counts as up. `--wait` looks longer. */
const PATIENCE = { quietMs: 20, mostMs: 500 } as const;
const PATIENCE_OF_WAIT = { quietMs: 300, mostMs: 1500 } as const;
/**
 * For engines that cannot tell whether a container has come to rest: a pause of `starts` times the fastest start, which says how
 * loaded the machine is. Slower ones say less, since they waited for each other.
 */
const BLIND = { leastMs: 100, mostMs: 500, starts: 3 } as const;

interface Started {
  readonly service: string;
  readonly rest: ReturnType<EngineClient['awaitRest']>;
}

/**
 * A service that ends at once is told about, although `up -d` does not wait, and `--wait` takes one without a health check as
 * ready while it runs: every fresh container is watched until it has come to rest.
 */
export class EarlyExits {
  readonly #client: EngineClient;
  readonly #watch: ServiceWatch;
  readonly #patience: Parameters<EngineClient['awaitRest']>[1];
  readonly #begun = new Map<number, number>();
  /** By container name. */
  readonly #started = new Map<string, Started>();
  #fastest = Number.POSITIVE_INFINITY;

  /** `wait`: as `--wait` asks. */
  constructor(client: EngineClient, watch: ServiceWatch, wait: boolean) {
    this.#client = client;
    this.#watch = watch;
    this.#patience = wait ? PATIENCE_OF_WAIT : PATIENCE;
  }

  note(operation: Operation, state: OperationState): void {
    if (operation.kind !== 'start-container') return;
    const now = performance.now();
    if (state === 'begin') this.#begun.set(operation.id, now);
    if (state !== 'done') return;
    this.#fastest = Math.min(this.#fastest, now - (this.#begun.get(operation.id) ?? now));
    const rest = this.#client.awaitRest(operation.name, this.#patience).catch(() => undefined);
    this.#started.set(operation.name, { service: operation.service, rest });
  }

  /** Resolves when all that were started have come to rest, with what has failed until then. `ids`: by container name. */
  async find(ids: ReadonlyMap<string, string>): Promise<TscError[]> {
    if (this.#started.size === 0) return [];
    const services = new Map([...this.#started].map(([name, { service }]) => [ids.get(name) ?? name, service]));
    const states = await Promise.all([...this.#started.values()].map(({ rest }) => rest));
    if (states.includes(undefined)) await this.#firstDeath(new Set(services.keys()));
    const ended = [...services.keys()].filter((_, index) => states[index] === 'ended');
    const died = this.#watch.deaths.map(({ id }) => id).filter((id) => services.has(id));
    const failures = [...new Set([...ended, ...died])].map((id) => this.#explain(id, services.get(id) ?? ''));
    return (await Promise.all(failures)).filter((failure) => failure !== undefined);
  }

  async #explain(id: string, service: string): Promise<TscError | undefined> {
    const details = await this.#client.inspectContainer(id).catch(unlessGone);
    const death = this.#watch.deaths.find((item) => item.id === id && item.exitCode !== 0);
    if (!details || (!death && (details.exitCode === 0 || details.state === 'running'))) return undefined;
    const exitCode = death?.exitCode ?? details.exitCode;
    return explainExit(this.#client, service, { ...details, exitCode }, 'it ended right after its start');
  }

  #firstDeath(ids: ReadonlySet<string>): Promise<void> {
    if (this.#watch.deaths.some(({ id }) => ids.has(id))) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const unlisten = this.#watch.listen((event) => {
      if (event.action === 'die' && ids.has(event.id)) resolve();
    });
    const patience = Math.min(BLIND.mostMs, Math.max(BLIND.leastMs, BLIND.starts * this.#fastest));
    const timer = setTimeout(resolve, patience);
    return promise.finally(() => {
      clearTimeout(timer);
      unlisten();
    });
  }
}

function unlessGone(error: unknown): ContainerDetails | undefined {
  if (isKind(error, 'not-found')) return undefined;
  throw error;
}
