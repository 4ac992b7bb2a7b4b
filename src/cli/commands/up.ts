import type { EngineClient } from '../../client/index.ts';
import { absentBinds, formatFindings, type LoadResult, type Project } from '../../compose/index.ts';
import { TscError } from '../../core/index.ts';
import { pathExists } from '../../host/index.ts';
import {
  type BringUpResult,
  bringUp,
  formatPlan,
  isUp,
  lookUpImages,
  observe,
  PlanFailure,
  planImages,
  planUp,
  selectServices,
  type UpOptions,
} from '../../stack/index.ts';
import { attachProject } from '../attach-project.ts';
import { lock, noteLeftovers, orphanWarning } from '../carry-out.ts';
import type { Context } from '../context.ts';
import { stopOnInterrupt } from '../interrupts.ts';
import { published } from '../published.ts';
import { registryAuthentication } from '../registry-login.ts';
import { printable } from '../view/printable.ts';
import { createProgressView } from '../view/progress.ts';
import { databaseWarning, webAddresses } from '../view/reached-ports.ts';

export interface Options {
  readonly detach?: boolean;
  /** Commander merges `--build` and `--no-build` into one. */
  readonly build?: boolean;
  readonly pull?: string;
  readonly wait?: boolean;
  readonly waitTimeout?: number;
  /** Commander's names for the `--no-…` switches. */
  readonly deps: boolean;
  readonly start: boolean;
  readonly recreate: boolean;
  readonly forceRecreate?: boolean;
  readonly renewAnonVolumes?: boolean;
  readonly removeOrphans?: boolean;
  readonly scale?: readonly string[];
  readonly abortOnContainerExit?: boolean;
  readonly exitCodeFrom?: string;
  readonly timeout?: number;
  readonly watch?: boolean;
  readonly logPrefix: boolean;
  readonly color: boolean;
  readonly timestamps?: boolean;
  readonly loopback?: boolean;
}

/** `tscompose up` */
export async function run(context: Context, services: readonly string[], options: Options): Promise<number> {
  checkOptions(options);
  const loaded = await context.load(services);
  const project = options.loopback ? await published(loaded.project, 'loopback') : loaded.project;
  await warnOfAbsentBinds(context, loaded);
  if (options.exitCodeFrom !== undefined) selectServices(project, [options.exitCodeFrom], true);
  const upOptions = toUpOptions(project, services, options);
  const client = await context.engine();
  if (context.root.dryRun) return printPlan(context, client, project, { ...options, upOptions });
  const since = `${(Date.now() / 1000).toFixed(3)}`;
  const result = await bringUpShown(context, client, project, options, upOptions);
  if (options.detach || options.wait || !options.start) return result.failures.length > 0 ? 1 : 0;
  const status = await attachProject(context, client, {
    project,
    services: selectServices(project, services, !options.deps),
    state: result.now,
    since,
    prefix: options.logPrefix,
    colour: options.color,
    timestamps: options.timestamps === true,
    abortOnExit: options.abortOnContainerExit === true || options.exitCodeFrom !== undefined,
    watchFiles: options.watch === true,
    ...(options.exitCodeFrom !== undefined && { exitCodeFrom: options.exitCodeFrom }),
    ...(options.timeout !== undefined && { timeout: options.timeout }),
  });
  // Told as an error, so it counts as one, unless one service was chosen to decide.
  return status === 0 && options.exitCodeFrom === undefined && result.failures.length > 0 ? 1 : status;
}

/** Told with their places before the engine refuses them. */
async function warnOfAbsentBinds(context: Context, loaded: LoadResult): Promise<void> {
  const found = await absentBinds(loaded, pathExists);
  if (found.length > 0) context.output.note(printable(formatFindings(found, loaded.sources)));
}

/** Images, plan and execution with their view, under the project's lock. */
async function bringUpShown(
  context: Context,
  client: EngineClient,
  project: Project,
  options: Options,
  upOptions: UpOptions,
): Promise<BringUpResult> {
  using _lock = await lock(context, client, project.name);
  const view = await createProgressView(context.root.progress, context.output);
  const stop = new AbortController();
  using _interrupt = stopOnInterrupt(stop, context.output);
  try {
    const result = await bringUp(client, project, {
      ...upOptions,
      images: {
        build: buildMode(options),
        signal: stop.signal,
        onProgress: view.image,
        authenticate: registryAuthentication(context.environment),
        ...(options.pull !== undefined && { pull: options.pull }),
      },
      signal: stop.signal,
      onPlan: (plan) => view.plan(plan),
      onOperation: view.operation,
      ...(options.waitTimeout !== undefined && { waitTimeout: options.waitTimeout }),
      ...(context.root.parallel !== undefined && { parallel: context.root.parallel }),
    });
    await view.finish();
    report(context, project, result);
    return result;
  } catch (error) {
    await view.finish();
    if (error instanceof PlanFailure) noteLeftovers(context, error.done);
    throw error;
  }
}

function report(context: Context, project: Project, result: BringUpResult): void {
  const { output } = context;
  for (const text of result.warnings) output.note(` warning: ${printable(text)}`);
  if (result.orphans.length > 0) output.note(orphanWarning(result.orphans));
  const changes = result.plan.operations.filter(({ kind }) => kind !== 'wait');
  const started = new Set(
    result.plan.operations.flatMap((step) => (step.kind === 'start-container' ? step.service : [])),
  );
  const warning = databaseWarning(project, started);
  if (warning) output.note(` warning: ${printable(warning)}`);
  for (const line of webAddresses(project.name, result.now.containers, started)) output.note(` ${printable(line)}`);
  if (changes.length === 0) {
    const running = result.now.containers.filter((item) => isUp(item) && !item.oneoff).length;
    output.note(` ${project.name} is up to date, nothing to do (${running} running)`);
  }
  for (const failure of result.failures) context.report(failure);
}

async function printPlan(
  context: Context,
  client: EngineClient,
  project: Project,
  options: Options & { readonly upOptions: UpOptions },
): Promise<number> {
  const names = selectServices(project, options.upOptions.services, options.upOptions.noDeps);
  const images = await lookUpImages(client, project, names);
  const mode = { build: buildMode(options), ...(options.pull !== undefined && { pull: options.pull }) };
  for (const step of planImages(project, names, images, mode))
    if (step.action !== 'use')
      context.output.print(`${step.action}-image ${step.image} (service ${step.service.name})`);
  const have = await observe(client, project.name, project);
  const imageIds = new Map(
    names.flatMap((name) => {
      const service = project.services.get(name);
      const id = images.get(service?.image ?? `${project.name}-${name}`)?.id;
      return id === undefined ? [] : [[name, id] as const];
    }),
  );
  context.output.print(formatPlan(planUp({ project, have, imageIds, options: options.upOptions })) || 'nothing to do');
  return 0;
}

function buildMode(options: Pick<Options, 'build'>): 'always' | 'missing' | 'never' {
  if (options.build === undefined) return 'missing';
  return options.build ? 'always' : 'never';
}

function toUpOptions(project: Project, services: readonly string[], options: Options): UpOptions {
  return {
    services,
    noDeps: !options.deps,
    recreate: recreateMode(options),
    removeOrphans: options.removeOrphans === true,
    renewAnonymousVolumes: options.renewAnonVolumes === true,
    scale: parseScale(project, options.scale ?? []),
    start: options.start,
    wait: options.wait === true,
    ...(options.timeout !== undefined && { timeout: options.timeout }),
  };
}

function recreateMode(options: Options): UpOptions['recreate'] {
  if (options.forceRecreate) return 'always';
  return options.recreate ? 'changed' : 'never';
}

function parseScale(project: Project, items: readonly string[]): Map<string, number> {
  return new Map(
    items.map((item) => {
      const [, name = '', count = ''] = /^([^=]+)=(\d+)$/.exec(item) ?? [];
      if (!name) throw new TscError('cli/invalid', `--scale ${item} is not SERVICE=NUMBER`);
      selectServices(project, [name], true);
      return [name, Number(count)];
    }),
  );
}

/** Pairs that contradict each other. */
function checkOptions(options: Options): void {
  const pairs: readonly (readonly [boolean | undefined, boolean | undefined, string])[] = [
    [options.forceRecreate, !options.recreate, '--force-recreate and --no-recreate'],
    [options.detach || options.wait, options.abortOnContainerExit, '--detach and --abort-on-container-exit'],
    [options.detach || options.wait, options.exitCodeFrom !== undefined, '--detach and --exit-code-from'],
    [options.detach || options.wait, options.watch, '--detach and --watch'],
    [options.renewAnonVolumes, !options.recreate, '--renew-anon-volumes and --no-recreate'],
  ];
  const clash = pairs.find(([a, b]) => a && b);
  if (clash) throw new TscError('cli/invalid', `${clash[2]} contradict each other`);
}
