import { TscError } from '../../core/index.ts';
import type { FirewallState } from './firewall/ruleset.ts';
import { publishedPorts } from './firewall/ruleset.ts';
import type { ForeignNetwork } from './host-network.ts';
import type { Endpoint, NetworkRecord, NetworkView } from './network.ts';
import type { HeldPort } from './port-map.ts';
import type { Attachment } from './records.ts';
import { servedPorts } from './shared-ports.ts';

const SHORTEST_ID_PREFIX = 3;

/** What the service knows, in memory; the records on disk follow it. */
export class NetworkState {
  readonly networks = new Map<string, NetworkRecord>();
  readonly attachments = new Map<string, Attachment>();
  /** Open sandboxes: container id → namespace path. */
  readonly sandboxes = new Map<string, string>();
  /** What was published when the keeper was lost: taken up again by adopt. */
  readonly former = new Map<string, Attachment>();
  /** Address handed out last, by subnet. */
  readonly lastAddress = new Map<string, string>();
  /** Read once: it stays. */
  hostSeed: string | undefined;
  /** The host's addresses and routes as they were last seen: mostly what they still are. */
  foreign: ForeignNetwork | undefined;

  /** Id, then name, then unique id prefix. Throws network/not-found, network/conflict. */
  find(idOrName: string): NetworkRecord {
    const exact = this.networks.get(idOrName) ?? this.byName(idOrName);
    if (exact) return exact;
    const matches =
      idOrName.length >= SHORTEST_ID_PREFIX
        ? [...this.networks.values()].filter((network) => network.id.startsWith(idOrName))
        : [];
    if (matches.length > 1) throw new TscError('network/conflict', `network id prefix ${idOrName} is ambiguous`);
    const [match] = matches;
    if (!match) throw new TscError('network/not-found', `network ${idOrName} not found`);
    return match;
  }

  byName(name: string): NetworkRecord | undefined {
    return [...this.networks.values()].find((network) => network.name === name);
  }

  /** Of all networks that have one of our making: what others made is theirs, its addresses and its zone in a firewall too. */
  bridgeNames(): readonly string[] {
    return [...this.networks.values()].flatMap((network) => (network.adopted ? [] : (network.bridge ?? [])));
  }

  attachment(containerId: string): Attachment {
    const attachment = this.attachments.get(containerId);
    if (!attachment)
      throw new TscError('network/not-found', `container ${containerId.slice(0, 12)} has no prepared networks`);
    return attachment;
  }

  /** All endpoints on a network with the containers they belong to. */
  membersOf(networkId: string): readonly { readonly attachment: Attachment; readonly endpoint: Endpoint }[] {
    return [...this.attachments.values()].flatMap((attachment) =>
      attachment.endpoints.flatMap((endpoint) => (endpoint.networkId === networkId ? [{ attachment, endpoint }] : [])),
    );
  }

  view(network: NetworkRecord): NetworkView {
    const endpoints = this.membersOf(network.id).map(({ attachment, endpoint }) => ({
      ...endpoint,
      containerId: attachment.containerId,
      containerName: attachment.name,
      active: attachment.active,
    }));
    return { ...network, endpoints };
  }

  /** The endpoint that gives the default route and receives published ports; none when every network is internal. */
  mainEndpoint(endpoints: readonly Endpoint[]): Endpoint | undefined {
    return foremost(endpoints.filter((endpoint) => endpoint.address && (endpoint.gateway || endpoint.direct)));
  }

  /** The same for IPv6: it need not be the same one, as not every network has it. */
  mainEndpoint6(endpoints: readonly Endpoint[]): Endpoint | undefined {
    return foremost(endpoints.filter((endpoint) => endpoint.address6 && (endpoint.gateway6 || endpoint.direct)));
  }

  /** The addresses that published ports lead to: of the main endpoints, where these are on bridges. */
  publishedTo(endpoints: readonly Endpoint[]): {
    readonly ipv4: string | undefined;
    readonly ipv6: string | undefined;
  } {
    const onBridge = (endpoint: Endpoint | undefined) =>
      endpoint && this.networks.get(endpoint.networkId)?.bridge !== undefined ? endpoint : undefined;
    return {
      ipv4: onBridge(this.mainEndpoint(endpoints))?.address,
      ipv6: onBridge(this.mainEndpoint6(endpoints))?.address6,
    };
  }

  heldPorts(): readonly HeldPort[] {
    return [...this.attachments.values()].flatMap((attachment) =>
      attachment.bound.map((port) => ({
        ...port,
        containerId: attachment.containerId,
        containerName: attachment.name,
      })),
    );
  }

  /** What the firewall has to be for all this. */
  firewallState(instance: string): FirewallState {
    const published = [...this.attachments.values()].flatMap((attachment) => {
      return publishedPorts(servedPorts(this.attachments, attachment), this.publishedTo(attachment.endpoints));
    });
    return { instance, networks: [...this.networks.values()], published };
  }
}

function foremost(endpoints: readonly Endpoint[]): Endpoint | undefined {
  const order = (a: Endpoint, b: Endpoint) =>
    b.gatewayPriority - a.gatewayPriority || (a.networkName < b.networkName ? -1 : 1);
  return endpoints.toSorted(order)[0];
}
