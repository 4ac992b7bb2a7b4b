import { TscError } from '../../core/index.ts';
import { type ApiResponse, empty, stream } from '../http-message.ts';
import { type Route, type RouteCall, route } from '../match-route.ts';
import { flag } from '../query-values.ts';
import { formatPathStat } from '../translate/path-stat.ts';

/** Files of containers, in and out. */
export const containerFileRoutes: readonly Route[] = [
  route('HEAD', '/containers/{id}/archive', stat),
  route('GET', '/containers/{id}/archive', read),
  route('PUT', '/containers/{id}/archive', write),
  route('GET', '/containers/{id}/export', exportTree),
];

const STAT_HEADER = 'X-Docker-Container-Path-Stat';

function readPath(query: URLSearchParams): string {
  const path = query.get('path') ?? '';
  if (path === '') throw new TscError('daemon/invalid', 'no path was given');
  if (path.includes('\0')) throw new TscError('daemon/invalid', 'a path has no zero byte');
  return path;
}

async function stat({ request, services, param }: RouteCall): Promise<ApiResponse> {
  const entry = await services.files.stat(param('id'), readPath(request.query));
  return empty(200, { [STAT_HEADER]: formatPathStat(entry) });
}

async function read({ request, services, param }: RouteCall): Promise<ApiResponse> {
  const path = readPath(request.query);
  const entry = await services.files.stat(param('id'), path);
  const chunks = await services.files.read(param('id'), path, request.signal);
  const headers = { 'Content-Type': 'application/x-tar', [STAT_HEADER]: formatPathStat(entry) };
  return { kind: 'stream', status: 200, headers, chunks };
}

async function write({ request, services, param }: RouteCall): Promise<ApiResponse> {
  const { query } = request;
  await services.files.write(param('id'), readPath(query), request.body, {
    noOverwriteDirNonDir: flag(query, 'noOverwriteDirNonDir'),
    toContainerUser: flag(query, 'copyUIDGID'),
    signal: request.signal,
  });
  return empty(200);
}

async function exportTree({ request, services, param }: RouteCall): Promise<ApiResponse> {
  return stream('application/octet-stream', await services.files.exportTree(param('id'), request.signal));
}
