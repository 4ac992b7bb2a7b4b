import { checkFilters, compareApiVersions, parseFilters } from '../../api/index.ts';
import { TscError } from '../../core/index.ts';
import { empty, json } from '../http-message.ts';
import { type Route, type RouteCall, route } from '../match-route.ts';
import { flag } from '../query-values.ts';
import { readJsonBody } from '../read-body.ts';
import { volumeView } from '../translate/network-view.ts';
import { present } from '../translate/present.ts';
import { refuseFields } from '../translate/unsupported-fields.ts';

/** Volumes. */
export const volumeRoutes: readonly Route[] = [
  route('GET', '/volumes', list),
  route('POST', '/volumes/create', create),
  route('POST', '/volumes/prune', prune),
  route('GET', '/volumes/{name}', ({ services, param }) =>
    json(volumeView(services.engine.volumes.inspect(param('name')))),
  ),
  route('PUT', '/volumes/{name}', () => {
    throw new TscError('daemon/unsupported', 'updating a volume is not supported: it exists for cluster volumes only');
  }),
  route('DELETE', '/volumes/{name}', remove),
];

function list({ request, services }: RouteCall) {
  const filters = parseFilters(request.query.get('filters'));
  checkFilters(filters, ['dangling', 'driver', 'label', 'name']);
  const dangling = filters['dangling']?.[0];
  const found = services.engine.volumes.list({
    ...(filters['name'] && { name: filters['name'] }),
    ...(filters['label'] && { label: filters['label'] }),
    ...(filters['driver'] && { driver: filters['driver'] }),
    ...(dangling !== undefined && { dangling: ['1', 'true'].includes(dangling) }),
  });
  return json({ Volumes: found.map((volume) => volumeView(volume)), Warnings: null });
}

async function create({ request, services }: RouteCall) {
  const body = await readJsonBody(request);
  refuseFields(body, ['ClusterVolumeSpec'], 'cluster volumes need a swarm');
  const volume = await services.engine.volumes.create(
    present({
      name: body.string('Name') || undefined,
      driver: body.string('Driver') || undefined,
      driverOptions: body.map('DriverOpts'),
      labels: body.map('Labels'),
    }),
  );
  return json(volumeView(volume), 201);
}

async function remove({ request, services, param }: RouteCall) {
  await services.engine.volumes.remove(param('name'), { force: flag(request.query, 'force') });
  return empty(204);
}

async function prune({ request, services, version }: RouteCall) {
  const filters = parseFilters(request.query.get('filters'));
  checkFilters(filters, ['all', 'label', 'label!']);
  const { deleted, spaceReclaimed } = await services.engine.volumes.prune({
    // Until 1.41 named volumes were meant too.
    all: ['1', 'true'].includes(filters['all']?.[0] ?? '') || compareApiVersions(version, '1.42') < 0,
    ...(filters['label'] && { label: filters['label'] }),
    ...(filters['label!'] && { labelNot: filters['label!'] }),
  });
  return json({ VolumesDeleted: deleted, SpaceReclaimed: spaceReclaimed });
}
