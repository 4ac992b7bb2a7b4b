import { type DotenvEntry, type DotenvResult, parseDotenv, parseRawEnv } from './dotenv.ts';
import { type LoadContext, readSource } from './load-context.ts';
import {
  child,
  childItems,
  childMap,
  childText,
  type Entry,
  isNull,
  type Mapping,
  mappingAt,
  type Node,
  positionOf,
  scalarAt,
  withEntry,
} from './node.ts';
import { absolutePath } from './paths.ts';
import type { Lookup } from './template.ts';

/**
 * Part of stage 12: container variables and labels from files, bare keys from the caller. `environment` wins over
 * `env_file`, later files over earlier ones; `labels` over `label_file`.
 */
export async function resolveEnvironment(services: Mapping, context: LoadContext): Promise<Mapping> {
  const entries = new Map<string, Entry>();
  for (const [name, entry] of services.entries) {
    const value = entry.value.kind === 'map' ? await resolveService(entry.value, context) : entry.value;
    entries.set(name, { key: entry.key, value });
  }
  return { ...services, entries };
}

async function resolveService(service: Mapping, context: LoadContext): Promise<Mapping> {
  let made = service;
  const own = childMap(service, 'environment');
  const files = childItems(service, 'env_file');
  if (own || files.length > 0) {
    const variables = new Map<string, Node>();
    const filled = new Map<string, Node>();
    for (const [key, { value }] of own?.entries ?? []) filled.set(key, fill(key, value, context));
    for (const item of files) await addFile(item, { variables, own: filled }, context);
    for (const [key, value] of filled) variables.set(key, value);
    made = withEntry(made, 'environment', mappingAt(own ?? service, variables));
  }
  const labelFiles = childItems(service, 'label_file');
  if (labelFiles.length > 0) {
    const labels = new Map<string, Node>();
    for (const item of labelFiles) await addLabels(item, labels, context);
    for (const [key, { value }] of childMap(service, 'labels')?.entries ?? []) labels.set(key, value);
    made = withEntry(made, 'labels', mappingAt(child(service, 'labels') ?? service, labels));
  }
  const build = childMap(made, 'build');
  const args = childMap(build, 'args');
  if (build && args) {
    const filled = [...args.entries].map(([key, { value }]) => [key, fill(key, value, context)] as const);
    // A build argument that nobody gives keeps the default of its ARG line.
    const given = filled.filter(([, value]) => !isNull(value));
    made = withEntry(made, 'build', withEntry(build, 'args', mappingAt(args, given)));
  }
  return withEntry(withEntry(made, 'env_file', undefined), 'label_file', undefined);
}

/** The variables of the file that a value is written in. */
function lookupOf(node: Node, context: LoadContext): Lookup {
  return node.source.lookup ?? context.lookup;
}

/** A bare key takes the caller's value. */
function fill(key: string, value: Node, context: LoadContext): Node {
  if (value.kind !== 'scalar' || value.value !== null) return value;
  const found = lookupOf(value, context)(key);
  return found === undefined ? value : scalarAt(value, found);
}

interface ServiceVariables {
  /** What files gave so far. */
  readonly variables: Map<string, Node>;
  /** What `environment` gives. */
  readonly own: ReadonlyMap<string, Node>;
}

function textOf(node: Node | undefined): string | undefined {
  return node?.kind === 'scalar' && node.value !== null ? node.text : undefined;
}

async function addFile(item: Node, { variables, own }: ServiceVariables, context: LoadContext): Promise<void> {
  const written = child(item, 'path');
  if (written?.kind !== 'scalar') return;
  // Absolute already, unless the caller left paths as they are.
  const path = absolutePath(written.text, written.source.base, context.home);
  if (childText(item, 'required') === 'false' && (await isAbsent(path, context))) return;
  const source = await readSource(path, '/', positionOf(written), context);
  if (!source) return;
  const format = childText(item, 'format');
  if (format !== undefined && format !== '' && format !== 'raw') {
    const message = `unknown env_file format ${JSON.stringify(format)}`;
    context.findings.add({
      code: 'compose/invalid-value',
      severity: 'error',
      message,
      at: positionOf(item),
      hint: 'leave it out, or write raw',
    });
    return;
  }
  const text = source.text;
  // A file's own lines and bare keys see the caller's variables, then what the service's own environment says.
  const caller = lookupOf(written, context);
  const lookup = (name: string) => caller(name) ?? textOf(own.get(name));
  const earlier = (name: string) => textOf(variables.get(name));
  const parsed = format === 'raw' ? parseRawEnv(text) : parseDotenv(text, lookup, earlier);
  const entries = reported(path, parsed, context);
  for (const { key, value } of entries) {
    const found = value ?? lookup(key);
    if (found !== undefined) variables.set(key, scalarAt(item, found));
  }
}

/** The entries of a file, its problems told. */
function reported(path: string, parsed: DotenvResult, context: LoadContext): readonly DotenvEntry[] {
  const { entries, problems, unset } = parsed;
  for (const { message, line, column } of problems) {
    context.findings.add({
      code: 'compose/invalid-env-file',
      severity: 'error',
      message,
      at: { file: path, line, column },
    });
  }
  for (const name of unset) {
    if (context.warned.has(name)) continue;
    context.warned.add(name);
    const message = `the variable ${name}, used in ${path}, is not set; an empty string is used`;
    context.findings.add({ code: 'compose/unset-variable', severity: 'warning', message });
  }
  const length = entries.reduce((sum, { key, value }) => sum + key.length + (value?.length ?? 0), 0);
  return context.budget.takeText(length, undefined) ? entries : [];
}

async function addLabels(item: Node, labels: Map<string, Node>, context: LoadContext): Promise<void> {
  if (item.kind !== 'scalar') return;
  const path = absolutePath(item.text, item.source.base, context.home);
  const source = await readSource(path, '/', positionOf(item), context);
  if (!source) return;
  // Labels see the lines above, not the caller's variables.
  const parsed = parseDotenv(source.text, () => undefined);
  for (const { key, value } of reported(path, parsed, context)) {
    if (value !== null) labels.set(key, scalarAt(item, value));
  }
}

async function isAbsent(path: string, context: LoadContext): Promise<boolean> {
  try {
    return (await context.reader.read(path)) === undefined;
  } catch {
    return false;
  }
}
