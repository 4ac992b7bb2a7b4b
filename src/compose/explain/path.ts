import type { LoadedTree, LoadRun } from '../load-tree.ts';
import { child, childText, isNull, type Mapping, type Node, positionOf, type Sequence, type Span } from '../node.ts';
import { type PathTable, stepDown } from '../path-table.ts';
import { absolutePath } from '../paths.ts';
import { MERGE_RULES, type MergeRule } from '../rules/merge-rules.ts';
import { referencesIn } from '../template-references.ts';
import { environmentSteps } from './environment.ts';
import { type Explanation, type ExplanationStep, placeText } from './explanation.ts';
import { describeNode, pathSegments, valueAt } from './tree-path.ts';
import { originOf } from './variables.ts';

/** What one document says about the path. */
interface Say {
  readonly node: Node;
  /** The document's own words, or those of a service that is extended. */
  readonly how: string | undefined;
  /** A tag on the value or on one of its parents. */
  readonly tag: 'reset' | 'override' | undefined;
  /** The value is written elsewhere and comes through an anchor. */
  readonly anchored: boolean;
}

/** Where the value at a path came from. */
export function explainPath(subject: string, run: LoadRun, loaded: LoadedTree): Explanation {
  const final = finalTree(loaded);
  const segments = pathSegments(subject, [final, ...run.journal.layers.map(({ tree }) => tree)]);
  const index = segments.findIndex((segment, at) => at > 0 && /^\[\d+\]$/.test(segment));
  const result = valueAt(final, segments)?.node;
  const steps =
    index < 0
      ? keySteps(segments, result, run, loaded)
      : itemSteps(valueAt(final, segments.slice(0, index + 1))?.node, run, loaded);
  return { subject, ...(result && { value: describeNode(result) }), steps };
}

/** The tree with the services as they are in the end. */
function finalTree({ whole, active, inactive }: LoadedTree): Mapping {
  const services: Mapping = { ...active, entries: new Map([...active.entries, ...inactive.entries]) };
  const entries = new Map(whole.entries);
  const given = entries.get('services');
  if (given) entries.set('services', { key: given.key, value: services });
  return { ...whole, entries };
}

function itemSteps(item: Node | undefined, run: LoadRun, loaded: LoadedTree): ExplanationStep[] {
  if (!item) return [];
  return [{ text: rawText(item), at: positionOf(item), outcome: 'used' }, ...madeFrom(item, item, run, loaded)];
}

function keySteps(
  segments: readonly string[],
  result: Node | undefined,
  run: LoadRun,
  loaded: LoadedTree,
): ExplanationStep[] {
  const says = run.journal.layers.flatMap(({ tree }, at) => saysOf(tree, segments, { run, before: at, depth: 0 }));
  const steps = says.map((say, at): ExplanationStep => {
    const verdict = judge(say, says.slice(at + 1), segments, result);
    const text = `${rawText(say.node)}${say.how === undefined ? '' : ` (${say.how})`}${say.anchored ? ' (through an anchor)' : ''}`;
    return { text, at: positionOf(say.node), ...verdict };
  });
  const winner = says.at(-1)?.node;
  const fromFiles = environmentSteps(segments, { run, loaded, isSaid: winner !== undefined });
  if (winner && result) return [...steps, ...fromFiles, ...madeFrom(winner, result, run, loaded)];
  if (!result || fromFiles.length > 0) return [...steps, ...fromFiles];
  return [{ text: 'implied by the specification', outcome: 'used' }];
}

interface Search {
  readonly run: LoadRun;
  /** Layers below this one may hold the service that is extended. */
  readonly before: number;
  readonly depth: number;
}

const MAX_DEPTH = 100;

/** What a document says, what its services extend first. */
function saysOf(tree: Mapping, segments: readonly string[], search: Search): Say[] {
  const [section, name, ...rest] = segments;
  const service = section === 'services' && name !== undefined ? child(child(tree, 'services'), name) : undefined;
  const extension = child(service, 'extends');
  const bases = extension && rest.length > 0 ? baseSays(tree, extension, rest, search) : [];
  const found = valueAt(tree, segments);
  if (!found) return bases;
  return [...bases, { node: found.node, how: undefined, tag: found.tag, anchored: found.anchored }];
}

function baseSays(tree: Mapping, extension: Node, rest: readonly string[], search: Search): Say[] {
  const base = childText(extension, 'service');
  if (base === undefined || search.depth > MAX_DEPTH) return [];
  const file = childText(extension, 'file');
  const home = search.run.options.environment['HOME'];
  const trees =
    file === undefined
      ? [...search.run.journal.layers.slice(0, search.before).map((layer) => layer.tree), tree]
      : (search.run.journal.extended.get(absolutePath(file, extension.source.base, home)) ?? []);
  const how = `service ${base}, extended at ${placeText(positionOf(extension))}`;
  const below = { ...search, depth: search.depth + 1 };
  return [...new Set(trees)].flatMap((other) =>
    saysOf(other, ['services', base, ...rest], below).map((say) => ({ ...say, how: say.how ?? how })),
  );
}

type Verdict = Pick<ExplanationStep, 'outcome' | 'because'>;

function judge(say: Say, later: readonly Say[], segments: readonly string[], result: Node | undefined): Verdict {
  if (say.tag === 'reset') return { outcome: 'note', because: '!reset removes what stands above' };
  const cut = later.find(({ tag }) => tag !== undefined);
  if (cut) return { outcome: 'lost', because: `!${cut.tag} at ${placeText(positionOf(cut.node))} removes it` };
  const over = later.findLast(({ node }) => !isNull(node) || say.node.kind === 'scalar');
  if (!over) return { outcome: 'used' };
  const at = placeText(positionOf(over.node));
  if (say.node.kind === 'scalar') return { outcome: 'lost', because: `replaced by ${at}: the later file wins` };
  if (say.node.kind === 'map') return { outcome: 'used', because: `merged key by key with ${at}` };
  if (replacesLists(segments)) return { outcome: 'lost', because: `replaced by ${at}: this list is never appended to` };
  return listVerdict(say.node, at, result);
}

function listVerdict(list: Sequence, at: string, result: Node | undefined): Verdict {
  const kept = result?.kind === 'list' ? new Set(result.items.map(spanKey)) : new Set<string>();
  const lost = list.items.filter((item) => !kept.has(spanKey(item)));
  if (lost.length === 0) return { outcome: 'used', because: `the items of ${at} are appended` };
  const words = lost.map((item) => rawText(item)).join(', ');
  return { outcome: 'used', because: `the items of ${at} are appended; they replace ${words}` };
}

const spanKey = ({ source, start, end }: Span) => `${source.file}:${start}:${end}`;

function replacesLists(segments: readonly string[]): boolean {
  let table: PathTable<MergeRule> | undefined = MERGE_RULES;
  for (const segment of segments) table = stepDown(table, segment);
  return table?.rule !== undefined;
}

/** How what is written became the value: variables and paths. */
function madeFrom(written: Node, result: Node, run: LoadRun, loaded: LoadedTree): ExplanationStep[] {
  if (written.kind !== 'scalar') return [];
  const raw = written.source.text.slice(written.start, written.end);
  const steps: ExplanationStep[] = [];
  for (const { name, operator, argument } of referencesIn(raw)) {
    const value = (written.source.lookup ?? ((key) => loaded.facts.environment.get(key)))(name);
    const origin = originOf(name, run, loaded);
    const missing = value === undefined || (value === '' && operator?.startsWith(':') === true);
    const fallback = missing && operator?.endsWith('-') ? `; the default ${JSON.stringify(argument)} is used` : '';
    const text = value === undefined ? `${name} is not set${fallback}` : `${name}=${value} from ${origin}${fallback}`;
    steps.push({ text, outcome: 'note' });
  }
  if (result.kind === 'scalar' && result.text !== written.text)
    steps.push({
      text: `${written.text} becomes ${result.text}`,
      outcome: 'note',
      because: `relative to ${written.source.base}`,
    });
  return steps;
}

/** The first line of what is written. */
function rawText(node: Node): string {
  const text = node.source.text.slice(node.start, node.end).trim() || '(empty)';
  const [first = '', ...more] = text.split('\n');
  return `${first.slice(0, 100)}${more.length > 0 || first.length > 100 ? ' …' : ''}`;
}
