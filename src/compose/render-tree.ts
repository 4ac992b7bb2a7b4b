import { type Out, sorted } from './codec.ts';
import { type Mapping, type Node, type Scalar, scalarAt, withEntry } from './node.ts';
import { type PathTable, pathTable, stepDown, stepIntoItems } from './path-table.ts';
import { writeJson } from './write-json.ts';
import { writeYaml } from './write-yaml.ts';

/**
 * Writes a tree whose templates were kept. Nothing is escaped, for its dollars are the files' own, and what the reference
 * keeps as it is written is written that way.
 */
export function renderTree(tree: Mapping, format: 'yaml' | 'json'): string {
  const out = outOf(withEntry(tree, 'version', undefined), AS_WRITTEN);
  return format === 'yaml' ? writeYaml(out) : writeJson(out);
}

type Form = 'pairs' | 'item' | 'hosts' | 'agents';

/** Short forms that the canonical stage expands and that mean the same either way. */
const AS_WRITTEN = pathTable<Form>([
  ...['annotations', 'build.args', 'build.labels', 'deploy.labels', 'environment', 'labels', 'sysctls'].map(
    (path) => [`services.*.${path}`, 'pairs'] as const,
  ),
  ...['networks', 'volumes', 'secrets', 'configs'].map((section) => [`${section}.*.labels`, 'pairs'] as const),
  ...['extra_hosts', 'build.extra_hosts'].flatMap((path) => [
    [`services.*.${path}`, 'hosts'] as const,
    [`services.*.${path}.*`, 'item'] as const,
  ]),
  ...['post_start', 'pre_start', 'pre_stop'].map((hook) => [`services.*.${hook}[].environment`, 'pairs'] as const),
  ['services.*.build.ssh', 'agents'],
  ['services.*.dns_search', 'item'],
  ['services.*.tmpfs', 'item'],
]);

function outOf(node: Node, table: PathTable<Form> | undefined): Out {
  if (node.kind === 'scalar') return node.value;
  if (node.kind === 'list') {
    const only = node.items.length === 1 ? node.items[0] : undefined;
    if (table?.rule === 'item' && only && !isWrittenAsList(node)) return outOf(only, undefined);
    return node.items.map((item) => outOf(item, stepIntoItems(table)));
  }
  if (table?.rule === 'agents') return sorted(node.entries, ({ value }) => outOf(value, undefined) || null);
  if (table?.rule !== undefined && (isWrittenAsList(node) || isFromSeveralFiles(node))) return listOf(node, table.rule);
  const below = new Map(Array.from(node.entries, ([key, { value }]) => [key, outOf(value, stepDown(table, key))]));
  return sorted(below, (value) => value);
}

function isWrittenAsList(node: Node): boolean {
  return /^[-[]/.test(node.source.text.slice(node.start, node.start + 1));
}

/** The reference merges these as lists. */
function isFromSeveralFiles(node: Mapping): boolean {
  return node.entries.values().some(({ key }) => key.source !== node.source);
}

/** A label without a value is an empty one; it is written without the equals sign, as it was. */
function isBare(item: Scalar): boolean {
  return item.text === '' && !item.source.text.slice(item.start, item.end).includes('=');
}

/** Hosts were separated by a colon, and nowadays are by an equals sign. */
function separatorOf(item: Scalar, key: string, form: Form): string {
  const written = item.source.text.slice(item.start, item.end);
  return form === 'hosts' && !written.includes(`${key}=`) ? ':' : '=';
}

function listOf(node: Mapping, form: Form): Out {
  return [...node.entries].flatMap(([key, { value }]) => {
    const values = value.kind === 'list' ? joined(value.items) : [value];
    return values.map((item) =>
      item.kind === 'scalar' && item.value !== null && !isBare(item)
        ? `${key}${separatorOf(item, key, form)}${item.text}`
        : key,
    );
  });
}

/** Addresses of one host that were written as one text, between commas. */
function joined(items: readonly Node[]): Node[] {
  const made: Node[] = [];
  for (const item of items) {
    const last = made.at(-1);
    if (last?.kind === 'scalar' && item.kind === 'scalar' && last.source === item.source && last.start === item.start)
      made[made.length - 1] = scalarAt(item, `${last.text},${item.text}`);
    else made.push(item);
  }
  return made;
}
