import { type DiagnosticCollector, sortTopologically } from '../core/index.ts';
import { checkRequired } from './check-shape.ts';
import { childMap, type Mapping, positionOf, type Span } from './node.ts';
import { RESOURCE_RULES, SERVICE_RULES } from './rules/consistency-rules.ts';
import { implicitDependencies } from './rules/implicit-dependencies.ts';
import type { RuleContext } from './rules/rule-context.ts';

/** Stage 8: what the schema cannot say – references, exclusive attributes, cycles, required keys – on the merged tree. */
export function checkConsistency(tree: Mapping, findings: DiagnosticCollector): void {
  checkRequired(tree, findings);
  const report: RuleContext['report'] = (at, code, message, hint) =>
    findings.add({ code, severity: 'error', message, at: positionOf(at), ...(hint !== undefined && { hint }) });
  for (const [name, { key, value }] of childMap(tree, 'services')?.entries ?? []) {
    if (value.kind !== 'map' || name.startsWith('x-')) continue;
    for (const rule of SERVICE_RULES) rule(value, { tree, name, key, report });
  }
  for (const section of ['networks', 'volumes', 'secrets', 'configs']) {
    for (const [name, { key, value }] of childMap(tree, section)?.entries ?? []) {
      if (value.kind !== 'map' || name.startsWith('x-')) continue;
      for (const rule of RESOURCE_RULES) rule(value, section, { tree, name, key, report });
    }
  }
  checkCycles(tree, report);
}

function checkCycles(tree: Mapping, report: RuleContext['report']): void {
  const services = childMap(tree, 'services');
  if (!services) return;
  const edges = new Map<string, ReadonlyMap<string, Span>>();
  for (const [name, { value }] of services.entries) if (value.kind === 'map') edges.set(name, edgesOf(value));
  const sorted = sortTopologically([...edges.keys()], (name) => edges.get(name)?.keys() ?? []);
  if (!('cycle' in sorted)) return;
  const [from = '', to = ''] = sorted.cycle;
  const at = edges.get(from)?.get(to) ?? services;
  const message = `dependency cycle: ${sorted.cycle.join(' → ')}`;
  report(at, 'compose/dependency-cycle', message, 'remove one of these dependencies');
}

function edgesOf(service: Mapping): ReadonlyMap<string, Span> {
  const found = new Map<string, Span>();
  for (const [name, { key }] of childMap(service, 'depends_on')?.entries ?? []) found.set(name, key);
  for (const { name, at } of implicitDependencies(service)) if (!found.has(name)) found.set(name, at);
  return found;
}
