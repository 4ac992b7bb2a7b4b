import type { Project } from '../compose/index.ts';
import { isUp, type ObservedContainer, type ObservedState } from './observed-state.ts';
import { type Plan, PlanBuilder } from './plan.ts';

export interface DownOptions {
  /** Services to take down; all of the project when empty, then networks go too. */
  readonly services: readonly string[];
  readonly removeOrphans: boolean;
  /** Named volumes of the files, and anonymous ones. */
  readonly volumes: boolean;
  readonly timeout?: number;
  /** Images to remove afterwards. */
  readonly images: readonly string[];
}

/** Decides everything that `down` will do. Without a project (only its name is known) the labels say it all. Pure. */
export function planDown(have: ObservedState, project: Project | undefined, options: DownOptions): Plan {
  const builder = new PlanBuilder();
  const doomed = have.containers.filter((item) => isDoomed(item, project, options));
  const removed = planContainers(builder, doomed, options);
  if (options.services.length > 0) return builder.finish(have.project);
  const order = [...removed.values()].flat();
  for (const network of have.networks) {
    if (!isOurs(network.labels, have.project)) continue;
    const users = doomed.filter((item) => network.name in item.networks).map((item) => removed.get(item.name));
    builder.add({ kind: 'remove-network', name: network.name, networkId: network.id }, 'down', users);
  }
  if (options.volumes)
    for (const name of doomedVolumes(have, doomed, project))
      builder.add({ kind: 'remove-volume', name }, '--volumes', order);
  for (const image of options.images) builder.add({ kind: 'remove-image', name: image }, '--rmi', order);
  return builder.finish(have.project);
}

/** Stops (and nothing else) in reverse dependency order. Pure. */
export function planStop(have: ObservedState, services: readonly string[], timeout?: number): Plan {
  const builder = new PlanBuilder();
  const chosen = have.containers.filter(
    (item) => isUp(item) && !item.oneoff && (services.length === 0 || services.includes(item.service)),
  );
  const stopped = new Map<string, number>();
  for (const item of dependentsFirst(chosen)) {
    const after = dependentsOf(item, chosen).map((dependent) => stopped.get(dependent.name));
    stopped.set(
      item.name,
      builder.add(
        { kind: 'stop-container', name: item.name, service: item.service, ...(timeout !== undefined && { timeout }) },
        'stop',
        after,
      ),
    );
  }
  return builder.finish(have.project);
}

function planContainers(
  builder: PlanBuilder,
  doomed: readonly ObservedContainer[],
  options: DownOptions,
): Map<string, number> {
  const stopped = new Map<string, number>();
  const removed = new Map<string, number>();
  for (const item of dependentsFirst(doomed)) {
    const { name, service } = item;
    const after = dependentsOf(item, doomed).map((dependent) => stopped.get(dependent.name));
    if (isUp(item)) {
      const timeout = options.timeout === undefined ? {} : { timeout: options.timeout };
      stopped.set(name, builder.add({ kind: 'stop-container', name, service, ...timeout }, 'down', after));
    }
    removed.set(
      name,
      builder.add({ kind: 'remove-container', name, service, volumes: options.volumes, force: true }, 'down', [
        stopped.get(name),
        ...after,
      ]),
    );
  }
  return removed;
}

function isDoomed(item: ObservedContainer, project: Project | undefined, options: DownOptions): boolean {
  if (options.services.length > 0) return options.services.includes(item.service) && !item.oneoff;
  if (!project || options.removeOrphans) return true;
  return project.services.has(item.service) || project.disabledServices.has(item.service);
}

/**
 * Volumes of the project, and those without a name that its containers mount: an engine takes a volume that a recreated
 * container took over for one that was named, and would leave it.
 */
function doomedVolumes(
  have: ObservedState,
  doomed: readonly ObservedContainer[],
  project: Project | undefined,
): ReadonlySet<string> {
  const chosen = new Set([...(project?.volumes.values() ?? [])].map(({ name }) => name));
  const mounted = doomed.flatMap(({ mounts }) => mounts.map(({ name }) => name ?? ''));
  return new Set([
    ...have.volumes.filter(({ labels }) => isOurs(labels, have.project)).map(({ name }) => name),
    ...mounted.filter((name) => have.anonymousVolumes.has(name) && !chosen.has(name)),
  ]);
}

function isOurs(labels: Readonly<Record<string, string>>, project: string): boolean {
  return labels['com.docker.compose.project'] === project;
}

function dependentsOf(item: ObservedContainer, all: readonly ObservedContainer[]): ObservedContainer[] {
  return all.filter((other) => other.service !== item.service && other.dependsOn.includes(item.service));
}

/** Every container after those that depend on its service. Labels of a foreign tool may hold a cycle: it is cut. */
function dependentsFirst(items: readonly ObservedContainer[]): ObservedContainer[] {
  const done = new Set<ObservedContainer>();
  const order: ObservedContainer[] = [];
  const visit = (item: ObservedContainer) => {
    if (done.has(item)) return;
    done.add(item);
    for (const dependent of dependentsOf(item, items)) visit(dependent);
    order.push(item);
  };
  for (const item of items) visit(item);
  return order;
}
