import { type DiagnosticCollector, type Position, type Severity, sortTopologically } from '../core/index.ts';
import { child, childItems, childMap, childText, type Mapping, type Node, positionOf, type Span } from './node.ts';
import { RESOURCE_RULES, SERVICE_RULES } from './rules/consistency-rules.ts';
import { checkEgress, checkSettings } from './rules/extension-rules.ts';
import { implicitDependencies } from './rules/implicit-dependencies.ts';
import type { RuleContext } from './rules/rule-context.ts';
import { isCrowded } from './suggest.ts';

/**
 * What the schema cannot say: references, exclusive attributes, cycles. Looks at the active services only, after
 * profiles are selected: one that is switched off may be half finished.
 */
export function checkConsistency(tree: Mapping, active: Mapping, findings: DiagnosticCollector): void {
  const add =
    (severity: Severity): RuleContext['report'] =>
    (at, code, message, hint) =>
      findings.add({ code, severity, message, at: positionOf(at), ...(hint !== undefined && { hint }) });
  const report = add('error');
  const warn = add('warning');
  const crowded = () => isCrowded(findings);
  const earlier = findings.all.filter(({ severity }) => severity === 'error');
  for (const [name, { key, value }] of active.entries) {
    if (value.kind !== 'map') continue;
    const troubled = () => earlier.some(({ at }) => at !== undefined && isWithin(at, key, value));
    for (const rule of SERVICE_RULES) rule(value, { tree, name, key, report, warn, crowded, troubled });
    checkEgress(value, { name, report });
  }
  const troubled = () => false;
  for (const section of ['networks', 'volumes', 'secrets', 'configs']) {
    for (const [name, { key, value }] of childMap(tree, section)?.entries ?? []) {
      if (value.kind !== 'map') continue;
      for (const rule of RESOURCE_RULES) rule(value, section, { tree, name, key, report, warn, crowded, troubled });
    }
  }
  checkSettings(tree, report);
  checkContainerNames(active, report);
  warnHostPorts(active, warn);
  checkCycles(active, report);
}

/** Whether a position lies in the lines from a key to the end of its value. */
function isWithin(at: Position, key: Span, value: Node): boolean {
  const first = positionOf(key);
  const last = positionOf({ ...value, start: value.end });
  return at.file === first.file && at.line >= first.line && at.line <= last.line;
}

/** Two services cannot hold the same port of the host; found here, it has a place. */
function warnHostPorts(services: Mapping, warn: RuleContext['warn']): void {
  const owners = new Map<string, string>();
  for (const [service, { value }] of services.entries) {
    for (const port of childItems(value, 'ports')) {
      const published = childText(port, 'published') ?? '';
      if (!/^\d+$/.test(published) || published === '0') continue;
      const address = childText(port, 'host_ip') ?? '0.0.0.0';
      const id = `${address} ${published} ${childText(port, 'protocol') ?? 'tcp'}`;
      const owner = owners.get(id);
      if (owner !== undefined && owner !== service) {
        const message = `services ${owner} and ${service} both publish port ${published} of ${address}`;
        warn(port, 'compose/port-conflict', message, 'give one of them another host port');
      }
      owners.set(id, owner ?? service);
    }
  }
}

function checkContainerNames(services: Mapping, report: RuleContext['report']): void {
  const owners = new Map<string, string>();
  for (const [service, { value }] of services.entries) {
    const name = childText(value, 'container_name');
    const at = child(value, 'container_name');
    const owner = name === undefined ? undefined : owners.get(name);
    if (at && owner !== undefined) {
      report(
        at,
        'compose/conflict',
        `services ${owner} and ${service} have the same container_name ${name}`,
        'rename one',
      );
    }
    if (name !== undefined) owners.set(name, service);
  }
}

function checkCycles(services: Mapping, report: RuleContext['report']): void {
  const edges = new Map<string, ReadonlyMap<string, Span>>();
  for (const [name, { value }] of services.entries) if (value.kind === 'map') edges.set(name, edgesOf(value));
  const sorted = sortTopologically([...edges.keys()], (name) => edges.get(name)?.keys() ?? []);
  // One that depends on itself is reported by its own rule.
  if (!('cycle' in sorted) || sorted.cycle.length === 2) return;
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
