import type { EngineClient } from '../client/index.ts';
import type { Project } from '../compose/index.ts';
import type { TscError } from '../core/index.ts';
import { type ExecuteOptions, executePlan, type OperationState } from './execute.ts';
import { observe } from './observe.ts';
import type { ObservedState } from './observed-state.ts';
import type { Operation, Plan } from './plan.ts';
import { findOrphans, planUp, selectServices, type UpOptions } from './plan-up.ts';
import { type ImageOptions, prepareImages } from './prepare-images.ts';
import { explainExit } from './service-failure.ts';
import { ServiceWatch } from './service-watch.ts';

export interface BringUpOptions extends UpOptions {
  readonly images: ImageOptions;
  /** Seconds that `--wait` may take. */
  readonly waitTimeout?: number;
  readonly parallel?: number;
  readonly signal?: AbortSignal;
  readonly onPlan?: (plan: Plan, have: ObservedState) => void;
  readonly onOperation?: ExecuteOptions['onOperation'];
}

export interface BringUpResult {
  readonly plan: Plan;
  /** The state after it. */
  readonly now: ObservedState;
  readonly orphans: readonly string[];
  readonly warnings: readonly string[];
  /** Containers that were started and have already failed. */
  readonly failures: readonly TscError[];
}

/**
 * Milliseconds after the last start in which a container that ends counts as one that never came up: a few times what the
 * fastest start took, since the others waited for each other and would say nothing about how loaded the machine is.
 */
const EARLY_EXIT = { least: 100, most: 500, starts: 3 } as const;

/** Images, then observe, plan and execute: the whole of `up` up to running containers. */
export async function bringUp(client: EngineClient, project: Project, options: BringUpOptions): Promise<BringUpResult> {
  const names = selectServices(project, options.services, options.noDeps);
  const opening = ServiceWatch.open(client, project.name, {
    ...(options.waitTimeout !== undefined && { timeoutSeconds: options.waitTimeout }),
  });
  // A failure beside it must not leave the event stream open: it would keep the process alive.
  const [imageIds, have, watch] = await Promise.all([
    prepareImages(client, project, names, options.images),
    observe(client, project.name, project),
    opening,
  ]).catch(async (error: unknown) => {
    (await opening.catch(() => undefined))?.[Symbol.dispose]();
    throw error;
  });
  using _watch = watch;
  const plan = planUp({ project, have, imageIds, options });
  options.onPlan?.(plan, have);
  const clock = new StartClock();
  const result = await executePlan({
    client,
    plan,
    have,
    watch,
    ...(options.parallel !== undefined && { parallel: options.parallel }),
    ...(options.signal && { signal: options.signal }),
    onOperation: (operation, state, note) => {
      clock.note(operation, state);
      options.onOperation?.(operation, state, note);
    },
  });
  const failures = await findEarlyExits(client, plan, result.containers, { watch, clock });
  const now = plan.operations.length > 0 ? await observe(client, project.name, project) : have;
  return {
    plan,
    now,
    orphans: options.removeOrphans ? [] : findOrphans(now, project).map(({ name }) => name),
    warnings: result.warnings,
    failures,
  };
}

/**
 * A service that ends at once is told about, although `up -d` does not wait, and `--wait` takes one without a health
 * check as ready while it runs: a last look a moment after the last start.
 */
async function findEarlyExits(
  client: EngineClient,
  plan: Plan,
  ids: ReadonlyMap<string, string>,
  { watch, clock }: { readonly watch: ServiceWatch; readonly clock: StartClock },
): Promise<TscError[]> {
  const started = new Map(
    plan.operations.flatMap((item) =>
      item.kind === 'start-container' ? [[ids.get(item.name) ?? '', item.service] as const] : [],
    ),
  );
  if (started.size === 0) return [];
  const died = () => watch.deaths.filter(({ id, exitCode }) => started.has(id) && exitCode !== 0);
  if (died().length === 0) await firstDeath(watch, started, clock.patience);
  const failures = died().map(async ({ id, service, exitCode }) => {
    const details = await client.inspectContainer(id);
    return explainExit(client, service, { ...details, exitCode }, 'it ended right after its start');
  });
  return Promise.all(failures);
}

/** Measures how long a start takes on this machine now. */
class StartClock {
  readonly #begun = new Map<number, number>();
  #fastest = Number.POSITIVE_INFINITY;

  note(operation: Operation, state: OperationState): void {
    if (operation.kind !== 'start-container') return;
    const now = performance.now();
    if (state === 'begin') this.#begun.set(operation.id, now);
    else if (state === 'done') this.#fastest = Math.min(this.#fastest, now - (this.#begun.get(operation.id) ?? now));
  }

  get patience(): number {
    return Math.min(EARLY_EXIT.most, Math.max(EARLY_EXIT.least, EARLY_EXIT.starts * this.#fastest));
  }
}

function firstDeath(watch: ServiceWatch, started: ReadonlyMap<string, string>, patience: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const unlisten = watch.listen((event) => {
    if (event.action === 'die' && started.has(event.id)) resolve();
  });
  const timer = setTimeout(resolve, patience);
  return promise.finally(() => {
    clearTimeout(timer);
    unlisten();
  });
}
