import { sortTopologically } from '../../core/index.ts';
import type { Project } from '../project.ts';

/** Who depends on whom. */
export interface DependencyGraph {
  readonly project: string;
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

/** A service of the graph. */
export interface GraphNode {
  readonly name: string;
  /** The image, or that it is built. */
  readonly origin: string;
  /** Longest way down to a service that depends on nothing. */
  readonly level: number;
}

/** `from` needs `to`. */
export interface GraphEdge {
  readonly from: string;
  readonly to: string;
  /** `healthy`, `completed`, or undefined for a mere start. */
  readonly condition: string | undefined;
  readonly required: boolean;
}

const CONDITIONS: ReadonlyMap<string, string> = new Map([
  ['service_healthy', 'healthy'],
  ['service_completed_successfully', 'completed'],
]);

/** The active services in the order of the files, and their dependencies, implied ones included. */
export function dependencyGraph(project: Project): DependencyGraph {
  const edges = [...project.services.values()].flatMap((service) =>
    [...service.dependsOn]
      .filter(([to]) => project.services.has(to))
      .map(([to, { condition, required }]) => ({
        from: service.name,
        to,
        condition: CONDITIONS.get(condition ?? ''),
        required: required !== false,
      })),
  );
  const levels = levelsOf([...project.services.keys()], edges);
  const nodes = [...project.services.values()].map(({ name, image, build }) => ({
    name,
    origin: build ? 'build' : (image ?? ''),
    level: levels.get(name) ?? 0,
  }));
  return { project: project.name, nodes, edges };
}

function levelsOf(names: readonly string[], edges: readonly GraphEdge[]): ReadonlyMap<string, number> {
  const targets = new Map<string, string[]>();
  for (const { from, to } of edges) targets.set(from, [...(targets.get(from) ?? []), to]);
  // A checked project has no cycle; an unchecked one is drawn flat.
  const sorted = sortTopologically([...names], (name) => targets.get(name) ?? []);
  const levels = new Map<string, number>();
  if ('cycle' in sorted) return levels;
  for (const name of sorted.order) {
    const below = (targets.get(name) ?? []).map((other) => levels.get(other) ?? 0);
    levels.set(name, below.length === 0 ? 0 : Math.max(...below) + 1);
  }
  return levels;
}
