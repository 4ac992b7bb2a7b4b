import type { Diagnostic } from '../core/index.ts';
import { bind } from './bind.ts';
import { loadOrThrow } from './load.ts';
import type { LoadOptions } from './load-options.ts';
import { type OptionalStage, stagesWithout } from './load-tree.ts';
import { narrowProject } from './narrow.ts';
import { child, childItems, childText, type Node } from './node.ts';
import { renderProject } from './render.ts';
import { renderTree } from './render-tree.ts';

/** An application of which some stages were left out: it can be shown, not run. */
export interface Model {
  /** Names of its services. */
  readonly services: readonly string[];
  /** Images of those that the profiles select, as they are written; of a built one without a name, the name it gets. */
  readonly images: readonly string[];
  readonly warnings: readonly Diagnostic[];
  readonly sources: ReadonlyMap<string, string>;
  render(format: 'yaml' | 'json'): string;
}

/**
 * Loads an application without some stages. Without `interpolate` nobody knows which profiles are active or what a
 * reference means, so all services are kept and nothing is checked across them. Throws `ComposeError`.
 */
export async function loadModel(options: LoadOptions, without: readonly OptionalStage[]): Promise<Model> {
  const keepsTemplates = without.includes('interpolate');
  const stages = stagesWithout(keepsTemplates ? [...without, 'select-profiles'] : without);
  const { loaded, warnings, run } = await loadOrThrow({ ...options, purpose: 'show' }, stages);
  const services = [...loaded.active.entries.keys()];
  const imageOf = (name: string) => childText(child(loaded.active, name), 'image') ?? `${loaded.facts.name}-${name}`;
  const found = {
    services,
    images: services.filter((name) => isAsked(child(loaded.active, name), options)).map(imageOf),
    warnings,
    sources: run.sources,
  };
  if (keepsTemplates) return { ...found, render: (format) => renderTree(loaded.tree, format) };
  const project = narrowProject(
    bind(loaded.tree, loaded.active, loaded.inactive, loaded.facts),
    options.services ?? [],
  );
  return { ...found, render: (format) => renderProject(project, { format }) };
}

/** Whether the profiles of a service, as they are written, are among those asked for. */
function isAsked(service: Node | undefined, { profiles = [], environment }: LoadOptions): boolean {
  const asked = [...profiles, ...(environment['COMPOSE_PROFILES'] ?? '').split(',')];
  const own = childItems(service, 'profiles').flatMap((item) => (item.kind === 'scalar' ? [item.text] : []));
  return own.length === 0 || asked.includes('*') || own.some((profile) => asked.includes(profile));
}
