import type { ContainerSpec } from '../client/index.ts';
import { isUp, looksAnonymous, type ObservedContainer, type ObservedState } from './observed-state.ts';
import type { HashOfIds, PlanBuilder } from './plan.ts';
import { temporaryName } from './plan-interrupted.ts';

/** A container that is to take the place of another. */
export interface Replacement {
  readonly spec: ContainerSpec;
  readonly old: ObservedContainer;
  readonly hash?: HashOfIds | undefined;
  readonly cause: string;
  readonly after: readonly number[];
  readonly service: string;
  readonly have: ObservedState;
  readonly renewAnonymousVolumes: boolean;
  /** Seconds of grace for the old one. */
  readonly timeout?: number;
}

/**
 * Creates the successor under a temporary name while the old one runs, so that a failing create costs nothing; a fixed
 * address cannot be given twice, then the old one goes first. Returns the last operation. Pure.
 */
export function planReplacement(builder: PlanBuilder, item: Replacement): number {
  const { spec, old, cause, after, service, renewAnonymousVolumes: volumes, hash } = item;
  const timeout = item.timeout === undefined ? {} : { timeout: item.timeout };
  const stop = (order: readonly number[]) =>
    isUp(old)
      ? builder.add({ kind: 'stop-container', name: old.name, service, ...timeout }, 'replaced', order)
      : undefined;
  const successor = volumes ? spec : carryAnonymousVolumes(spec, old, item.have);
  const remove = (order: readonly (number | undefined)[]) =>
    builder.add({ kind: 'remove-container', name: old.name, service, volumes, force: true }, 'replaced', order);
  if (spec.endpoints.some((endpoint) => endpoint.ipv4Address || endpoint.ipv6Address)) {
    const removed = remove([stop(after), ...after]);
    return builder.add({ kind: 'create-container', name: spec.name, service, spec: successor, hash }, cause, [removed]);
  }
  const temporary = temporaryName(old, spec.name);
  const created = builder.add(
    { kind: 'create-container', name: temporary, service, spec: { ...successor, name: temporary }, hash },
    cause,
    after,
  );
  const removed = remove([stop([created]), created]);
  return builder.add({ kind: 'rename-container', name: temporary, service, to: spec.name }, cause, [removed]);
}

/** Volumes without a name belong to the replica: its successor mounts them again. */
function carryAnonymousVolumes(spec: ContainerSpec, old: ObservedContainer, have: ObservedState): ContainerSpec {
  const named = new Set(
    spec.mounts.filter((mount) => mount.source !== undefined || mount.type !== 'volume').map((m) => m.target),
  );
  const carried = old.mounts.flatMap((mount) =>
    mount.type === 'volume' && looksAnonymous(mount.name) && !named.has(mount.target)
      ? [
          {
            type: 'volume' as const,
            source: mount.name,
            target: mount.target,
            ...(have.anonymousVolumes.has(mount.name) && { anonymous: true }),
          },
        ]
      : [],
  );
  if (carried.length === 0) return spec;
  const targets = new Set(carried.map(({ target }) => target));
  return { ...spec, mounts: [...spec.mounts.filter(({ target }) => !targets.has(target)), ...carried] };
}
