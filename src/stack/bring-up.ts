import type { EngineClient } from '../client/index.ts';
import type { Project } from '../compose/index.ts';
import type { TscError } from '../core/index.ts';
import { checkPorts } from './check-ports.ts';
import { EarlyExits } from './early-exits.ts';
import { type ExecuteOptions, executePlan } from './execute.ts';
import { observe } from './observe.ts';
import type { ObservedState } from './observed-state.ts';
import type { Plan } from './plan.ts';
import { findOrphans, planUp, selectServices, type UpOptions } from './plan-up.ts';
import { type ImageOptions, prepareImages } from './prepare-images.ts';
import { refuseForeignEngine } from './refuse-foreign-engine.ts';
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

/** Images, then observe, plan and execute: the whole of `up` up to running containers. */
export async function bringUp(client: EngineClient, project: Project, options: BringUpOptions): Promise<BringUpResult> {
  const names = selectServices(project, options.services, options.noDeps);
  await refuseForeignEngine(
    client,
    names.map((name) => project.services.get(name)),
    project.networks.values(),
  );
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
  await checkPorts(client, plan, have);
  const early = new EarlyExits(client, watch, options.wait);
  const result = await executePlan({
    client,
    plan,
    have,
    watch,
    ...(options.parallel !== undefined && { parallel: options.parallel }),
    ...(options.signal && { signal: options.signal }),
    onOperation: (operation, state, note) => {
      early.note(operation, state);
      options.onOperation?.(operation, state, note);
    },
  });
  const failures = await early.find(result.containers);
  const now = plan.operations.length > 0 ? await observe(client, project.name, project) : have;
  return {
    plan,
    now,
    orphans: options.removeOrphans ? [] : findOrphans(now, project).map(({ name }) => name),
    warnings: result.warnings,
    failures,
  };
}
