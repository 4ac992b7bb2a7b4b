import { TscError } from '../core/index.ts';
import { type ObservedContainer, type ObservedState, replicasIn } from '../stack/index.ts';
import type { Target } from './context.ts';

/** Refuses names that are neither in the files nor on the engine. */
export function checkServices(target: Target, state: ObservedState, services: readonly string[]): void {
  const known = new Set([
    ...(target.project?.services.keys() ?? []),
    ...state.containers.map(({ service }) => service),
  ]);
  const unknown = services.find((name) => !known.has(name));
  if (unknown === undefined) return;
  throw new TscError('cli/not-found', `no such service: ${unknown}`, {
    hint: `services of ${target.name}: ${[...known].sort().join(', ') || 'none'}`,
  });
}

/** The containers of some services (all when none is named); one-off runs only on request. */
export function chooseContainers(
  state: ObservedState,
  services: readonly string[],
  options: { readonly oneoff?: boolean } = {},
): ObservedContainer[] {
  return state.containers.filter(
    (item) => (services.length === 0 || services.includes(item.service)) && (options.oneoff === true || !item.oneoff),
  );
}

/** One running replica of a service. */
export function chooseReplica(state: ObservedState, service: string, index: number | undefined): ObservedContainer {
  const replicas = replicasIn(state, service);
  const found = replicas.find((item) => (index === undefined ? item.state === 'running' : item.number === index));
  if (found && found.state === 'running') return found;
  const which = index === undefined ? '' : ` with index ${index}`;
  throw new TscError('cli/conflict', `service ${service} has no running container${which}`, {
    hint:
      found || replicas.length > 0
        ? `it is ${(found ?? replicas[0])?.status}; tscompose logs ${service} tells why`
        : 'start it with tscompose up',
  });
}
