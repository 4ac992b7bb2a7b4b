import type { EngineClient } from '../client/index.ts';
import type { Project, WatchRule } from '../compose/index.ts';
import { TscError } from '../core/index.ts';
import { walkTree } from '../host/index.ts';
import {
  bringUp,
  forEachLimited,
  type ObservedContainer,
  observe,
  replicasIn,
  type SyncPath,
  syncFiles,
} from '../stack/index.ts';
import type { Context } from './context.ts';
import { registryAuthentication } from './registry-login.ts';
import { createProgressView } from './view/progress.ts';
import { type ArmedRule, matchRule, targetOf } from './watch-rules.ts';

export interface Batch {
  readonly rules: readonly ArmedRule[];
  /** Absolute paths that changed. */
  readonly paths: readonly string[];
}

/** Carries out what a batch of changes asks for, service by service; rebuild beats everything else of its service. */
export async function carryOutBatch(
  context: Context,
  client: EngineClient,
  project: Project,
  batch: Batch,
): Promise<void> {
  const began = performance.now();
  const perService = Map.groupBy(batch.rules, ({ service }) => service.name);
  for (const [name, rules] of perService) {
    const hits = rules
      .map((armed) => ({ armed, inside: batch.paths.flatMap((path) => matchRule(armed, path) ?? []) }))
      .filter(({ inside }) => inside.length > 0);
    if (hits.length === 0) continue;
    const note = (what: string) =>
      context.output.note(` ${name}: ${what} (${summarise(batch.paths)}, ${Math.round(performance.now() - began)} ms)`);
    if (hits.some(({ armed }) => armed.rule.action === 'rebuild')) {
      await rebuild(context, client, project, name);
      note('rebuilt');
      continue;
    }
    const replicas = await runningReplicas(client, project.name, name);
    await forEachLimited(replicas, 8, (replica) => update(client, replica, hits, note));
  }
}

interface Hit {
  readonly armed: ArmedRule;
  readonly inside: readonly string[];
}

async function update(
  client: EngineClient,
  replica: ObservedContainer,
  hits: readonly Hit[],
  note: (what: string) => void,
): Promise<void> {
  for (const { armed, inside } of hits) {
    if (!armed.rule.action.startsWith('sync')) continue;
    const paths = inside.map((path): SyncPath => ({ path, target: targetOf(armed, path) }));
    const { copied, deleted } = await syncFiles(client, replica.id, armed.root, paths);
    note(`synced ${copied.length + deleted.length} file${copied.length + deleted.length === 1 ? '' : 's'}`);
  }
  for (const { armed } of hits)
    if (armed.rule.action === 'sync+exec') {
      await runHook(client, replica, armed.rule);
      note('ran its command');
    }
  if (hits.some(({ armed }) => armed.rule.action === 'restart' || armed.rule.action === 'sync+restart')) {
    await client.restartContainer(replica.id);
    note('restarted');
  }
}

/** Brings containers up to date with rules that ask for it, before watching begins. */
export async function initialSync(
  context: Context,
  client: EngineClient,
  project: Project,
  rules: readonly ArmedRule[],
): Promise<void> {
  for (const armed of rules) {
    if (!armed.rule.initialSync || !armed.rule.action.startsWith('sync')) continue;
    const paths: SyncPath[] = [];
    const enter = (path: string, isDirectory: boolean) => {
      const wanted = matchRule(armed, `${armed.root}/${path}`) !== undefined;
      return { report: wanted && !isDirectory, descend: isDirectory && !armed.ignored.isIgnored(path) };
    };
    for await (const { path } of walkTree(armed.root, enter)) paths.push({ path, target: targetOf(armed, path) });
    if (paths.length === 0) continue;
    for (const replica of await runningReplicas(client, project.name, armed.service.name))
      await syncFiles(client, replica.id, armed.root, paths);
    context.output.note(` ${armed.service.name}: initial sync of ${paths.length} files`);
  }
}

async function rebuild(context: Context, client: EngineClient, project: Project, name: string): Promise<void> {
  const view = await createProgressView(
    context.root.progress === 'auto' ? 'plain' : context.root.progress,
    context.output,
  );
  try {
    await bringUp(client, project, {
      services: [name],
      noDeps: true,
      recreate: 'changed',
      removeOrphans: false,
      renewAnonymousVolumes: false,
      scale: new Map([[name, (await allReplicas(client, project.name, name)).length || 1]]),
      start: true,
      wait: false,
      images: { build: 'always', onProgress: view.image, authenticate: registryAuthentication(context.environment) },
      onOperation: view.operation,
    });
  } finally {
    await view.finish();
  }
}

async function runHook(client: EngineClient, replica: ObservedContainer, rule: WatchRule): Promise<void> {
  const hook = rule.exec;
  if (!hook?.command) throw new TscError('watch/invalid', `develop.watch ${rule.path}: sync+exec has no exec.command`);
  const exec = await client.createExec(replica.id, {
    command: hook.command,
    ...(hook.user && { user: hook.user }),
    ...(hook.workingDir && { workingDir: hook.workingDir }),
    ...(hook.privileged && { privileged: true }),
    environment: [...hook.environment].flatMap(([key, value]) => (value === null ? [] : [`${key}=${value}`])),
  });
  const session = await client.startExec(exec, { tty: false, stdin: false });
  const said: Buffer[] = [];
  for await (const { data } of session.output) said.push(data);
  const { exitCode } = await client.inspectExec(exec);
  if (exitCode === 0) return;
  throw new TscError('watch/failed', `${replica.name}: ${hook.command.join(' ')} exited with code ${exitCode}`, {
    hint: Buffer.concat(said).toString('utf8').trim().slice(-2000) || 'it wrote nothing',
  });
}

async function runningReplicas(client: EngineClient, project: string, service: string): Promise<ObservedContainer[]> {
  return (await allReplicas(client, project, service)).filter(({ state }) => state === 'running');
}

async function allReplicas(client: EngineClient, project: string, service: string) {
  return [...replicasIn(await observe(client, project), service)];
}

function summarise(paths: readonly string[]): string {
  const [first = ''] = paths;
  const name = first.slice(first.lastIndexOf('/') + 1);
  return paths.length === 1 ? name : `${name} and ${paths.length - 1} more`;
}
