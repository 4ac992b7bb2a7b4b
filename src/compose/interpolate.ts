import type { DiagnosticCollector } from '../core/index.ts';
import type { LoadBudget } from './load-budget.ts';
import { type Entry, type Mapping, type Node, positionOf, type Scalar, type Span } from './node.ts';
import { tellOfReading } from './remote/check-reach.ts';
import { expandTemplate, type Lookup } from './template.ts';

export interface Interpolation {
  readonly lookup: Lookup;
  /** Knows only what the caller gave, not what included files brought. */
  readonly caller: Lookup;
  /** What was warned of, from file to file. */
  readonly warned: Set<string>;
  readonly findings: DiagnosticCollector;
  readonly budget: LoadBudget;
}

/**
 * Stage 2: variables in every string value (keys are never touched). Unset variables become empty with one warning per
 * name.
 */
export function interpolate(tree: Mapping, context: Interpolation): Mapping {
  // Aliased nodes are shared: each is expanded once and stays shared.
  const done = new Map<Node, Node>();
  const visit = (node: Node): Node => {
    const known = done.get(node);
    if (known) return known;
    const made = node.kind === 'scalar' ? expandScalar(node, context) : visitCollection(node, visit);
    done.set(node, made);
    return made;
  };
  return visit(tree) as Mapping;
}

/** In place of stage 2: values with variables stay, marked so that later stages do not take them for what they stand for. */
export function keepTemplates(tree: Mapping): Mapping {
  const done = new Map<Node, Node>();
  const visit = (node: Node): Node => {
    const known = done.get(node);
    if (known) return known;
    const made = node.kind === 'scalar' ? markTemplate(node) : visitCollection(node, visit);
    done.set(node, made);
    return made;
  };
  return visit(tree) as Mapping;
}

function markTemplate(node: Scalar): Node {
  return typeof node.value === 'string' && node.value.includes('$') ? { ...node, template: true } : node;
}

function visitCollection(node: Exclude<Node, Scalar>, visit: (node: Node) => Node): Node {
  if (node.kind === 'list') {
    const items = node.items.map(visit);
    return items.every((item, index) => item === node.items[index]) ? node : { ...node, items };
  }
  let changed = false;
  const entries = new Map<string, Entry>();
  for (const [key, entry] of node.entries) {
    const value = visit(entry.value);
    if (value !== entry.value) changed = true;
    entries.set(key, value === entry.value ? entry : { key: entry.key, value });
  }
  return changed ? { ...node, entries } : node;
}

function expandScalar(node: Scalar, { lookup, caller, warned, findings, budget }: Interpolation): Node {
  if (typeof node.value !== 'string' || !node.value.includes('$')) return node;
  const { origin } = node.source;
  const read = new Set<string>();
  const result = expandTemplate(node.value, origin ? noting(lookup, caller, read) : lookup);
  if ('error' in result) {
    const { kind, message, excerpt } = result.error;
    findings.add({
      code: CODES[kind],
      severity: 'error',
      message,
      at: positionOf(partOf(node, excerpt)),
      hint: kind === 'required' ? 'set it in the environment or in the .env file' : templateHint(excerpt),
    });
    return { ...node, value: '', text: '', interpolated: true };
  }
  if (!budget.takeText(result.value.length, node)) return { ...node, value: '', text: '', interpolated: true };
  for (const { name, excerpt } of result.unset) {
    if (warned.has(name)) continue;
    warned.add(name);
    findings.add({
      code: 'compose/unset-variable',
      severity: 'warning',
      message: `the variable ${name} is not set; an empty string is used`,
      at: positionOf(partOf(node, excerpt)),
      hint: `set it, give a default as in \${${name}:-value}, or write $$ for a literal dollar sign`,
    });
  }
  for (const name of read) {
    const key = `${origin?.address} ${name}`;
    if (!warned.has(key)) tellOfReading(node, name, findings);
    warned.add(key);
  }
  return { ...node, value: result.value, text: result.value, interpolated: true };
}

/** A lookup that notes which names got their value from the caller. */
function noting(lookup: Lookup, caller: Lookup, read: Set<string>): Lookup {
  return (name) => {
    if (caller(name) !== undefined && name !== 'COMPOSE_PROJECT_NAME') read.add(name);
    return lookup(name);
  };
}

/** What was probably meant. */
function templateHint(excerpt: string): string {
  const literal = 'write $$ for a literal dollar sign';
  const [, name, value] = /^\$\{([A-Za-z_]\w*):([^-+?{}][^{}]*)\}$/.exec(excerpt) ?? [];
  if (name !== undefined) return `for a default write \${${name}:-${value}}; ${literal}`;
  return /^\$\{[A-Za-z_]\w*(?::?[-+?][^{}]*)?$/.test(excerpt) ? `close it with }; ${literal}` : literal;
}

const CODES = {
  syntax: 'compose/invalid-interpolation',
  required: 'compose/required-variable',
  limit: 'compose/interpolation-limit',
} as const;

/** The part of a scalar's source text that shows the excerpt; the whole scalar when escapes hide it. */
function partOf(node: Span, excerpt: string): Span {
  const found = excerpt === '' ? -1 : node.source.text.slice(node.start, node.end).indexOf(excerpt);
  if (found < 0) return node;
  return { source: node.source, start: node.start + found, end: node.start + found + excerpt.length };
}
