import { TscError } from '../../core/index.ts';
import type { BuildProgress, BuildRequest } from '../../engine/index.ts';
import { completeArchive } from '../complete-archive.ts';
import { type ApiResponse, json } from '../http-message.ts';
import { type Route, type RouteCall, route } from '../match-route.ts';
import { progressResponse } from '../progress-stream.ts';
import { flag, integer } from '../query-values.ts';
import { parseJson } from '../read-body.ts';
import { readRegistryConfig } from '../registry-auth.ts';
import { present } from '../translate/present.ts';
import { refuseParameters } from '../translate/unsupported-fields.ts';
import { progressLine } from './images.ts';

/** The classic builder. */
export const buildRoutes: readonly Route[] = [
  route('POST', '/build', build),
  route('POST', '/build/prune', async ({ services }) => {
    await services.build.pruneCache();
    return json({ CachesDeleted: [], SpaceReclaimed: 0 });
  }),
  route('POST', '/build/cancel', () => {
    throw new TscError('daemon/unsupported', 'cancelling a build by id is not supported', {
      hint: 'close its connection',
    });
  }),
];

const UNSUPPORTED = {
  remote: 'send the context as an archive',
  squash: 'layers stay as they are',
  outputs: 'the result is always an image',
  cachefrom: 'the cache of this engine is used',
  memory: 'limits of build steps are not offered',
  memswap: 'limits of build steps are not offered',
  cpushares: 'limits of build steps are not offered',
  cpusetcpus: 'limits of build steps are not offered',
  cpusetmems: 'limits of build steps are not offered',
  cpuperiod: 'limits of build steps are not offered',
  cpuquota: 'limits of build steps are not offered',
  ulimits: 'limits of build steps are not offered',
  cgroupparent: 'limits of build steps are not offered',
  securityopt: 'build steps run with the default profile',
} as const;

type BuildNetwork = NonNullable<BuildRequest['network']>;

function build({ request, services }: RouteCall): Promise<ApiResponse> {
  const { query } = request;
  refuseParameters(query, UNSUPPORTED);
  if (query.get('version') === '2') {
    throw new TscError('daemon/unsupported', 'BuildKit is not part of this engine', { hint: 'set DOCKER_BUILDKIT=0' });
  }
  const wanted: BuildRequest = {
    context: completeArchive(request.body),
    ...readOptions(query),
    credentials: readRegistryConfig(request.headers['x-registry-config']),
  };
  const quiet = flag(query, 'q');
  return progressResponse(async (report) => {
    const onProgress = (event: BuildProgress) => {
      if (event.kind === 'result') report({ aux: { ID: event.id } });
      else if (quiet) return;
      else if (event.kind === 'text') report({ stream: event.text });
      else report(progressLine(event.progress));
    };
    const id = await services.build.build(wanted, { onProgress, signal: request.signal });
    if (quiet) report({ stream: `${id}\n` });
  });
}

function readOptions(query: URLSearchParams): Omit<BuildRequest, 'context'> {
  return present({
    dockerfile: query.get('dockerfile') || undefined,
    tags: query.getAll('t').filter((name) => name !== ''),
    buildArgs: readMap(query.get('buildargs'), 'buildargs'),
    labels: readMap(query.get('labels'), 'labels'),
    target: query.get('target') || undefined,
    noCache: flag(query, 'nocache'),
    pull: flag(query, 'pull'),
    network: readNetwork(query.get('networkmode') || 'default'),
    extraHosts: readExtraHosts(query),
    shmSizeBytes: integer(query, 'shmsize') || undefined,
    platform: query.get('platform') || undefined,
  });
}

function readNetwork(name: string): BuildNetwork {
  if (name === 'default' || name === 'none' || name === 'host') return name;
  throw new TscError('daemon/unsupported', `build network ${JSON.stringify(name.slice(0, 80))} is not supported`, {
    hint: 'use default, none or host',
  });
}

// Clients send one parameter per entry, or one list with commas.
function readExtraHosts(query: URLSearchParams): readonly string[] | undefined {
  const hosts = query
    .getAll('extrahosts')
    .flatMap((item) => item.split(','))
    .filter((item) => item !== '');
  return hosts.length === 0 ? undefined : hosts;
}

// A null stands for «take it from the file»: the same as not giving it. Names keep their case.
function readMap(text: string | null, what: string): ReadonlyMap<string, string> {
  const value = text === null || text === '' ? null : parseJson(text, what);
  if (value === null) return new Map();
  if (typeof value !== 'object' || Array.isArray(value))
    throw new TscError('daemon/invalid', `${what} must be an object`);
  const entries = Object.entries(value).filter(([, item]) => item !== null);
  const wrong = entries.find(([, item]) => typeof item !== 'string');
  if (wrong) throw new TscError('daemon/invalid', `${what}.${wrong[0].slice(0, 80)} must be a string`);
  return new Map(entries);
}
