import type { DiagnosticCollector } from '../core/index.ts';
import type { LoadBudget } from './load-budget.ts';
import type { Entry, Mapping, Node, Sequence } from './node.ts';
import { type PathTable, stepDown, stepIntoItems } from './path-table.ts';
import { CANONICAL_RULES, type CanonicalRule } from './rules/canonical-rules.ts';

/** Stage 4: short forms to long forms, so that merge and everything after it see one shape. */
export function canonicalise(tree: Mapping, findings: DiagnosticCollector, budget: LoadBudget): Mapping {
  return rewrite(tree, CANONICAL_RULES, { findings, budget }) as Mapping;
}

interface Run {
  readonly findings: DiagnosticCollector;
  readonly budget: LoadBudget;
}

function rewrite(node: Node, table: PathTable<CanonicalRule>, run: Run): Node {
  if (node.tag === 'reset') return node;
  const made = table.rule ? keepTag(node, table.rule(node, run.findings, run.budget)) : node;
  if (table.below.size === 0 || made.kind === 'scalar') return made;
  return made.kind === 'list' ? rewriteItems(made, table, run) : rewriteEntries(made, table, run);
}

function keepTag(from: Node, made: Node): Node {
  return from.tag !== undefined && made.tag === undefined ? { ...made, tag: from.tag } : made;
}

function rewriteItems(list: Sequence, table: PathTable<CanonicalRule>, run: Run): Node {
  const below = stepIntoItems(table);
  if (!below) return list;
  return { ...list, items: list.items.map((item) => rewrite(item, below, run)) };
}

function rewriteEntries(map: Mapping, table: PathTable<CanonicalRule>, run: Run): Node {
  const entries = new Map<string, Entry>();
  let changed = false;
  for (const [key, entry] of map.entries) {
    const below = stepDown(table, key);
    const value = below ? rewrite(entry.value, below, run) : entry.value;
    if (value !== entry.value) changed = true;
    entries.set(key, value === entry.value ? entry : { key: entry.key, value });
  }
  return changed ? { ...map, entries } : map;
}
