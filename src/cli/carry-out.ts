import type { EngineClient } from '../client/index.ts';
import {
  executePlan,
  lockProject,
  type ObservedState,
  type Operation,
  type Plan,
  PlanFailure,
  type ServiceWatch,
} from '../stack/index.ts';
import type { Context } from './context.ts';
import { stopOnInterrupt } from './interrupts.ts';
import { subjectOf } from './view/operation-words.ts';
import { printable } from './view/printable.ts';
import { createProgressView } from './view/progress.ts';

/** Takes the project lock, saying so when another command holds it. */
export function lock(context: Context, client: EngineClient, project: string): Promise<Disposable> {
  return lockProject(client.endpoint, project, (owner) =>
    context.output.note(` Another tscompose (process ${owner}) is changing ${project}; waiting for it to finish`),
  );
}

/** Shows and executes a plan; an interrupt lets what is under way finish and begins nothing more, the second leaves. */
export async function carryOut(
  context: Context,
  client: EngineClient,
  { plan, have, watch }: { readonly plan: Plan; readonly have: ObservedState; readonly watch?: ServiceWatch },
): Promise<void> {
  const view = await createProgressView(context.root.progress, context.output);
  const stop = new AbortController();
  using _interrupt = stopOnInterrupt(stop, context.output);
  view.plan(plan);
  try {
    const { warnings } = await executePlan({
      client,
      plan,
      have,
      ...(watch && { watch }),
      signal: stop.signal,
      onOperation: view.operation,
      ...(context.root.parallel !== undefined && { parallel: context.root.parallel }),
    });
    await view.finish();
    for (const text of warnings) context.output.note(` warning: ${printable(text)}`);
  } catch (error) {
    await view.finish();
    if (error instanceof PlanFailure) noteLeftovers(context, error.done);
    throw error;
  }
}

/** Containers that no service of the file accounts for. */
export function orphanWarning(names: readonly string[]): string {
  return ` warning: containers of services that the file does not have: ${names.join(', ')}; --remove-orphans removes them`;
}

/** Says what a command that stopped half way has already done. */
export function noteLeftovers(context: Context, done: readonly Operation[]): void {
  const acts = done.filter(
    ({ kind }) =>
      kind === 'create-container' ||
      kind === 'start-container' ||
      kind === 'create-network' ||
      kind === 'create-volume',
  );
  if (acts.length === 0) return;
  const subjects = [...new Set(acts.map(subjectOf))];
  context.output.note(` Done before the failure, and left as it is: ${subjects.join(', ')}`);
  context.output.note(' Run the command again to go on from here, or tscompose down to remove it');
}
