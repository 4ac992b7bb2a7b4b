import { loadOrThrow } from './load.ts';
import type { LoadOptions } from './load-options.ts';
import type { Node } from './node.ts';
import { referencesIn } from './template-references.ts';

/** A variable that the files use. */
export interface VariableUse {
  readonly name: string;
  /** Some use refuses to go on without it. */
  readonly required: boolean;
  /** The first default given; empty without one. */
  readonly default: string;
  /** What stands in its place when it is set; empty when nobody says. */
  readonly alternate: string;
}

/** The variables of an application in the order of their names. Throws `ComposeError`. */
export async function listVariables(options: LoadOptions): Promise<readonly VariableUse[]> {
  const { loaded } = await loadOrThrow({ ...options, purpose: 'show' }, new Set());
  const found = new Map<string, VariableUse>();
  const seen = new Set<Node>();
  const visit = (node: Node): void => {
    if (seen.has(node)) return;
    seen.add(node);
    if (node.kind === 'list') node.items.forEach(visit);
    else if (node.kind === 'map') for (const entry of node.entries.values()) visit(entry.value);
    else if (typeof node.value === 'string') addUses(node.value, found);
  };
  visit(loaded.whole);
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function addUses(template: string, found: Map<string, VariableUse>): void {
  for (const { name, operator = '', argument = '' } of referencesIn(template)) {
    const known = found.get(name) ?? { name, required: false, default: '', alternate: '' };
    found.set(name, {
      name,
      required: known.required || operator.endsWith('?'),
      default: known.default || (operator.endsWith('-') ? argument : ''),
      alternate: known.alternate || (operator.endsWith('+') ? argument : ''),
    });
  }
}
