import type { DiagnosticCollector } from '../core/index.ts';
import { childItems, childMap, childText, type Entry, type Mapping, positionOf } from './node.ts';
import { implicitDependencies } from './rules/implicit-dependencies.ts';
import { suggest } from './suggest.ts';

/** Which services run. */
export interface Selection {
  readonly active: Mapping;
  readonly inactive: Mapping;
  readonly profiles: readonly string[];
}

/**
 * Stage 11: a service is in when it has no profile, when one of its profiles is active, or when it is named (then its
 * profiles become active). An active service may not require an inactive one.
 */
export function selectProfiles(
  tree: Mapping,
  asked: { readonly profiles: readonly string[]; readonly services: readonly string[] },
  findings: DiagnosticCollector,
): Selection {
  const services = childMap(tree, 'services');
  const entries = [...(services?.entries ?? [])];
  const names = entries.map(([name]) => name);
  const profiles = new Set(asked.profiles);
  for (const name of asked.services) {
    const service = services?.entries.get(name)?.value;
    if (!service) reportUnknown(name, names, findings);
    for (const profile of profilesOf(service)) profiles.add(profile);
  }
  const isActive = ([name, { value }]: [string, Entry]) => {
    const own = profilesOf(value);
    return (
      own.length === 0 ||
      profiles.has('*') ||
      own.some((profile) => profiles.has(profile)) ||
      asked.services.includes(name)
    );
  };
  const base = services ?? tree;
  const active: Mapping = { ...base, kind: 'map', entries: new Map(entries.filter(isActive)) };
  const inactive: Mapping = { ...base, kind: 'map', entries: new Map(entries.filter((entry) => !isActive(entry))) };
  for (const [name, { value }] of active.entries) checkReferences(name, value, inactive, findings);
  return { active, inactive, profiles: [...profiles] };
}

function profilesOf(service: Entry['value'] | undefined): string[] {
  return childItems(service, 'profiles').flatMap((item) => (item.kind === 'scalar' ? [item.text] : []));
}

function reportUnknown(name: string, known: readonly string[], findings: DiagnosticCollector): void {
  const near = suggest(name, known);
  findings.add({
    code: 'compose/unknown-service',
    severity: 'error',
    message: `there is no service ${JSON.stringify(name)}`,
    hint: near === undefined ? `the services are: ${known.slice(0, 20).join(', ')}` : `did you mean ${near}?`,
  });
}

function checkReferences(
  name: string,
  service: Entry['value'],
  inactive: Mapping,
  findings: DiagnosticCollector,
): void {
  if (service.kind !== 'map') return;
  const implied = new Map(implicitDependencies(service).map((reference) => [reference.name, reference.at]));
  for (const [target, { key, value }] of childMap(service, 'depends_on')?.entries ?? []) {
    const other = inactive.entries.get(target)?.value;
    if (!other || childText(value, 'required') === 'false') continue;
    findings.add({
      code: 'compose/inactive-dependency',
      severity: 'error',
      message: `service ${name} depends on ${target}, which is not active: it needs one of the profiles ${profilesOf(other).join(', ')}`,
      at: positionOf(implied.get(target) ?? key),
      hint: `activate it with --profile ${profilesOf(other)[0]}, or mark the dependency \`required: false\``,
    });
  }
}
