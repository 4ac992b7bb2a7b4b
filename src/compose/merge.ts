import type { Entry, Mapping, Node, Sequence } from './node.ts';
import { child, isNull } from './node.ts';
import { type PathTable, stepDown, stepIntoItems } from './path-table.ts';
import { MERGE_RULES, type MergeRule, UNIQUE_RULES, type UniqueKey } from './rules/merge-rules.ts';
import type { Source } from './source.ts';

/** Where two trees meet; `keepTags` leaves `!reset` and `!override` in place for a later merge with an earlier file. */
export interface MergeOptions {
  readonly keepTags?: boolean;
}

/**
 * Stage 7: lays `over` on `base`. Mappings merge by key, lists append, scalars replace; the tables name the exceptions.
 * Neither input is changed.
 */
export function merge(base: Mapping | undefined, over: Mapping, options: MergeOptions = {}): Mapping {
  const merged = mergeMappings(base ?? { ...over, entries: new Map() }, over, MERGE_RULES, options);
  // What the base gave unchanged holds each thing once already: ten files are not searched ten times.
  return unify(merged, UNIQUE_RULES, base) as Mapping;
}

/** Merges one service on another, as `extends` does. */
export function mergeService(base: Mapping, over: Mapping): Mapping {
  const rules = stepDown(stepDown(MERGE_RULES, 'services'), '*');
  const merged = mergeMappings(base, over, rules, { keepTags: true });
  const unique = stepDown(stepDown(UNIQUE_RULES, 'services'), '*');
  return unique ? (unify(merged, unique) as Mapping) : merged;
}

type Rules = PathTable<MergeRule> | undefined;

function mergeMappings(base: Mapping, over: Mapping, rules: Rules, options: MergeOptions): Mapping {
  const entries = new Map<string, Entry>(base.entries);
  for (const [key, entry] of over.entries) {
    const before = entries.get(key);
    const value = mergeNodes(before?.value, entry.value, stepDown(rules, key), options);
    if (value === undefined) entries.delete(key);
    // A thing is where it was first named; what is replaced is where it was replaced.
    else entries.set(key, { key: value.kind === 'map' && before ? before.key : entry.key, value });
  }
  const { tag, ...rest } = over;
  return { ...rest, entries, ...(base.tag !== undefined && { tag: base.tag }) };
}

/** Undefined: the value is gone. */
function mergeNodes(base: Node | undefined, over: Node, rules: Rules, options: MergeOptions): Node | undefined {
  if (over.tag === 'reset') return options.keepTags ? over : undefined;
  if (over.tag === 'override') return options.keepTags ? over : settle(over, options);
  if (base === undefined || base.tag === 'reset') return settle(over, options);
  if (rules?.rule) return rules.rule(base, over, (below, top) => mergeNodes(below, top, undefined, options) ?? below);
  // A key without a value says nothing new.
  if (isNull(over)) return base;
  if (base.kind === 'map' && over.kind === 'map') return mergeMappings(base, over, rules, options);
  if (base.kind === 'list' && over.kind === 'list') return append(base, over, options);
  return settle(over, options);
}

function append(base: Sequence, over: Sequence, options: MergeOptions): Sequence {
  const added = over.items.flatMap((item) => settle(item, options) ?? []);
  return { ...over, items: [...base.items, ...added], ...(base.tag !== undefined && { tag: base.tag }) };
}

/** Carries out the tags of a tree that nothing is below. */
export function dropTags(tree: Mapping): Mapping {
  const settled = settle(tree, {});
  return settled?.kind === 'map' ? settled : tree;
}

/** Takes the tags away that have nothing to act on. */
function settle(node: Node, options: MergeOptions): Node | undefined {
  if (options.keepTags) return node;
  if (node.tag === 'reset' || (node.tag === 'override' && isNull(node))) return undefined;
  if (node.kind === 'scalar') return node.tag === undefined ? node : { ...node, ...untagged(node) };
  if (!hasTags(node)) return node;
  if (node.kind === 'list') {
    return { ...untagged(node), items: node.items.flatMap((item) => settle(item, options) ?? []) };
  }
  const entries = new Map<string, Entry>();
  for (const [key, entry] of node.entries) {
    const value = settle(entry.value, options);
    if (value !== undefined) entries.set(key, { key: entry.key, value });
  }
  return { ...untagged(node), entries };
}

function untagged<T extends Node>(node: T): T {
  const { tag: _, ...rest } = node;
  return rest as T;
}

const tagged = new WeakMap<Source, boolean>();

/** Whether the file uses the tags at all; most do not, and then no tree needs walking. */
function usesTags(source: Source): boolean {
  const known = tagged.get(source) ?? /!(?:reset|override)\b/.test(source.text);
  tagged.set(source, known);
  return known;
}

function hasTags(node: Node): boolean {
  if (!usesTags(node.source)) return false;
  if (node.tag !== undefined) return true;
  if (node.kind === 'scalar') return false;
  if (node.kind === 'list') return node.items.some(hasTags);
  return node.entries.values().some((entry) => hasTags(entry.value));
}

/** Of list items with the same key the last stays, at the place of the first. `before` is known to be so. */
function unify(node: Node, table: PathTable<UniqueKey>, before?: Node): Node {
  if (node.kind === 'scalar' || node === before) return node;
  if (node.kind === 'list') {
    const below = stepIntoItems(table);
    const unique = table.rule ? uniqueItems(node.items, table.rule) : node.items;
    const items = below ? unique.map((item) => unify(item, below)) : unique;
    return isSame(items, node.items) ? node : { ...node, items };
  }
  // Copied when the first value changes: few do.
  let entries: Map<string, Entry> | undefined;
  for (const [key, { key: at, value }] of node.entries) {
    const below = stepDown(table, key);
    const unified = below ? unify(value, below, child(before, key)) : value;
    if (unified === value) continue;
    entries ??= new Map(node.entries);
    entries.set(key, { key: at, value: unified });
  }
  return entries ? { ...node, entries } : node;
}

function isSame(items: readonly Node[], before: readonly Node[]): boolean {
  return items.length === before.length && items.every((item, index) => item === before[index]);
}

function uniqueItems(items: readonly Node[], keyOf: UniqueKey): readonly Node[] {
  if (items.length < 2) return items;
  const found = new Map<string, Node>();
  let loose = 0;
  for (const item of items) found.set(keyOf(item) ?? `\0${loose++}`, item);
  return [...found.values()];
}
