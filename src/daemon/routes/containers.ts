import { checkFilters, type Filters, parseFilters } from '../../api/index.ts';
import { isKind, TscError } from '../../core/index.ts';
import type { ContainerFilter, PruneFilter, WaitCondition } from '../../engine/index.ts';
import { type ApiResponse, empty, json, stream } from '../http-message.ts';
import { type Method, type Route, type RouteCall, route } from '../match-route.ts';
import { flag, integer, parseTime, terminalSize } from '../query-values.ts';
import { readJsonBody } from '../read-body.ts';
import { containerInspect, containerSummary } from '../translate/container-view.ts';
import { readContainerSpec } from '../translate/read-container-spec.ts';
import { readResources, readRestartPolicy } from '../translate/read-host-config.ts';
import { refuseFields, refuseUnsupportedHostFields } from '../translate/unsupported-fields.ts';
import { checkPlatform } from './check-platform.ts';
import { endpointIdsOf } from './endpoint-ids.ts';

/** Containers: their life and what they look like. Streams are in container-streams. */
export const containerRoutes: readonly Route[] = [
  route('GET', '/containers/json', list),
  route('POST', '/containers/create', create),
  route('POST', '/containers/prune', prune),
  route('GET', '/containers/{id}/json', inspect),
  route('GET', '/containers/{id}/top', top),
  route('GET', '/tscompose/containers/{id}/rest', rest),
  route('POST', '/containers/{id}/resize', resize),
  route('POST', '/containers/{id}/start', start),
  route('POST', '/containers/{id}/stop', stop),
  route('POST', '/containers/{id}/restart', restart),
  route('POST', '/containers/{id}/kill', kill),
  route('POST', '/containers/{id}/update', update),
  route('POST', '/containers/{id}/rename', rename),
  route('POST', '/containers/{id}/pause', pause),
  route('POST', '/containers/{id}/unpause', unpause),
  route('POST', '/containers/{id}/wait', wait),
  ...['changes', 'checkpoints'].map((part) => notYet(['GET', 'POST'], part)),
  route('POST', '/commit', () => {
    throw new TscError('daemon/unsupported', 'making an image of a container is not supported yet', {
      hint: 'write a Dockerfile',
    });
  }),
  route('DELETE', '/containers/{id}', remove),
];

function notYet(methods: readonly Method[], part: string): Route {
  return route(methods, `/containers/{id}/${part}`, () => {
    throw new TscError('daemon/unsupported', `${part} of a container is not supported yet`);
  });
}

const LIST_FILTERS = [
  'ancestor',
  'before',
  'expose',
  'exited',
  'health',
  'id',
  'label',
  'name',
  'network',
  'publish',
  'since',
  'status',
  'volume',
] as const;

async function list({ request, services }: RouteCall) {
  const { query } = request;
  const filters = parseFilters(query.get('filters'));
  const size = flag(query, 'size');
  const found = await services.engine.containers.list(readListFilter(filters, query), { size });
  const endpointIds = endpointIdsOf(services);
  return json(found.map((item) => containerSummary(item, services.clock.now(), endpointIds)));
}

function readListFilter(filters: Filters, query: URLSearchParams): ContainerFilter {
  checkFilters(filters, LIST_FILTERS);
  const limit = integer(query, 'limit') ?? 0;
  const given = LIST_FILTERS.filter((key) => filters[key] !== undefined);
  return {
    all: flag(query, 'all') || limit > 0,
    ...(limit > 0 && { limit }),
    ...Object.fromEntries(given.map((key) => [key, filters[key]])),
  };
}

async function create({ request, services }: RouteCall) {
  const body = await readJsonBody(request);
  const spec = readContainerSpec(body, request.query.get('name'));
  await checkPlatform(services, spec.config.image, request.query.get('platform'));
  const { id, warnings } = await services.engine.containers.create(spec).catch(missingPart);
  return json({ Id: id, Warnings: warnings }, 201);
}

// Clients take a 404 of create as a missing image and pull it: anything else that is missing makes the request wrong.
function missingPart(error: unknown): never {
  if (!isKind(error, 'not-found') || error.code === 'image/not-found') throw error;
  throw new TscError('daemon/invalid', error.message, error.hint === undefined ? {} : { hint: error.hint });
}

async function inspect({ request, services, param }: RouteCall) {
  const details = await services.engine.containers.inspect(param('id'), { size: flag(request.query, 'size') });
  return json(containerInspect(details, endpointIdsOf(services)));
}

async function top({ request, services, param }: RouteCall) {
  const args = (request.query.get('ps_args') ?? '').split(/\s+/).filter((word) => word !== '');
  const table = await services.engine.containers.top(param('id'), args.length === 0 ? undefined : args);
  return json({ Titles: table.titles, Processes: table.processes });
}

/** Milliseconds that a caller may have us watch a container. */
const LONGEST_REST = 10_000;

/**
 * Our extension: answers when all threads of the container have waited for `quiet` milliseconds (`rest`), it has ended (`ended`),
 * or after `most` milliseconds (`busy`).
 */
async function rest({ request, services, param }: RouteCall) {
  const quietMs = integer(request.query, 'quiet') ?? 20;
  const mostMs = integer(request.query, 'most') ?? 500;
  if (Math.min(quietMs, mostMs) < 0 || Math.max(quietMs, mostMs) > LONGEST_REST)
    throw new TscError('daemon/invalid', `quiet and most must be between 0 and ${LONGEST_REST} milliseconds`);
  return json({ State: await services.engine.containers.awaitRest(param('id'), { quietMs, mostMs }) });
}

async function resize({ request, services, param }: RouteCall) {
  const { rows, columns } = terminalSize(request.query);
  await services.engine.containers.resize(param('id'), rows, columns);
  return empty(200);
}

async function start({ services, param }: RouteCall) {
  await services.engine.containers.start(param('id'));
  return empty(204);
}

async function stop({ request, services, param }: RouteCall) {
  await services.engine.containers.stop(param('id'), readStopOptions(request.query));
  return empty(204);
}

async function restart({ request, services, param }: RouteCall) {
  await services.engine.containers.restart(param('id'), readStopOptions(request.query));
  return empty(204);
}

function readStopOptions(query: URLSearchParams) {
  const signal = query.get('signal') ?? '';
  const timeoutSeconds = integer(query, 't');
  return { ...(signal !== '' && { signal }), ...(timeoutSeconds !== undefined && { timeoutSeconds }) };
}

async function kill({ request, services, param }: RouteCall) {
  await services.engine.containers.kill(param('id'), request.query.get('signal') || undefined);
  return empty(204);
}

async function update({ request, services, param }: RouteCall) {
  const body = await readJsonBody(request);
  refuseUnsupportedHostFields(body);
  const fixed = ['Devices', 'DeviceCgroupRules', 'Ulimits', 'CgroupParent'];
  refuseFields(body, fixed, 'it cannot change after create');
  const restartPolicy = readRestartPolicy(body.object('RestartPolicy'));
  const { warnings } = await services.engine.containers.update(param('id'), {
    resources: readResources(body),
    ...(restartPolicy && { restartPolicy }),
  });
  return json({ Warnings: warnings.length === 0 ? null : warnings });
}

async function rename({ request, services, param }: RouteCall) {
  const name = (request.query.get('name') ?? '').replace(/^\//, '');
  if (name === '') throw new TscError('daemon/invalid', 'no new name was given');
  await services.engine.containers.rename(param('id'), name);
  return empty(204);
}

async function pause({ services, param }: RouteCall) {
  await services.engine.containers.pause(param('id'));
  return empty(204);
}

async function unpause({ services, param }: RouteCall) {
  await services.engine.containers.unpause(param('id'));
  return empty(204);
}

const CONDITIONS: readonly string[] = ['not-running', 'next-exit', 'removed'] satisfies WaitCondition[];

// The head goes out before the answer is known: a client starts the container only after it has seen the head.
function wait({ request, services, param }: RouteCall): ApiResponse {
  const condition = request.query.get('condition') || 'not-running';
  if (!CONDITIONS.includes(condition)) {
    throw new TscError('daemon/invalid', `invalid condition ${JSON.stringify(condition.slice(0, 40))}`, {
      hint: `use one of ${CONDITIONS.join(', ')}`,
    });
  }
  const id = services.engine.containers.resolve(param('id'));
  const pending = services.engine.containers.wait(id, condition as WaitCondition, request.signal);
  return stream(
    'application/json',
    (async function* () {
      const { exitCode } = await pending;
      // The text of a failed start goes to the caller of start; here clients would show it a second time.
      yield `${JSON.stringify({ StatusCode: exitCode })}\n`;
    })(),
  );
}

async function remove({ request, services, param }: RouteCall) {
  const { query } = request;
  if (flag(query, 'link'))
    throw new TscError('daemon/unsupported', 'parameter link is not supported: links have no own life');
  await services.engine.containers.remove(param('id'), { force: flag(query, 'force'), volumes: flag(query, 'v') });
  return empty(204);
}

async function prune({ request, services }: RouteCall) {
  const filters = parseFilters(request.query.get('filters'));
  checkFilters(filters, ['until', 'label', 'label!']);
  const { deleted, spaceReclaimed } = await services.engine.containers.prune(
    readPruneFilter(filters, services.clock.now()),
  );
  return json({ ContainersDeleted: deleted, SpaceReclaimed: spaceReclaimed });
}

/** Filters that every prune call shares. */
export function readPruneFilter(filters: Filters, nowMs: number): PruneFilter {
  const until = parseTime(filters['until']?.[0] ?? null, nowMs, 'until');
  return {
    ...(until !== undefined && { until: Number(until / 1_000_000n) }),
    ...(filters['label'] && { label: filters['label'] }),
    ...(filters['label!'] && { labelNot: filters['label!'] }),
  };
}
