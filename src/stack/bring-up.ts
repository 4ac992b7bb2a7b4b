import type { EngineClient } from '../client/index.ts';
import type { Project } from '../compose/index.ts';
import type { TscError } from '../core/index.ts';
import { type ExecuteOptions, executePlan } from './execute.ts';
import { observe } from './observe.ts';
import type { ObservedState } from './observed-state.ts';
import type { Plan } from './plan.ts';
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

/** Milliseconds in which a fresh container that ends counts as one that never came up. */
const EARLY_EXIT = 150;

/** Images, then observe, plan and execute: the whole of `up` up to running containers. */
export async function bringUp(client: EngineClient, project: Project, options: BringUpOptions): Promise<BringUpResult> {
  const names = selectServices(project, options.services, options.noDeps);
  const [imageIds, have, watch] = await Promise.all([
    prepareImages(client, project, names, options.images),
    observe(client, project.name, project),
    ServiceWatch.open(client, project.name, {
      ...(options.waitTimeout !== undefined && { timeoutSeconds: options.waitTimeout }),
    }),
  ]);
  using _watch = watch;
  const plan = planUp({ project, have, imageIds, options });
  options.onPlan?.(plan, have);
  const result = await executePlan({
    client,
    plan,
    have,
    watch,
    ...(options.parallel !== undefined && { parallel: options.parallel }),
    ...(options.signal && { signal: options.signal }),
    ...(options.onOperation && { onOperation: options.onOperation }),
  });
  const failures = options.wait ? [] : await findEarlyExits(client, plan, result.containers, watch);
  const now = plan.operations.length > 0 ? await observe(client, project.name, project) : have;
  return {
    plan,
    now,
    orphans: options.removeOrphans ? [] : findOrphans(now, project).map(({ name }) => name),
    warnings: result.warnings,
    failures,
  };
}

/** A service that ends at once is told about, although `up -d` does not wait: a last look a moment after the last start. */
async function findEarlyExits(
  client: EngineClient,
  plan: Plan,
  ids: ReadonlyMap<string, string>,
  watch: ServiceWatch,
): Promise<TscError[]> {
  const started = new Map(
    plan.operations.flatMap((item) =>
      item.kind === 'start-container' ? [[ids.get(item.name) ?? '', item.service] as const] : [],
    ),
  );
  if (started.size === 0) return [];
  const died = () => watch.deaths.filter(({ id, exitCode }) => started.has(id) && exitCode !== 0);
  if (died().length === 0) await firstDeath(watch, started);
  const failures = died().map(async ({ id, service, exitCode }) => {
    const details = await client.inspectContainer(id);
    return explainExit(client, service, { ...details, exitCode }, 'it ended right after its start');
  });
  return Promise.all(failures);
}

function firstDeath(watch: ServiceWatch, started: ReadonlyMap<string, string>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const unlisten = watch.listen((event) => {
    if (event.action === 'die' && started.has(event.id)) resolve();
  });
  const timer = setTimeout(resolve, EARLY_EXIT);
  return promise.finally(() => {
    clearTimeout(timer);
    unlisten();
  });
}
