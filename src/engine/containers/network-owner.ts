import { TscError } from '../../core/index.ts';
import type { ContainerSpec, HostConfig } from './container.ts';
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

/** What belongs to the owner of a network namespace, in Docker's words and order. */
const OWNERS_ALONE: readonly (readonly [string, (spec: ContainerSpec, host: HostConfig) => boolean])[] = [
  ['hostname and the network mode', ({ config }) => Boolean(config.hostname)],
  ["container type network can't be used with links", (_, host) => host.links.length > 0],
  ['dns and the network mode', (_, host) => host.dns.length > 0],
  ['custom host-to-IP mapping and the network mode', (_, host) => host.extraHosts.length > 0],
  [
    'port publishing and the container type network mode',
    (_, host) => host.portBindings.length > 0 || host.publishAllPorts,
  ],
  ['port exposing and the container type network mode', ({ config }) => (config.exposedPorts?.length ?? 0) > 0],
];

/** Refuses what a container without a network of its own cannot have. Throws container/invalid. */
export function checkNetworkMode(spec: ContainerSpec, host: HostConfig): void {
  const refuse = (what: string, hint: string) =>
    new TscError('container/invalid', `conflicting options: ${what}`, { hint });
  if (host.networkMode === 'host' && host.links.length > 0)
    throw refuse("host type networking can't be used with links", 'leave the links out, or join a network');
  if (!host.networkMode.startsWith('container:')) return;
  if (host.networkMode === 'container:')
    throw new TscError('container/invalid', 'invalid container format container:<name|id>');
  const found = OWNERS_ALONE.find(([, asked]) => asked(spec, host));
  if (found) throw refuse(found[0], 'set it on the container whose network is shared');
}
