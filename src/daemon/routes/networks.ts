import { checkFilters, type Filters, hasLabel, matchesLabels, parseFilters } from '../../api/index.ts';
import { TscError } from '../../core/index.ts';
import type { NetworkRecord, NetworkSpec, NetworkView, PortRequest } from '../../engine/index.ts';
import { empty, json } from '../http-message.ts';
import { type Route, type RouteCall, route } from '../match-route.ts';
import { readJsonBody } from '../read-body.ts';
import { networkView } from '../translate/network-view.ts';
import { present } from '../translate/present.ts';
import { readEndpoint } from '../translate/read-container-spec.ts';
import { refuseFields } from '../translate/unsupported-fields.ts';
import type { WireObject } from '../wire-object.ts';
import { readPruneFilter } from './containers.ts';

/** Networks and who is on them. */
export const networkRoutes: readonly Route[] = [
  route('GET', '/networks', list),
  route('POST', '/networks/create', create),
  route('POST', '/networks/prune', prune),
  route('GET', '/networks/{id}', inspect),
  route('DELETE', '/networks/{id}', remove),
  route('POST', '/networks/{id}/connect', connect),
  route('POST', '/networks/{id}/disconnect', disconnect),
  route('POST', '/tscompose/ports/check', checkPorts),
];

function list({ request, services }: RouteCall) {
  const filters = parseFilters(request.query.get('filters'));
  checkFilters(filters, ['dangling', 'driver', 'id', 'label', 'name', 'scope', 'type']);
  checkFilterValues(filters);
  const found = services.engine.networks.list().filter((network) => matchesNetwork(network, filters));
  return json(found.map((network) => networkView(network, false)));
}

/** Values of filters that have few; another one would find nothing, or too much. */
const FILTER_VALUES: Readonly<Record<string, readonly string[]>> = {
  dangling: ['true', '1', 'false', '0'],
  type: ['builtin', 'custom'],
};

function checkFilterValues(filters: Filters): void {
  for (const [key, known] of Object.entries(FILTER_VALUES)) {
    const wrong = filters[key]?.find((value) => !known.includes(value));
    if (wrong === undefined) continue;
    throw new TscError('daemon/invalid', `invalid filter ${key}=${JSON.stringify(wrong.slice(0, 80))}`, {
      hint: `use one of ${known.join(', ')}`,
    });
  }
}

function matchesNetwork(network: NetworkView, filters: Filters): boolean {
  const some = (key: string, test: (value: string) => boolean) => filters[key] === undefined || filters[key].some(test);
  const builtin = ['bridge', 'host', 'none'].includes(network.name);
  return (
    some('driver', (value) => value === network.driver) &&
    some('id', (value) => network.id.startsWith(value)) &&
    some('name', (value) => matchesName(network.name, value)) &&
    some('scope', (value) => value === 'local') &&
    some('type', (value) => value === (builtin ? 'builtin' : 'custom')) &&
    some('dangling', (value) => ['1', 'true'].includes(value) === (!builtin && network.endpoints.length === 0)) &&
    matchesLabels(filters['label'], network.labels)
  );
}

// Clients anchor the name (`^web$`) when they mean all of it; anything else is a part of it.
function matchesName(name: string, wanted: string): boolean {
  const anchored = /^\^(.*)\$$/.exec(wanted);
  return anchored ? name === anchored[1]?.replaceAll('\\', '') : name.includes(wanted);
}

async function create({ request, services }: RouteCall) {
  const body = await readJsonBody(request);
  const record = await services.engine.networks.create(readNetworkSpec(body));
  return json({ Id: record.id, Warning: '' }, 201);
}

function readNetworkSpec(body: WireObject): NetworkSpec {
  const name = body.string('Name') ?? '';
  if (name === '') throw new TscError('daemon/invalid', 'no network name was given');
  refuseFields(body, ['Ingress', 'ConfigOnly'], 'it needs a swarm');
  const from = body.object('ConfigFrom');
  if (from) refuseFields(from, ['Network'], 'it needs a swarm');
  const scope = body.string('Scope') ?? '';
  if (!['', 'local'].includes(scope)) {
    throw new TscError('daemon/unsupported', `network scope ${JSON.stringify(scope.slice(0, 40))} is not supported`);
  }
  const ipam = body.object('IPAM');
  return present({
    name,
    driver: body.string('Driver') || undefined,
    internal: body.boolean('Internal'),
    attachable: body.boolean('Attachable'),
    enableIpv4: body.boolean('EnableIPv4'),
    enableIpv6: body.boolean('EnableIPv6'),
    labels: body.map('Labels'),
    options: body.map('Options'),
    ipamDriver: ipam?.string('Driver') || undefined,
    ipamOptions: ipam?.map('Options'),
    pools: ipam?.objects('Config').map(readPool),
  });
}

function readPool(pool: WireObject) {
  return present({
    subnet: pool.string('Subnet') || undefined,
    gateway: pool.string('Gateway') || undefined,
    ipRange: pool.string('IPRange') || undefined,
    auxiliary: pool.map('AuxiliaryAddresses') ?? pool.map('AuxAddress'),
  });
}

function inspect({ services, param }: RouteCall) {
  return json(networkView(services.engine.networks.inspect(param('id')), true));
}

async function remove({ services, param }: RouteCall) {
  await services.engine.networks.remove(param('id'));
  return empty(204);
}

async function connect({ request, services, param }: RouteCall) {
  const body = await readJsonBody(request);
  const endpoint = body.object('EndpointConfig');
  await services.engine.containers.connect(readContainer(body), param('id'), endpoint ? readEndpoint(endpoint) : {});
  return empty(200);
}

async function disconnect({ request, services, param }: RouteCall) {
  const body = await readJsonBody(request);
  await services.engine.containers.disconnect(readContainer(body), param('id'), {
    force: body.boolean('Force') ?? false,
  });
  return empty(200);
}

/** Which ports could not be published now: for a client that starts several containers. */
async function checkPorts({ request, services }: RouteCall) {
  const body = await readJsonBody(request);
  const ports = body.objects('Ports').map((port): PortRequest => {
    const protocol = port.string('Protocol') || 'tcp';
    if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp')
      throw new TscError('daemon/invalid', `${JSON.stringify(protocol.slice(0, 20))} is not tcp, udp or sctp`);
    const hostIp = port.string('HostIp');
    const first = port.integer('HostPort') ?? 0;
    const last = port.integer('LastPort') ?? first;
    // The container's side does not matter here.
    return {
      containerPort: 1,
      protocol,
      hostPort: last === first ? first : { first, last },
      ...(hostIp && { hostIp }),
    };
  });
  const conflicts = await services.engine.networks.findPortConflicts(ports, body.strings('Except') ?? []);
  return json({
    Conflicts: conflicts.map(({ hostIp, hostPort, lastPort, protocol, holder }) => ({
      HostIp: hostIp,
      HostPort: hostPort,
      ...(lastPort !== undefined && { LastPort: lastPort }),
      Protocol: protocol,
      Holder: holder ?? '',
    })),
  });
}

function readContainer(body: WireObject): string {
  const container = body.string('Container') ?? '';
  if (container === '') throw new TscError('daemon/invalid', 'no container was given');
  return container;
}

async function prune({ request, services }: RouteCall) {
  const filters = parseFilters(request.query.get('filters'));
  checkFilters(filters, ['until', 'label', 'label!']);
  const { until, label, labelNot } = readPruneFilter(filters, services.clock.now());
  const wanted = (network: NetworkRecord) =>
    (until === undefined || Date.parse(network.created) < until) &&
    matchesLabels(label, network.labels) &&
    !(labelNot ?? []).some((item) => hasLabel(item, network.labels));
  return json({ NetworksDeleted: await services.engine.networks.prune(wanted) });
}
