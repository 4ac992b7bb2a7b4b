import { join } from 'node:path';
import { watch as watchPaths } from 'chokidar';
import type { EngineClient } from '../client/index.ts';
import type { Project } from '../compose/index.ts';
import { TscError } from '../core/index.ts';
import { describePath, readTextIfExists } from '../host/index.ts';
import { parseIgnoreFile } from '../stack/index.ts';
import type { Context } from './context.ts';
import { carryOutBatch, initialSync } from './watch-actions.ts';
import { type ArmedRule, armRule, matchRule } from './watch-rules.ts';

/** Milliseconds without a further change after which a batch is carried out. */
const QUIET = 25;
/** A stream of changes without a pause is cut into batches of at most this many milliseconds. */
const LONGEST = 500;

/**
 * Watches what `develop.watch` of the services names and carries the actions out, one batch after another. Resolves once
 * watching; the returned function ends it. An action that fails is reported and the loop goes on.
 */
export async function startWatching(
  context: Context,
  client: EngineClient,
  project: Project,
  services: readonly string[],
): Promise<() => Promise<void>> {
  const rules = await armRules(project, services);
  if (rules.length === 0) {
    throw new TscError('cli/invalid', 'no service has a develop.watch section', {
      hint: 'add one to the service in the compose file: develop: { watch: [{ path, action, target }] }',
    });
  }
  await initialSync(context, client, project, rules).catch(context.report);
  const changed = new Set<string>();
  let running = Promise.resolve();
  let first = 0;
  let timer: NodeJS.Timeout | undefined;
  const flush = () => {
    const batch = [...changed];
    changed.clear();
    first = 0;
    running = running
      .then(() => carryOutBatch(context, client, project, { rules, paths: batch }))
      .catch(context.report);
  };
  const onChange = (path: string) => {
    changed.add(path);
    const now = performance.now();
    if (first === 0) first = now;
    clearTimeout(timer);
    timer = setTimeout(flush, Math.min(QUIET, Math.max(0, first + LONGEST - now)));
  };
  const watcher = watchPaths([...new Set(rules.map(({ rule }) => rule.path))], {
    ignoreInitial: true,
    followSymlinks: false,
    ignored: (path) => isUninteresting(rules, path),
  });
  watcher.on('all', (event, path) => {
    // A new folder's files are reported one by one; empty ones are rare and come with the next file.
    if (event === 'addDir') return;
    if (rules.some((armed) => matchRule(armed, path) !== undefined)) onChange(path);
  });
  watcher.on('error', (error) =>
    context.report(new TscError('watch/failed', 'watching files failed', { cause: error })),
  );
  const ready = Promise.withResolvers<void>();
  watcher.on('ready', ready.resolve);
  await ready.promise;
  context.output.note(` Watching ${describe(rules)}`);
  return async () => {
    clearTimeout(timer);
    await watcher.close();
    await running;
  };
}

/** Folders that no rule wants are not entered: node_modules alone may hold 50,000 files. */
function isUninteresting(rules: readonly ArmedRule[], path: string): boolean {
  const near = rules.filter(({ root, rule }) => path === rule.path || path.startsWith(`${root}/`));
  if (near.some(({ rule }) => rule.path === path)) return false;
  return near.every(
    (armed) => armed.onlyFile === undefined && armed.ignored.isIgnored(path.slice(armed.root.length + 1)),
  );
}

async function armRules(project: Project, services: readonly string[]): Promise<ArmedRule[]> {
  const rules: ArmedRule[] = [];
  for (const name of services) {
    const service = project.services.get(name);
    const context = service?.build?.context;
    const ignoreText = context === undefined ? undefined : await readTextIfExists(join(context, '.dockerignore'));
    const dockerIgnore = ignoreText === undefined ? [] : parseIgnoreFile(ignoreText);
    for (const rule of service?.develop?.watch ?? []) {
      const entry = await describePath(rule.path, '.');
      const file = entry ?? (await describePath('/', rule.path));
      if (!service || !file) {
        throw new TscError('watch/not-found', `service ${name}: develop.watch path ${rule.path} does not exist`);
      }
      // Patterns of .dockerignore are relative to the context; they apply where the rule watches that very folder.
      rules.push(armRule(service, rule, file.stats.isDirectory(), rule.path === context ? dockerIgnore : []));
    }
  }
  return rules;
}

function describe(rules: readonly ArmedRule[]): string {
  const services = new Set(rules.map(({ service }) => service.name));
  return `${rules.length} path${rules.length === 1 ? '' : 's'} of ${[...services].join(', ')}; edit and save`;
}
