import { child, childText, type Entry, type Mapping, type Node, scalarAt, withEntry } from './node.ts';
import { type PathTable, pathTable, stepDown, stepIntoItems } from './path-table.ts';
import { absolutePath, isRemote } from './paths.ts';

type PathRule = (node: Node, home: string | undefined) => Node;

const file: PathRule = (node, home) =>
  node.kind === 'scalar' && node.text !== '' ? scalarAt(node, absolutePath(node.text, node.source.base, home)) : node;

const context: PathRule = (node, home) => (node.kind === 'scalar' && !isRemote(node.text) ? file(node, home) : node);

const mount: PathRule = (node, home) => {
  const source = child(node, 'source');
  if (node.kind !== 'map' || source === undefined || childText(node, 'type') !== 'bind') return node;
  return withEntry(node, 'source', file(source, home));
};

/** The local driver takes a host folder as `device` when the mount is a bind. */
const localVolume: PathRule = (node, home) => {
  const options = child(node, 'driver_opts');
  const device = child(options, 'device');
  if (node.kind !== 'map' || options?.kind !== 'map' || device === undefined) return node;
  if ((childText(node, 'driver') ?? 'local') !== 'local' || childText(options, 'o') !== 'bind') return node;
  return withEntry(node, 'driver_opts', withEntry(options, 'device', file(device, home)));
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

/** Stage 10: relative paths become absolute, each from the base folder of the file it is written in; `~` is the home folder. */
export function resolvePaths(tree: Mapping, home: string | undefined): Mapping {
  return resolve(tree, PATH_RULES, home) as Mapping;
}

function resolve(node: Node, table: PathTable<PathRule>, home: string | undefined): Node {
  const made = table.rule ? table.rule(node, home) : node;
  if (table.below.size === 0 || made.kind === 'scalar') return made;
  if (made.kind === 'list') {
    const below = stepIntoItems(table);
    return below ? { ...made, items: made.items.map((item) => resolve(item, below, home)) } : made;
  }
  const entries = new Map<string, Entry>();
  for (const [key, entry] of made.entries) {
    const below = key.startsWith('x-') ? undefined : stepDown(table, key);
    entries.set(key, below ? { key: entry.key, value: resolve(entry.value, below, home) } : entry);
  }
  return { ...made, entries };
}
