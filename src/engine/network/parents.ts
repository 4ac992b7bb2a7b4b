import type { NetworkContext } from './context.ts';
import { runNet } from './host-network.ts';
import type { NetworkRecord, ParentLink } from './network.ts';

/** A network whose links stand on an interface of the host. */
export type StackedNetwork = NetworkRecord & Required<Pick<NetworkRecord, 'parent'>>;

export function isStacked(network: NetworkRecord): network is StackedNetwork {
  return network.parent !== undefined;
}

/** The parent exists; one of ours is made where it is missing. */
export async function makeParent(context: NetworkContext, { parent }: { readonly parent: ParentLink }): Promise<void> {
  if (!parent.made) return;
  await runNet(context.keeper, 'parent-add', { name: parent.name, ...(parent.made !== 'dummy' && parent.made) });
}

/** Removes the parents we made that no network of ours stands on any more. */
export async function removeParents(context: NetworkContext, gone: readonly NetworkRecord[]): Promise<void> {
  const kept = new Set([...context.state.networks.values()].map((network) => network.parent?.name));
  const names = gone.flatMap(({ parent }) => (parent?.made && !kept.has(parent.name) ? [parent.name] : []));
  if (names.length > 0) await runNet(context.keeper, 'parent-remove', { names: [...new Set(names)] });
}

/** Removes all parents we made; the next use makes them again. */
export async function dismantleParents(context: NetworkContext): Promise<void> {
  const names = [...context.state.networks.values()].flatMap(({ parent }) => (parent?.made ? [parent.name] : []));
  if (names.length > 0) await runNet(context.keeper, 'parent-remove', { names: [...new Set(names)] });
}

/**
 * The links of a container that stand on a parent go before its namespace does: the kernel takes that apart in its own time,
 * and until then the parent lets nobody have the same hardware address again.
 */
export async function unstack(context: NetworkContext, containerId: string): Promise<void> {
  for (const endpoint of context.state.attachments.get(containerId)?.endpoints ?? []) {
    if (context.state.networks.get(endpoint.networkId)?.parent)
      await context.keeper.unlinkSandbox(containerId, endpoint.interface);
  }
}
