import type { Project } from '../compose/index.ts';
import { isUp, type ObservedState, replicasIn } from './observed-state.ts';
import { type Plan, PlanBuilder } from './plan.ts';
import { selectServices } from './plan-up.ts';

/** Starts existing containers, dependencies first and their conditions awaited; creates nothing. Pure. */
export function planStart(have: ObservedState, project: Project, services: readonly string[]): Plan {
  const builder = new PlanBuilder();
  const started = new Map<string, number[]>();
  for (const name of selectServices(project, services, false)) {
    const replicas = replicasIn(have, name);
    const idle = replicas.filter((item) => !isUp(item));
    const dependencies = [...(project.services.get(name)?.dependsOn ?? [])];
    const conditions =
      idle.length === 0
        ? []
        : dependencies.flatMap(([dependency, { condition, required }]) => {
            const containers = replicasIn(have, dependency).map((item) => item.name);
            const after = started.get(dependency) ?? [];
            if (condition === 'service_started' || containers.length === 0) return after;
            const wait = {
              kind: 'wait',
              name: dependency,
              service: dependency,
              condition,
              containers,
              required,
            } as const;
            return [builder.add(wait, `${name} depends on it`, after)];
          });
    started.set(
      name,
      idle.map((item) => builder.add({ kind: 'start-container', name: item.name, service: name }, 'start', conditions)),
    );
  }
  return builder.finish(have.project);
}
