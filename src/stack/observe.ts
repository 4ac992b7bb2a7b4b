import {
  ANONYMOUS_VOLUME_LABEL,
  type ContainerSummary,
  type EngineClient,
  type NetworkSummary,
  type VolumeSummary,
} from '../client/index.ts';
import type { Project } from '../compose/index.ts';
import { LABEL } from './labels.ts';
import { looksAnonymous, type ObservedState, toObservedContainer } from './observed-state.ts';

/** One list call per kind of object. With a project, also the objects it names that lack the project's label. */
export async function observe(client: EngineClient, name: string, project?: Project): Promise<ObservedState> {
  const labels = [`${LABEL.project}=${name}`];
  const [containers, networks, volumes, foreignNetworks, foreignVolumes] = await Promise.all([
    client.listContainers({ labels, all: true }),
    client.listNetworks({ labels }),
    client.listVolumes({ labels }),
    namedNetworks(client, project),
    namedVolumes(client, project),
  ]);
  return {
    project: name,
    containers: containers
      .map(toObservedContainer)
      .sort((a, b) => compareText(a.service, b.service) || a.number - b.number || compareText(a.name, b.name)),
    networks: unique([...networks, ...foreignNetworks], (item) => item.id),
    volumes: unique([...volumes, ...foreignVolumes], (item) => item.name),
    anonymousVolumes: await anonymousVolumes(client, containers),
  };
}

/** Only the engine knows whether a generated name was given by it: asked when a container mounts such a volume. */
async function anonymousVolumes(
  client: EngineClient,
  containers: readonly ContainerSummary[],
): Promise<ReadonlySet<string>> {
  const mounted = new Set(containers.flatMap(({ mounts }) => mounts.map(({ name }) => name)).filter(looksAnonymous));
  if (mounted.size === 0) return mounted;
  const marked = await client.listVolumes({ labels: [ANONYMOUS_VOLUME_LABEL] });
  return new Set(marked.map(({ name }) => name).filter((name) => mounted.has(name)));
}

/** Objects with a name of their own (`name:`, `external:`) may exist without our label. */
async function namedNetworks(client: EngineClient, project: Project | undefined): Promise<NetworkSummary[]> {
  const names = [...(project?.networks.values() ?? [])]
    .map(({ name }) => name)
    .filter((name) => isCustom(name, project));
  if (names.length === 0) return [];
  // The engine's name filter matches parts of names.
  return (await client.listNetworks({ names })).filter(({ name }) => names.includes(name));
}

async function namedVolumes(client: EngineClient, project: Project | undefined): Promise<VolumeSummary[]> {
  const names = [...(project?.volumes.values() ?? [])]
    .map(({ name }) => name)
    .filter((name) => isCustom(name, project));
  if (names.length === 0) return [];
  return (await client.listVolumes({ names })).filter(({ name }) => names.includes(name));
}

function isCustom(name: string, project: Project | undefined): boolean {
  return !name.startsWith(`${project?.name}_`);
}

function unique<T>(items: readonly T[], key: (item: T) => string): T[] {
  return [...new Map(items.map((item) => [key(item), item])).values()];
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
