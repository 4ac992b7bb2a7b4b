import { dirname } from 'node:path/posix';
import { type Diagnostic, DiagnosticCollector, type Position } from '../core/index.ts';
import { bind } from './bind.ts';
import { checkConsistency } from './check-consistency.ts';
import { checkRequired } from './check-shape.ts';
import { checkSupport } from './check-support.ts';
import { ComposeError } from './compose-error.ts';
import { applyDefaults } from './default.ts';
import { dropUnused } from './drop-unused.ts';
import { extend } from './extend.ts';
import { findFiles } from './find-files.ts';
import { include, type LoadFiles } from './include.ts';
import { type LoadContext, loadLayer, prepare, readSource } from './load-context.ts';
import { type LoadedEnvironment, loadEnvironment } from './load-environment.ts';
import { merge } from './merge.ts';
import { type Entry, type Mapping, type Node, positionOf, type Span, withEntry } from './node.ts';
import { parse } from './parse.ts';
import { absolutePath, isRemote } from './paths.ts';
import type { Project } from './project.ts';
import { projectName } from './project-name.ts';
import { resolveEnvironment } from './resolve-environment.ts';
import { resolvePaths } from './resolve-paths.ts';
import { selectProfiles } from './select-profiles.ts';
import type { SourceReader } from './source.ts';
import { MAX_FINDINGS } from './suggest.ts';

/** What the caller knows: flags, its environment and how to read files. */
export interface LoadOptions {
  /** `-f` in order; default: COMPOSE_FILE, else discovery from `currentDirectory` upwards. */
  readonly files?: readonly string[];
  /** Absolute; relative paths given in these options start here. */
  readonly currentDirectory: string;
  /** `--project-directory`; default: the folder of the first file. */
  readonly projectDirectory?: string;
  /** `-p`; default: COMPOSE_PROJECT_NAME, `name:`, the folder's name. */
  readonly projectName?: string;
  /** `--env-file` in order; default: COMPOSE_ENV_FILES, else `.env` of the project folder when there. */
  readonly envFiles?: readonly string[];
  /** `--profile`; default: COMPOSE_PROFILES. `*` activates all. */
  readonly profiles?: readonly string[];
  /** Services named on the command line; their profiles become active. Unknown names are errors. */
  readonly services?: readonly string[];
  /** The caller's environment. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly reader: SourceReader;
  /** `linux/amd64` or the like; a build for another platform is refused. Default: not checked. */
  readonly hostPlatform?: string;
  /**
   * `run` (default) refuses attributes that the specification knows and this version does not carry out; `show` keeps
   * them, for `config`.
   */
  readonly purpose?: 'run' | 'show';
}

/** A loaded application. */
export interface LoadResult {
  readonly project: Project;
  /** Warnings in the order of files and lines. */
  readonly warnings: readonly Diagnostic[];
  /** Text of every file that was read, by path; for excerpts. */
  readonly sources: ReadonlyMap<string, string>;
  /** Where a value of the model was written, for example `['services', 'web', 'ports', '0']`; the nearest known ancestor otherwise. */
  readonly locate: (path: readonly string[]) => Position | undefined;
}

/** Loads an application. Throws only {@link ComposeError}, carrying every problem found in the run. */
export async function loadProject(options: LoadOptions): Promise<LoadResult> {
  const findings = new DiagnosticCollector();
  const sources = new Map<string, string>();
  const loaded = await load(options, findings, sources);
  if (loaded === undefined || findings.hasErrors) throw new ComposeError(inOrder(findings.all, sources), sources);
  return { ...loaded, warnings: inOrder(findings.all, sources), sources };
}

type Loaded = Pick<LoadResult, 'project' | 'locate'>;

async function load(
  options: LoadOptions,
  findings: DiagnosticCollector,
  sources: Map<string, string>,
): Promise<Loaded | undefined> {
  const { reader } = options;
  const home = options.environment['HOME'];
  const located = await locate(options, findings, sources);
  if (!located) return undefined;
  const { files, folder, environment } = located;
  const variables = new Map(environment.variables);

  // Parsed ahead of the rest: the name may come from the files, and interpolation may use it.
  const documents = (
    await Promise.all(files.map((file) => parseFile(file, folder, { reader, findings, sources })))
  ).flat();
  const asked = options.projectName ?? variables.get('COMPOSE_PROJECT_NAME');
  const name = projectName({ asked, documents, folder, lookup: (key) => variables.get(key) }, findings);
  if (name !== undefined) variables.set('COMPOSE_PROJECT_NAME', name);
  const context: LoadContext = {
    reader,
    findings,
    sources,
    lookup: (key) => variables.get(key),
    warned: new Set(),
    layers: new Map(),
    home,
  };

  const merged = await mergeDocuments(prepare(documents, context), context, files);
  if (!merged || name === undefined) return undefined;
  warnVersion(merged, findings);
  checkRequired(merged, findings);
  const defaulted = applyDefaults(merged, name);
  const resolved = resolvePaths(defaulted, home);
  const asking = { profiles: askedProfiles(options, variables), services: options.services ?? [] };
  const { active, inactive, profiles } = selectProfiles(resolved, asking, findings);
  checkConsistency(resolved, active, findings);
  const trimmed = withEntry(dropUnused(resolved, active), 'services', active);
  const support = { refuse: options.purpose !== 'show', hostPlatform: options.hostPlatform };
  checkSupport(trimmed, support, findings);
  const services = await resolveEnvironment(active, context);
  const facts = {
    name,
    workingDirectory: folder,
    composeFiles: files,
    envFiles: environment.files,
    environment: variables,
    profiles,
  };
  return {
    project: bind(
      trimmed,
      services,
      await resolveEnvironment(inactive, { ...context, findings: new DiagnosticCollector() }),
      facts,
    ),
    locate: (path) => locateIn(trimmed, path),
  };
}

interface Located {
  readonly files: readonly string[];
  /** The project folder. */
  readonly folder: string;
  readonly environment: LoadedEnvironment;
}

async function locate(
  options: LoadOptions,
  findings: DiagnosticCollector,
  sources: Map<string, string>,
): Promise<Located | undefined> {
  const { currentDirectory, reader, envFiles, environment } = options;
  const context = { reader, findings, sources };
  const given =
    options.projectDirectory === undefined
      ? undefined
      : absolutePath(options.projectDirectory, currentDirectory, undefined);
  const start = given ?? currentDirectory;
  // COMPOSE_FILE and its like may stand in the .env beside the caller.
  const first = await loadEnvironment({ envFiles, folder: start, currentDirectory, environment }, context);
  const files = await chooseFiles(options, first.variables, start, findings);
  const main = files[0];
  if (main === undefined) {
    findings.add({
      code: 'compose/no-file',
      severity: 'error',
      message: `there is no compose file in ${start} or its parents`,
      hint: 'create compose.yaml, or name a file with -f',
    });
    return undefined;
  }
  const folder = given ?? (main === '-' ? currentDirectory : dirname(main));
  if (folder === start || envFiles?.length) return { files, folder, environment: first };
  const second = await loadEnvironment({ envFiles, folder, currentDirectory, environment }, context);
  return { files, folder, environment: second.files.length > 0 ? second : first };
}

async function chooseFiles(
  options: LoadOptions,
  variables: ReadonlyMap<string, string>,
  start: string,
  findings: DiagnosticCollector,
): Promise<string[]> {
  const separator = variables.get('COMPOSE_PATH_SEPARATOR') || ':';
  const listed = variables.get('COMPOSE_FILE');
  for (const file of (options.files ?? []).filter(isRemote)) {
    const message = `remote compose files are not supported yet: ${file}`;
    findings.add({ code: 'compose/remote-file', severity: 'error', message, hint: 'fetch it and name the copy' });
  }
  const named = options.files?.length
    ? options.files
    : listed
      ? listed.split(separator).filter((path) => path !== '')
      : [];
  if (named.length === 0) return findFiles(start, options.reader, findings);
  return named.map((file) => (file === '-' ? file : absolutePath(file, options.currentDirectory, undefined)));
}

async function parseFile(
  file: string,
  base: string,
  context: Pick<LoadContext, 'reader' | 'findings' | 'sources'>,
): Promise<Mapping[]> {
  const source = await readSource(file, base, undefined, context);
  return source ? parse(source, context.findings) : [];
}

/** Stages 5 to 7 on documents in order: each is laid on what came before. */
async function mergeDocuments(
  documents: readonly Mapping[],
  context: LoadContext,
  trail: readonly string[],
): Promise<Mapping | undefined> {
  let merged: Mapping | undefined;
  for (const document of documents) {
    const whole = await include(document, context, trail, loadIncluded);
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
  for (const { file, from } of files) {
    layers.push(...((await loadLayer(file, base, positionOf(from), context)) ?? []));
  }
  return mergeDocuments(layers, context, [...trail, ...files.map(({ file }) => file)]);
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

function locateIn(tree: Mapping, path: readonly string[]): Position {
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

/** By file in the order of reading, then by line; each once, for a file may take part twice. */
function inOrder(all: readonly Diagnostic[], sources: ReadonlyMap<string, string>): Diagnostic[] {
  const ranks = new Map([...sources.keys()].map((file, index) => [file, index]));
  const rank = ({ at }: Diagnostic) => (at ? (ranks.get(at.file) ?? ranks.size) : -1);
  const unique = [...new Map(all.map((item) => [JSON.stringify(item), item])).values()];
  return withLimit(unique).sort(
    (a, b) => rank(a) - rank(b) || (a.at?.line ?? 0) - (b.at?.line ?? 0) || (a.at?.column ?? 0) - (b.at?.column ?? 0),
  );
}

function withLimit(all: Diagnostic[]): Diagnostic[] {
  if (all.length <= MAX_FINDINGS) return all;
  // Errors first: warnings must not push them out.
  const kept = [...all].sort((a, b) => Number(a.severity === 'warning') - Number(b.severity === 'warning'));
  const severity = kept[MAX_FINDINGS]?.severity ?? 'warning';
  const message = `${all.length - MAX_FINDINGS} more findings are not shown`;
  return [...kept.slice(0, MAX_FINDINGS), { code: 'compose/more-findings', severity, message }];
}
