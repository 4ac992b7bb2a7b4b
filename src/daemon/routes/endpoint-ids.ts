import type { DaemonServices } from '../services.ts';
import type { EndpointIds } from '../translate/container-view.ts';

/** Looks endpoint ids up in the network room. */
export function endpointIdsOf(services: DaemonServices): EndpointIds {
  return (containerId) =>
    new Map(services.engine.networks.endpoints(containerId).map((item) => [item.networkId as string, item.endpointId]));
}
