import type { ContainerSummary, NetworkSummary, VolumeSummary } from '../client/index.ts';
import { LABEL, parseDependsOn } from './labels.ts';

/** One container of a project as the engine lists it, with what its labels say. */
export interface ObservedContainer extends ContainerSummary {
  readonly service: string;
  readonly number: number;
  readonly oneoff: boolean;
  /** Services it depends on, as known when it was created. */
  readonly dependsOn: readonly string[];
}

/** What the engine holds of one project. */
export interface ObservedState {
  readonly project: string;
  /** Sorted by service and number. */
  readonly containers: readonly ObservedContainer[];
  readonly networks: readonly NetworkSummary[];
  readonly volumes: readonly VolumeSummary[];
  /** Names of the volumes without a name of their own that its containers mount. */
  readonly anonymousVolumes: ReadonlySet<string>;
}

/** Reads a listed container's labels. */
export function toObservedContainer(summary: ContainerSummary): ObservedContainer {
  const { labels } = summary;
  return {
    ...summary,
    service: labels[LABEL.service] ?? '',
    number: Number(labels[LABEL.number] ?? 0),
    oneoff: labels[LABEL.oneoff] === 'True',
    dependsOn: parseDependsOn(labels[LABEL.dependsOn]),
  };
}

/** Replicas of one service, one-off runs left out. */
export function replicasIn(state: ObservedState, service: string): readonly ObservedContainer[] {
  return state.containers.filter((item) => item.service === service && !item.oneoff);
}

/** A generated volume name; a user may have written one as well. */
export function looksAnonymous(name: string | undefined): name is string {
  return name !== undefined && /^[0-9a-f]{64}$/.test(name);
}

/** Whether the container has a process: running, paused or between two runs. */
export function isUp(container: Pick<ContainerSummary, 'state'>): boolean {
  return container.state === 'running' || container.state === 'paused' || container.state === 'restarting';
}
