import type { ContainerDetails, ContainerSpec, NetworkSummary, PortPublication } from '../client/index.ts';
import type { Operation, Plan } from './plan.ts';

/** Host ports that a container of a plan is about to take: one, or any of a range. */
export interface PortDemand extends PortPublication {
  readonly service: string;
  readonly container: string;
  readonly first: number;
  readonly last: number;
}

type StartContainer = Extract<Operation, { readonly kind: 'start-container' }>;
type Published = Pick<ContainerSpec, 'endpoints' | 'ports'> & { readonly networkMode?: string };

const HOST_BINDING = 'com.docker.network.bridge.host_binding_ipv4';

export function startsOf({ operations }: Plan): readonly StartContainer[] {
  return operations.filter((operation) => operation.kind === 'start-container');
}

/** What the plan creates, by the name it has when it starts: a successor is renamed before. Pure. */
export function createdBy({ operations }: Plan): ReadonlyMap<string, ContainerSpec> {
  const created = new Map<string, ContainerSpec>();
  for (const operation of operations) {
    if (operation.kind === 'create-container') created.set(operation.name, operation.spec);
    const renamed = operation.kind === 'rename-container' ? created.get(operation.name) : undefined;
    if (operation.kind === 'rename-container' && renamed) created.set(operation.to, renamed);
  }
  return created;
}

/**
 * The fixed host ports, and ranges of them, of all containers that the plan starts: of those it creates and of those that are
 * there already (`existing`, by name). Pure.
 */
export function portsToTake(
  plan: Plan,
  networks: readonly NetworkSummary[],
  existing: ReadonlyMap<string, ContainerDetails>,
): readonly PortDemand[] {
  const created = createdBy(plan);
  const known = networksAfter(plan, networks);
  return startsOf(plan).flatMap(({ name, service }) => {
    const spec = created.get(name);
    const details = existing.get(name);
    const published: Published | undefined = spec ?? (details && fromDetails(details));
    return published ? demandsOf(published, known).map((port) => ({ ...port, service, container: name })) : [];
  });
}

function fromDetails({ publications, networkMode, endpoints }: ContainerDetails): Published {
  return { ports: publications, networkMode, endpoints: endpoints.map((endpoint) => ({ ...endpoint, aliases: [] })) };
}

function networksAfter({ operations }: Plan, networks: readonly NetworkSummary[]) {
  const known = new Map<string, Pick<NetworkSummary, 'internal' | 'driverOptions'>>();
  for (const network of networks) known.set(network.name, network);
  for (const operation of operations) {
    if (operation.kind !== 'create-network') continue;
    const { internal = false, driverOptions = {} } = operation.spec;
    known.set(operation.name, { internal, driverOptions });
  }
  return known;
}

function demandsOf(published: Published, networks: ReturnType<typeof networksAfter>) {
  if (published.networkMode === 'host') return [];
  const binding = hostBindingOf(published, networks);
  return published.ports.flatMap((port) => {
    const range = /^(\d+)(?:-(\d+))?$/.exec(port.hostPort ?? '');
    const first = Number(range?.[1] ?? 0);
    if (first === 0) return [];
    const hostAddress = port.hostAddress || binding;
    return [{ ...port, ...(hostAddress && { hostAddress }), first, last: Number(range?.[2] ?? first) }];
  });
}

/** The address of ports without one, as the engine finds it: an option of the network that has the default route. */
function hostBindingOf({ endpoints }: Published, networks: ReturnType<typeof networksAfter>): string | undefined {
  const [main] = endpoints
    .filter(({ network }) => networks.get(network)?.internal !== true)
    .toSorted((a, b) => (b.gatewayPriority ?? 0) - (a.gatewayPriority ?? 0) || (a.network < b.network ? -1 : 1));
  return main && networks.get(main.network)?.driverOptions[HOST_BINDING];
}

/** A port that is wanted too often, and the other containers that want it. */
export interface PortRivalry {
  readonly demand: PortDemand;
  readonly rivals: readonly PortDemand[];
}

/**
 * Ports that not all of the demands can have. Two containers may have the same one after each other: when one starts only after
 * the other's service has completed. Pure.
 */
export function findRivals(plan: Plan, demands: readonly PortDemand[]): readonly PortRivalry[] {
  const completed = completedBefore(plan);
  const apart = (a: PortDemand, b: PortDemand) =>
    completed(a.container).has(b.service) || completed(b.container).has(a.service);
  const found = new Map<string, PortRivalry>();
  for (const demand of demands) {
    const key = `${demand.protocol} ${demand.first}-${demand.last}`;
    for (const address of addressesOf(demand)) {
      // Each of these takes one of the ports from the demand and from every other of them.
      const rivals = demands.filter(
        (other) =>
          other !== demand &&
          other.protocol === demand.protocol &&
          other.first >= demand.first &&
          other.last <= demand.last &&
          takes(other, address) &&
          !isSame(other, demand) &&
          !apart(other, demand),
      );
      if (rivals.length > demand.last - demand.first && !found.has(key)) found.set(key, { demand, rivals });
    }
  }
  return [...found.values()];
}

/** The same line twice is one publication. */
function isSame(a: PortDemand, b: PortDemand): boolean {
  return (
    a.container === b.container &&
    a.containerPort === b.containerPort &&
    a.hostAddress === b.hostAddress &&
    a.hostPort === b.hostPort
  );
}

function takes(port: PortDemand, address: string): boolean {
  const taken = addressesOf(port);
  return taken.includes(address) || taken.includes(everywhere(address));
}

function everywhere(address: string): string {
  return address.includes(':') ? '::' : '0.0.0.0';
}

function addressesOf({ hostAddress = '' }: PortDemand): readonly string[] {
  const address = hostAddress.replace(/^\[(.*)\]$/, '$1');
  if (address === '') return ['0.0.0.0', '::'];
  // IPv6 has many spellings; a URL has one.
  return [
    address.includes(':') && URL.canParse(`http://[${address}]`)
      ? new URL(`http://[${address}]`).hostname.slice(1, -1)
      : address,
  ];
}

/** The services that have completed when a container starts. */
function completedBefore(plan: Plan): (container: string) => ReadonlySet<string> {
  const byId = new Map(plan.operations.map((operation) => [operation.id, operation]));
  const memory = new Map<number, ReadonlySet<string>>();
  const before = (id: number): ReadonlySet<string> => {
    const known = memory.get(id);
    if (known) return known;
    const operation = byId.get(id);
    const services = new Set(operation?.after.flatMap((earlier) => [...before(earlier)]));
    if (operation?.kind === 'wait' && operation.condition === 'service_completed_successfully')
      services.add(operation.service);
    memory.set(id, services);
    return services;
  };
  const starts = new Map(startsOf(plan).map(({ name, id }) => [name, id]));
  return (container) => before(starts.get(container) ?? 0);
}
