import { dirname } from 'node:path/posix';
import { parseDotenv } from './dotenv.ts';
import { type LoadContext, readSource } from './load-context.ts';
import { isOffered } from './load-environment.ts';
import { merge } from './merge.ts';
import {
  child,
  childItems,
  type Entry,
  type Mapping,
  type Node,
  positionOf,
  type Scalar,
  type Sequence,
  withEntry,
} from './node.ts';
import { nodesEqual } from './nodes-equal.ts';
import { absolutePath } from './paths.ts';
import { mayReach } from './remote/check-reach.ts';
import { locateRemote, type RemotePlace } from './remote/locate-remote.ts';
import { isRemoteFile } from './remote/remote-address.ts';

/** One file of an include. */
export interface IncludedFile extends RemotePlace {
  readonly from: Node;
}

/** Loads files as one model up to the merge stage; `trail` is the chain of including files. */
export type LoadFiles = (
  files: readonly IncludedFile[],
  base: string,
  context: LoadContext,
  trail: readonly string[],
) => Promise<Mapping | undefined>;

const MAX_CHAIN = 100;

/** Stage 5: lays the including document on the models it includes. Two included models may not disagree. */
export async function include(
  tree: Mapping,
  context: LoadContext,
  trail: readonly string[],
  loadFiles: LoadFiles,
): Promise<Mapping> {
  const entries = child(tree, 'include');
  if (entries?.kind !== 'list') return tree;
  let included: Mapping | undefined;
  for (const entry of entries.items) {
    const model = await loadEntry(entry, context, trail, loadFiles);
    if (!model) continue;
    if (included) reportClashes(included, model, context);
    included = merge(included, model);
  }
  const own = withEntry(tree, 'include', undefined);
  return included ? layUnder(definitionsOf(included), own) : own;
}

/** The own document keeps its tags: they may also speak of earlier `-f` files. */
function layUnder(included: Mapping, own: Mapping): Mapping {
  return merge(included, own, { keepTags: true });
}

async function loadEntry(
  entry: Node,
  context: LoadContext,
  trail: readonly string[],
  loadFiles: LoadFiles,
): Promise<Mapping | undefined> {
  const paths = childItems(entry, 'path').filter((item) => item.kind === 'scalar');
  if (paths.length === 0 && entry.kind === 'map' && !child(entry, 'path')) {
    report(entry, 'compose/missing-key', 'this include needs the key path', context, 'name the file to include');
  }
  if (paths.length === 0) return undefined;
  const files: IncludedFile[] = [];
  for (const path of paths) {
    const located = await locateIncluded(path, context);
    if (!located) return undefined;
    const { file } = located;
    if (trail.length > MAX_CHAIN) {
      report(path, 'compose/too-deep', `more than ${MAX_CHAIN} files include each other`, context, 'shorten the chain');
      return undefined;
    }
    if (trail.includes(file)) {
      const chain = [...trail.slice(Math.max(0, trail.indexOf(file))), file].join(' → ');
      report(path, 'compose/include-cycle', `include cycle: ${chain}`, context, 'remove one of these includes');
      return undefined;
    }
    files.push({ ...located, from: path });
  }
  const folder = child(entry, 'project_directory');
  const named = folder?.kind === 'scalar' && folder.value !== null ? folder : undefined;
  const base =
    named === undefined ? dirname(files[0]?.file ?? '/') : absolutePath(named.text, entry.source.base, context.home);
  if (named && !mayReach(named, base, context.findings)) return undefined;
  const inner = await withEnvironment(entry, base, context);
  return loadFiles(named ? files.map((file) => widen(file, base)) : files, base, inner, trail);
}

/** A folder that the including file names is one that the remote file may use. */
function widen(file: IncludedFile, folder: string): IncludedFile {
  return file.origin ? { ...file, origin: { ...file.origin, folders: [...file.origin.folders, folder] } } : file;
}

/** What a remote file includes by a path came with it. */
async function locateIncluded(path: Scalar, context: LoadContext): Promise<RemotePlace | undefined> {
  if (isRemoteFile(path.text)) return locateRemote(path.text, positionOf(path), context);
  const file = absolutePath(path.text, path.source.base, context.home);
  const { origin } = path.source;
  return mayReach(path, file, context.findings) ? { file, ...(origin && { origin }) } : undefined;
}

/** The included model sees the caller's variables over those of its own env files. */
async function withEnvironment(entry: Node, base: string, context: LoadContext): Promise<LoadContext> {
  const named = childItems(entry, 'env_file').filter((item) => item.kind === 'scalar');
  const files = named.map((item) => ({ path: absolutePath(item.text, entry.source.base, context.home), at: item }));
  const own = new Map<string, string>();
  const lookup = (name: string) => context.lookup(name) ?? own.get(name);
  const readInto = async (path: string, at: Node) => {
    if (!mayReach(at, path, context.findings)) return;
    const source = await readSource(path, base, positionOf(at), context);
    context.journal.envFiles.push(path);
    const { entries, problems } = parseDotenv(source?.text ?? '', lookup);
    for (const { message, line, column } of problems) {
      context.findings.add({
        code: 'compose/invalid-env-file',
        severity: 'error',
        message,
        at: { file: path, line, column },
      });
    }
    const length = entries.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
    if (!context.budget.takeText(length, at)) return;
    for (const { key, value } of entries) if (value !== null) own.set(key, value);
  };
  if (files.length > 0) for (const { path, at } of files) await readInto(path, at);
  else {
    const path = absolutePath('.env', base, undefined);
    if (await isOffered(path, context.reader)) await readInto(path, entry);
  }
  if (own.size === 0) return context;
  return { ...context, lookup, layers: new Map() };
}

const SECTIONS = ['services', 'networks', 'volumes', 'secrets', 'configs', 'models'];

/** Name and `x-` keys of an included model are its own. */
function definitionsOf(model: Mapping): Mapping {
  return { ...model, entries: new Map([...model.entries].filter(([key]) => SECTIONS.includes(key))) };
}

function reportClashes(before: Mapping, added: Mapping, context: LoadContext): void {
  for (const section of SECTIONS) {
    const known = child(before, section);
    const news = child(added, section);
    if (known?.kind !== 'map' || news?.kind !== 'map') continue;
    for (const [name, entry] of news.entries) reportClash(section, name, entry, known, context);
  }
}

function reportClash(section: string, name: string, entry: Entry, known: Mapping, context: LoadContext): void {
  const first = known.entries.get(name);
  if (!first || nodesEqual(first.value, entry.value)) return;
  const { file, line } = positionOf(first.key);
  const message = `${section}.${name} is defined differently by two includes (first ${file}:${line})`;
  report(entry.key, 'compose/include-conflict', message, context, 'rename one, or define it in the including file');
}

function report(
  at: { source: Sequence['source']; start: number; end: number },
  code: string,
  message: string,
  context: LoadContext,
  hint: string,
): void {
  context.findings.add({ code, severity: 'error', message, at: positionOf(at), hint });
}
