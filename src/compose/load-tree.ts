import { DiagnosticCollector, type Position } from '../core/index.ts';
import type { ProjectFacts } from './bind.ts';
import { checkConsistency } from './check-consistency.ts';
import { checkRequired } from './check-shape.ts';
import { checkSupport } from './check-support.ts';
import { applyDefaults, defaultContexts } from './default.ts';
import { dropUnused } from './drop-unused.ts';
import { extend } from './extend.ts';
import { include, type LoadFiles } from './include.ts';
import type { Journal } from './journal.ts';
import type { LoadBudget } from './load-budget.ts';
import { type LoadContext, loadLayer, prepare, readSource } from './load-context.ts';
import type { LoadOptions } from './load-options.ts';
import { type Located, locateFiles } from './locate-files.ts';
import { merge } from './merge.ts';
import { type Entry, type Mapping, type Node, positionOf, type Span, withEntry } from './node.ts';
import { normalise } from './normalise.ts';
import { parse } from './parse.ts';
import { projectName } from './project-name.ts';
import { checkReach, tellOfPassing } from './remote/check-reach.ts';
import { resolveEnvironment } from './resolve-environment.ts';
import { rebasePaths, resolvePaths } from './resolve-paths.ts';
import { selectProfiles } from './select-profiles.ts';

/** Stages that a caller may leave out; the others always run. Named as `config` names what it skips. */
export type OptionalStage =
  | 'interpolate'
  | 'normalise'
  | 'resolve-paths'
  | 'select-profiles'
  | 'check-consistency'
  | 'resolve-environment';

/** The whole pipeline. */
export const ALL_STAGES: ReadonlySet<OptionalStage> = new Set<OptionalStage>([
  'interpolate',
  'normalise',
  'resolve-paths',
  'select-profiles',
  'check-consistency',
  'resolve-environment',
]);

/** The whole pipeline but for some of its stages. */
export function stagesWithout(left: readonly OptionalStage[]): ReadonlySet<OptionalStage> {
  return new Set([...ALL_STAGES].filter((stage) => !left.includes(stage)));
}

/** One load: its input, the stages that run, and what it finds. */
export interface LoadRun {
  readonly options: LoadOptions;
  readonly stages: ReadonlySet<OptionalStage>;
  readonly findings: DiagnosticCollector;
  /** Text of every file read, by path. */
  readonly sources: Map<string, string>;
  readonly journal: Journal;
  readonly budget: LoadBudget;
}

/** What the stages make of the files: everything but the typed model. */
export interface LoadedTree {
  /** The merged application, resources that no active service uses left out. */
  readonly tree: Mapping;
  /** All top-level resources, used or not. */
  readonly whole: Mapping;
  readonly active: Mapping;
  readonly inactive: Mapping;
  readonly facts: ProjectFacts;
}

/** Runs the stages in order. Undefined after a problem that leaves nothing to go on with; it is reported. */
export async function loadTree(run: LoadRun): Promise<LoadedTree | undefined> {
  const { options, stages, findings } = run;
  const located = await locateFiles(options, run);
  if (!located) return undefined;
  const { files, folder, environment } = located;
  const merged = await mergeFiles(run, located);
  if (!merged || run.budget.isSpent) return undefined;
  const { name, context } = merged;
  checkRequired(merged.tree, findings);
  const defaulted = applyDefaults(merged.tree);
  if (run.journal.untrusted.length > 0) {
    if (!checkReach(defaulted, context.home, findings)) return undefined;
    tellOfPassing(defaulted, (key) => merged.variables.has(key), findings);
  }
  const normal = stages.has('normalise') ? normalise(defaulted, name) : defaulted;
  const whole = stages.has('resolve-paths') ? resolvePaths(normal, context.home) : rebasePaths(normal, folder);
  const facts = {
    name,
    workingDirectory: folder,
    composeFiles: files.map(({ file }) => file),
    envFiles: environment.files,
    environment: merged.variables,
  };
  if (!stages.has('select-profiles')) {
    const none: Mapping = { ...whole, entries: new Map() };
    return { tree: whole, whole, active: servicesOf(whole), inactive: none, facts: { ...facts, profiles: [] } };
  }
  const asking = { profiles: askedProfiles(options, merged.variables), services: options.services ?? [] };
  const { active, inactive, profiles } = selectProfiles(whole, asking, findings);
  if (stages.has('check-consistency')) checkConsistency(whole, active, findings);
  const tree = withEntry(dropUnused(whole, active), 'services', active);
  checkSupport(tree, { refuse: options.purpose !== 'show', hostPlatform: options.hostPlatform }, findings);
  const resolved = stages.has('resolve-environment')
    ? {
        active: await resolveEnvironment(active, context),
        inactive: await resolveEnvironment(inactive, { ...context, findings: new DiagnosticCollector() }),
      }
    : { active, inactive };
  return { tree, whole, ...resolved, facts: { ...facts, profiles } };
}

interface MergedFiles {
  readonly tree: Mapping;
  readonly name: string;
  readonly variables: ReadonlyMap<string, string>;
  readonly context: LoadContext;
}

async function mergeFiles(run: LoadRun, located: Located): Promise<MergedFiles | undefined> {
  const { files, folder, namingFolder, environment } = located;
  const { options, findings, sources, journal, budget } = run;
  const { reader } = options;
  const variables = new Map(environment.variables);
  // Parsed ahead of the rest: the name may come from the files, and interpolation may use it.
  const documents = (
    await Promise.all(
      files.map(({ file, origin }) => parseFile(file, folder, { reader, findings, sources, budget, origin })),
    )
  ).flat();
  const [first] = documents;
  if (first && documents.every((document) => document.entries.size === 0)) reportEmpty(first, findings);
  const asked = options.projectName ?? variables.get('COMPOSE_PROJECT_NAME');
  const name = projectName({ asked, documents, folder: namingFolder, lookup: (key) => variables.get(key) }, findings);
  if (name !== undefined) variables.set('COMPOSE_PROJECT_NAME', name);
  const context: LoadContext = {
    reader,
    remote: options.remote,
    findings,
    sources,
    journal,
    budget,
    lookup: (key) => variables.get(key),
    caller: (key) => variables.get(key),
    expands: run.stages.has('interpolate'),
    warned: new Set(),
    layers: new Map(),
    home: options.environment['HOME'],
  };
  const tree = await mergeDocuments(
    prepare(documents, context),
    context,
    located.files.map(({ file }) => file),
    undefined,
  );
  if (!tree || name === undefined) return undefined;
  warnVersion(tree, findings);
  return { tree, name, variables, context };
}

/** An override, or a file that is included, may say nothing; a project may not. */
function reportEmpty(document: Mapping, findings: DiagnosticCollector): void {
  findings.add({
    code: 'compose/empty-file',
    severity: 'error',
    message: 'the file is empty',
    at: positionOf(document),
    hint: 'describe at least one service under `services:`',
  });
}

async function parseFile(
  file: string,
  base: string,
  context: Pick<LoadContext, 'reader' | 'findings' | 'sources' | 'budget' | 'origin'>,
): Promise<Mapping[]> {
  const source = await readSource(file, base, undefined, context);
  return source ? await parse(source, context.findings) : [];
}

/** Stages 5 to 7 on documents in order: each is laid on what came before. */
async function mergeDocuments(
  documents: readonly Mapping[],
  context: LoadContext,
  trail: readonly string[],
  from: Span | undefined,
): Promise<Mapping | undefined> {
  let merged: Mapping | undefined;
  for (const document of documents) {
    const whole = await include(document, context, trail, loadIncluded);
    context.journal.layers.push({ tree: document, from });
    const extended = await extend(whole, merged, context);
    merged = merge(merged, extended);
  }
  return merged;
}

async function loadIncluded(
  files: Parameters<LoadFiles>[0],
  base: string,
  context: LoadContext,
  trail: readonly string[],
): Promise<Mapping | undefined> {
  const layers: Mapping[] = [];
  for (const { file, from, origin } of files) {
    layers.push(...((await loadLayer(file, base, positionOf(from), { ...context, origin })) ?? []));
  }
  const merged = await mergeDocuments(layers, context, [...trail, ...files.map(({ file }) => file)], files[0]?.from);
  return merged && defaultContexts(merged);
}

function askedProfiles(options: LoadOptions, variables: ReadonlyMap<string, string>): readonly string[] {
  const listed = variables.get('COMPOSE_PROFILES') ?? '';
  const named = listed.split(',').map((profile) => profile.trim());
  return [...new Set([...(options.profiles ?? []), ...named])].filter((profile) => profile !== '');
}

function warnVersion(tree: Mapping, findings: DiagnosticCollector): void {
  const version = tree.entries.get('version');
  if (!version) return;
  findings.add({
    code: 'compose/obsolete-version',
    severity: 'warning',
    message: 'the attribute `version` is obsolete and ignored',
    at: positionOf(version.key),
    hint: 'remove it',
  });
}

function servicesOf(tree: Mapping): Mapping {
  const services = tree.entries.get('services')?.value;
  return services?.kind === 'map' ? services : { ...tree, entries: new Map() };
}

/** Where a value was written; that of the nearest known ancestor otherwise. */
export function locateIn(tree: Mapping, path: readonly string[]): Position {
  let at: Span = tree;
  let node: Node | undefined = tree;
  for (const segment of path) {
    const entry: Entry | undefined = node?.kind === 'map' ? node.entries.get(segment) : undefined;
    const item: Node | undefined = node?.kind === 'list' ? node.items[Number(segment)] : undefined;
    node = entry?.value ?? item;
    if (!node) break;
    at = entry?.key ?? node;
  }
  return positionOf(at);
}
