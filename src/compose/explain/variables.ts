import type { Position } from '../../core/index.ts';
import { type DotenvEntry, parseDotenv } from '../dotenv.ts';
import type { LoadedTree, LoadRun } from '../load-tree.ts';
import type { Mapping, Node } from '../node.ts';
import { positionOf } from '../node.ts';
import { referencesIn } from '../template-references.ts';
import { type Explanation, type ExplanationStep, placeText } from './explanation.ts';

/** An assignment of a variable in an env file. */
export interface Assignment {
  readonly value: string | null;
  readonly at: Position;
}

/**
 * What an env file that was read says about a name; the last line counts. `outer` is what its values see besides the
 * caller's variables.
 */
export function assignmentIn(
  run: LoadRun,
  file: string,
  name: string,
  outer: ReadonlyMap<string, string> = new Map(),
): Assignment | undefined {
  const text = run.sources.get(file);
  if (text === undefined) return undefined;
  const environment = run.options.environment;
  const { entries } = parseDotenv(text, (key) => environment[key] ?? outer.get(key));
  const entry = entries.findLast((item: DotenvEntry) => item.key === name);
  return entry && { value: entry.value, at: { file, ...lineOf(text, name) } };
}

function lineOf(text: string, name: string): { line: number; column: number } {
  const lines = text.split('\n');
  const isAssignment = (line: string) => {
    const [, key] = /^\s*(?:export\s+)?([A-Za-z0-9_.[\]-]+)/.exec(line) ?? [];
    return key === name;
  };
  return { line: Math.max(0, lines.findLastIndex(isAssignment)) + 1, column: 1 };
}

/** Where the value of a variable comes from, in a few words; `file` is the compose file that uses it. */
export function originOf(name: string, run: LoadRun, loaded: LoadedTree): string {
  if (run.options.environment[name] !== undefined) return 'the environment';
  const files = [...run.journal.envFiles, ...loaded.facts.envFiles];
  const found = files.map((file) => assignmentIn(run, file, name)).findLast((item) => item !== undefined);
  if (found) return placeText(found.at);
  return name === 'COMPOSE_PROJECT_NAME' ? 'the project name' : 'nowhere: it is not set';
}

/** Where a variable of the interpolation gets its value, what lost, and who uses it. */
export function explainVariable(name: string, run: LoadRun, loaded: LoadedTree): Explanation {
  const value = loaded.facts.environment.get(name);
  const caller = run.options.environment[name];
  const steps: ExplanationStep[] = [];
  for (const file of run.journal.envFiles) {
    const found = assignmentIn(run, file, name, loaded.facts.environment);
    const isLost = value !== undefined;
    if (found)
      steps.push({
        ...assigned(name, found),
        outcome: isLost ? 'lost' : 'used',
        because: isLost ? "the including project's own value wins" : 'for the included files only',
      });
  }
  const own = loaded.facts.envFiles.flatMap((file) => assignmentIn(run, file, name) ?? []);
  for (const [index, found] of own.entries()) {
    const next = own[index + 1];
    const because =
      caller !== undefined
        ? 'the environment wins over env files'
        : next && `replaced by ${placeText(next.at)}, a later env file`;
    steps.push({ ...assigned(name, found), outcome: because ? 'lost' : 'used', ...(because && { because }) });
  }
  if (caller !== undefined) steps.push({ text: `${name}=${caller} in the environment`, outcome: 'used' });
  else if (name === 'COMPOSE_PROJECT_NAME' && own.length === 0)
    steps.push({ text: `the project is called ${value}`, outcome: 'used' });
  return {
    subject: name,
    ...(value !== undefined && { value: JSON.stringify(value) }),
    steps: [...steps, ...usesOf(name, run)],
  };
}

function assigned(name: string, { value, at }: Assignment): { readonly text: string; readonly at: Position } {
  return { text: value === null ? name : `${name}=${value}`, at };
}

function usesOf(name: string, run: LoadRun): ExplanationStep[] {
  const steps: ExplanationStep[] = [];
  const seen = new Set<string>();
  const trees = [...run.journal.layers.map(({ tree }) => tree), ...[...run.journal.extended.values()].flat()];
  for (const tree of trees) visitScalars(tree, (node) => addUse(node, name, { seen, steps }));
  return steps;
}

function addUse(node: Node, name: string, found: { seen: Set<string>; steps: ExplanationStep[] }): void {
  const raw = node.source.text.slice(node.start, node.end);
  if (!raw.includes('$')) return;
  const at = positionOf(node);
  const key = `${at.file}:${node.start}`;
  if (found.seen.has(key)) return;
  const use = referencesIn(raw).find((reference) => reference.name === name);
  if (!use) return;
  found.seen.add(key);
  found.steps.push({ text: `used in ${raw.trim().split('\n')[0]?.slice(0, 100) ?? ''}`, at, outcome: 'note' });
}

function visitScalars(tree: Mapping, act: (node: Node) => void): void {
  const seen = new Set<Node>();
  const visit = (node: Node): void => {
    if (seen.has(node)) return;
    seen.add(node);
    if (node.kind === 'list') node.items.forEach(visit);
    else if (node.kind === 'map') for (const { value } of node.entries.values()) visit(value);
    else act(node);
  };
  visit(tree);
}
