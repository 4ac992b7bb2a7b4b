import type { ContainerContext } from './context.ts';
import type { LiveContainer } from './live-container.ts';

/** Whether the container has endpoints of its own, and not those of another. */
export function ownNetwork(container: LiveContainer): boolean {
  return !container.record.host.networkMode.startsWith('container:');
}

/** Who has the network namespace that a container runs in. */
export function networkOwner(context: ContainerContext, container: LiveContainer): LiveContainer {
  const mode = container.record.host.networkMode;
  return mode.startsWith('container:') ? context.table.get(mode.slice('container:'.length)) : container;
}
