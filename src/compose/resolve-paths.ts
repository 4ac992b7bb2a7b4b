import { isAbsolute, join, relative } from 'node:path/posix';
import { child, childText, type Entry, type Mapping, type Node, type Scalar, scalarAt, withEntry } from './node.ts';
import { type PathTable, pathTable, stepDown, stepIntoItems } from './path-table.ts';
import { absolutePath, isRemote } from './paths.ts';

/** The path that stands for one that is written. */
type Resolver = (path: Scalar) => Node;

type PathRule = (node: Node, resolver: Resolver) => Node;

const file: PathRule = (node, resolver) => (node.kind === 'scalar' && node.text !== '' ? resolver(node) : node);

const context: PathRule = (node, resolver) =>
  node.kind === 'scalar' && !isRemote(node.text) ? file(node, resolver) : node;

const mount: PathRule = (node, resolver) => {
  const source = child(node, 'source');
  if (node.kind !== 'map' || source === undefined || childText(node, 'type') !== 'bind') return node;
  return withEntry(node, 'source', file(source, resolver));
};

/** The local driver takes a host folder as `device` when the mount is a bind. */
const localVolume: PathRule = (node, resolver) => {
  const options = child(node, 'driver_opts');
  const device = child(options, 'device');
  if (node.kind !== 'map' || options?.kind !== 'map' || device === undefined) return node;
  if ((childText(node, 'driver') ?? 'local') !== 'local' || childText(options, 'o') !== 'bind') return node;
  return withEntry(node, 'driver_opts', withEntry(options, 'device', file(device, resolver)));
};

const PATH_RULES = pathTable<PathRule>([
  ['configs.*.file', file],
  ['secrets.*.file', file],
  ['services.*.build.additional_contexts.*', context],
  ['services.*.build.context', context],
  ['services.*.build.ssh.*', file],
  ['services.*.develop.watch[].path', file],
  ['services.*.env_file[].path', file],
  ['services.*.label_file[]', file],
  ['services.*.volumes[]', mount],
  ['volumes.*', localVolume],
]);

/** Shows every path of the tree that is no address, as it is written. */
export function visitPaths(tree: Mapping, visit: (path: Scalar) => void): void {
  const unchanged: Resolver = (path) => {
    visit(path);
    return path;
  };
  resolve(tree, PATH_RULES, unchanged);
}

/** Stage 10: relative paths become absolute, each from the base folder of the file it is written in; `~` is the home folder. */
export function resolvePaths(tree: Mapping, home: string | undefined): Mapping {
  const absolute: Resolver = (path) => scalarAt(path, absolutePath(path.text, path.source.base, home));
  return resolve(tree, PATH_RULES, absolute) as Mapping;
}

/**
 * In its place: paths stay as they are written, but those of files with another base folder (included, extended) are rewritten to
 * start at the project's, where a reader of the whole would start them.
 */
export function rebasePaths(tree: Mapping, folder: string): Mapping {
  const rebase: Resolver = (path) => {
    const { text, source } = path;
    if (source.base === folder || isAbsolute(text) || text.startsWith('~')) return path;
    const moved = { ...path, source: { ...source, base: folder } };
    return scalarAt(moved, relative(folder, join(source.base, text)) || '.');
  };
  return resolve(tree, PATH_RULES, rebase) as Mapping;
}

function resolve(node: Node, table: PathTable<PathRule>, resolver: Resolver): Node {
  const made = table.rule ? table.rule(node, resolver) : node;
  if (table.below.size === 0 || made.kind === 'scalar') return made;
  if (made.kind === 'list') {
    const below = stepIntoItems(table);
    return below ? { ...made, items: made.items.map((item) => resolve(item, below, resolver)) } : made;
  }
  // Copied when the first value changes: few hold a path.
  let entries: Map<string, Entry> | undefined;
  for (const [key, entry] of made.entries) {
    const below = stepDown(table, key);
    const value = below ? resolve(entry.value, below, resolver) : entry.value;
    if (value === entry.value) continue;
    entries ??= new Map(made.entries);
    entries.set(key, { key: entry.key, value });
  }
  return entries ? { ...made, entries } : made;
}
