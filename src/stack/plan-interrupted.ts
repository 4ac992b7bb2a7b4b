import { isUp, type ObservedContainer } from './observed-state.ts';
import type { PlanBuilder } from './plan.ts';

/** A successor's name until its predecessor is gone: twelve digits of that one's id before the final name. */
const TEMPORARY_NAME = /^[0-9a-f]{12}_(.+)$/;

/** The name under which a successor is created. */
export function temporaryName(predecessor: ObservedContainer, name: string): string {
  return `${predecessor.id.slice(0, 12)}_${name}`;
}

/**
 * Settles replacements that an earlier command began and did not finish: a successor whose predecessor is gone takes the
 * name, one whose predecessor is still there goes. Returns the replicas as they are then, and what has to happen before.
 */
export function settleReplacements(
  builder: PlanBuilder,
  present: readonly ObservedContainer[],
): { readonly present: readonly ObservedContainer[]; readonly before: readonly number[] } {
  const before: number[] = [];
  const names = new Set(present.map(({ name }) => name));
  const settled = present.flatMap((item) => {
    const { name, service } = item;
    const final = TEMPORARY_NAME.exec(name)?.[1];
    if (final === undefined) return [item];
    if (!names.has(final)) {
      names.add(final);
      before.push(builder.add({ kind: 'rename-container', name, service, to: final }, CAUSE));
      return [{ ...item, name: final }];
    }
    const stopped = isUp(item) ? builder.add({ kind: 'stop-container', name, service }, CAUSE) : undefined;
    before.push(
      builder.add({ kind: 'remove-container', name, service, volumes: false, force: true }, CAUSE, [stopped]),
    );
    return [];
  });
  return { present: settled, before };
}

const CAUSE = 'an interrupted replacement';
