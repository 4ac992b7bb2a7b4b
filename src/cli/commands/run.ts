import { resolve } from 'node:path';
import type { EngineClient } from '../../client/index.ts';
import type { Project, Service } from '../../compose/index.ts';
import { TscError } from '../../core/index.ts';
import {
  bringUp,
  findOrphans,
  observe,
  prepareImages,
  refuseForeignEngine,
  replicaName,
  replicasIn,
  toOneOffSpec,
} from '../../stack/index.ts';
import { lock, orphanWarning } from '../carry-out.ts';
import type { Context } from '../context.ts';
import { onInterrupt, stopOnInterrupt } from '../interrupts.ts';
import { parsePairs, parsePublication, parseVolume } from '../parse-pairs.ts';
import { registryAuthentication } from '../registry-login.ts';
import { splitCommand } from '../split-command.ts';
import { joinTerminal } from '../terminal-session.ts';
import { createProgressView } from '../view/progress.ts';

interface Options {
  readonly detach?: boolean;
  readonly env?: readonly string[];
  readonly user?: string;
  readonly workdir?: string;
  /** Commander's names for the `--no-…` switches. */
  readonly tty: boolean;
  readonly deps: boolean;
  readonly interactive?: boolean;
  readonly rm?: boolean;
  readonly publish?: readonly string[];
  readonly servicePorts?: boolean;
  readonly useAliases?: boolean;
  readonly volume?: readonly string[];
  readonly entrypoint?: string;
  readonly label?: readonly string[];
  readonly capAdd?: readonly string[];
  readonly capDrop?: readonly string[];
  readonly name?: string;
  readonly build?: boolean;
  readonly pull?: string;
  readonly removeOrphans?: boolean;
}

/** `tscompose run`: a one-off container; resolves with its exit status. */
export async function run(context: Context, values: readonly string[], options: Options): Promise<number> {
  const [name = '', ...command] = values;
  const { project } = await context.load([name]);
  const service = project.services.get(name);
  if (!service) throw new TscError('cli/not-found', `no such service: ${name}`);
  const client = await context.engine();
  await prepare(context, client, project, service, options);
  const have = await observe(client, project.name);
  const orphans = options.removeOrphans ? [] : findOrphans(have, project);
  if (orphans.length > 0) context.output.note(orphanWarning(orphans.map((item) => item.name)));
  const terminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
  const tty = !options.detach && options.tty && terminal;
  const stdin = !options.detach && options.interactive !== false;
  await refuseForeignEngine(client, [service], project.networks.values());
  const spec = toOneOffSpec(
    project,
    service,
    {
      command: command.length > 0 ? command : undefined,
      name: options.name,
      entrypoint: options.entrypoint === undefined ? undefined : splitCommand(options.entrypoint),
      environment: parsePairs(options.env ?? [], '--env', context.environment),
      labels: parsePairs(options.label ?? [], '--label', context.environment),
      user: options.user,
      workingDir: options.workdir,
      tty,
      stdin,
      publish: (options.publish ?? []).map(parsePublication),
      servicePorts: options.servicePorts === true,
      useAliases: options.useAliases === true,
      mounts: (options.volume ?? []).map((text) =>
        parseVolume(text, (path) => resolve(context.currentDirectory, path)),
      ),
      // A detached one is removed by the engine; an attached one by us, once its exit status is known.
      autoRemove: options.rm === true && options.detach === true,
      capAdd: options.capAdd ?? [],
      capDrop: options.capDrop ?? [],
    },
    (other) => replicasIn(have, other)[0]?.name ?? nameOf(project, other),
  );
  const { id } = await client.createContainer(spec);
  if (!options.detach) return attached(context, client, id, { tty, stdin, remove: options.rm === true });
  const failed = await start(context, client, id);
  if (failed === undefined) context.output.print(spec.name);
  return failed ?? 0;
}

/** Resolves with a status when the program is missing or cannot be executed: the one that a shell gives. */
async function start(context: Context, client: EngineClient, id: string): Promise<number | undefined> {
  try {
    await client.startContainer(id);
    return undefined;
  } catch (error) {
    const details = await client.inspectContainer(id).catch(() => undefined);
    if (details?.exitCode !== 126 && details?.exitCode !== 127) throw error;
    context.report(error);
    return details.exitCode;
  }
}

function nameOf(project: Project, service: string): string {
  const found = project.services.get(service);
  return found ? replicaName(project.name, found, 1) : service;
}

/** Dependencies up, networks and volumes there, the image present. */
async function prepare(
  context: Context,
  client: EngineClient,
  project: Project,
  service: Service,
  options: Options,
): Promise<void> {
  using _lock = await lock(context, client, project.name);
  const view = await createProgressView(context.root.progress, context.output);
  const stop = new AbortController();
  using _interrupt = stopOnInterrupt(stop, context.output);
  const images = {
    signal: stop.signal,
    onProgress: view.image,
    authenticate: registryAuthentication(context.environment),
    ...(options.pull !== undefined && { pull: options.pull }),
  };
  try {
    if (options.build) await prepareImages(client, project, [service.name], { ...images, build: 'always' });
    await bringUp(client, project, {
      services: [service.name],
      noDeps: !options.deps,
      oneOffOf: service.name,
      recreate: 'never',
      removeOrphans: options.removeOrphans === true,
      renewAnonymousVolumes: false,
      scale: new Map(),
      start: true,
      wait: false,
      images: { ...images, build: 'missing' },
      signal: stop.signal,
      onPlan: (plan) => view.plan(plan),
      onOperation: view.operation,
    });
  } finally {
    await view.finish();
  }
}

async function attached(
  context: Context,
  client: EngineClient,
  id: string,
  options: { readonly tty: boolean; readonly stdin: boolean; readonly remove: boolean },
): Promise<number> {
  const session = await client.attachContainer(id, options);
  const exit = client.waitContainer(id, 'next-exit');
  exit.catch(() => undefined);
  using _interrupt = onInterrupt(
    (count) => void client.killContainer(id, count > 1 ? 'SIGKILL' : 'SIGINT').catch(() => undefined),
  );
  try {
    const failed = await start(context, client, id);
    if (failed !== undefined) return failed;
    await joinTerminal(session, {
      ...options,
      output: context.output,
      resize: (rows, columns) => client.resizeContainer(id, rows, columns),
    });
    return await exit;
  } finally {
    session.close();
    if (options.remove) await client.removeContainer(id, { force: true, volumes: true });
  }
}
