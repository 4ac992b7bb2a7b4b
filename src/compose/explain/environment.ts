import type { LoadedTree, LoadRun } from '../load-tree.ts';
import { child, childItems, childText, isNull, type Node } from '../node.ts';
import { type ExplanationStep, placeText } from './explanation.ts';
import { type Assignment, assignmentIn } from './variables.ts';

interface Situation {
  readonly run: LoadRun;
  readonly loaded: LoadedTree;
  /** The service's own `environment` (or `labels`) gives a value. */
  readonly isSaid: boolean;
}

/** What env files and label files say about one variable or label of a service. */
export function environmentSteps(segments: readonly string[], { run, loaded, isSaid }: Situation): ExplanationStep[] {
  const [section, name, key, variable, ...more] = segments;
  if (section !== 'services' || variable === undefined || more.length > 0) return [];
  if (key !== 'environment' && key !== 'labels') return [];
  const service = child(child(loaded.whole, 'services'), name ?? '');
  const found = filesOf(service, key).flatMap(
    (file) => assignmentIn(run, file, variable, loaded.facts.environment) ?? [],
  );
  const steps = found.map((assignment, index) => stepOf(variable, assignment, { isSaid, key, next: found[index + 1] }));
  const caller = loaded.facts.environment.get(variable);
  const given = key === 'environment' ? child(child(service, key), variable) : undefined;
  if (given && isNull(given) && caller !== undefined)
    steps.push({ text: `${variable}=${caller}, taken over for the bare name`, outcome: 'used' });
  return steps;
}

function filesOf(service: Node | undefined, key: 'environment' | 'labels'): string[] {
  if (key === 'environment') return childItems(service, 'env_file').flatMap((item) => childText(item, 'path') ?? []);
  return childItems(service, 'label_file').flatMap((item) => (item.kind === 'scalar' ? [item.text] : []));
}

function stepOf(
  name: string,
  { value, at }: Assignment,
  { isSaid, key, next }: { isSaid: boolean; key: string; next: Assignment | undefined },
): ExplanationStep {
  const text = value === null ? name : `${name}=${value}`;
  if (isSaid) return { text, at, outcome: 'lost', because: `${key} of the service wins over files` };
  if (next) return { text, at, outcome: 'lost', because: `replaced by ${placeText(next.at)}, a later file` };
  return { text, at, outcome: 'used' };
}
