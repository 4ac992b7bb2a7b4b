import {
  checkFilters,
  type Filters,
  hasLabel,
  matchesLabels,
  type ProgressLine,
  parseFilters,
} from '../../api/index.ts';
import { familiarImageRef, parseImageRef, TscError, withDefaultTag } from '../../core/index.ts';
import type { Image, ImageDeletion, ImageProgress } from '../../engine/index.ts';
import { type ApiResponse, empty, json, stream } from '../http-message.ts';
import { type Route, type RouteCall, route } from '../match-route.ts';
import { progressResponse } from '../progress-stream.ts';
import { flag } from '../query-values.ts';
import { readRegistryAuth } from '../registry-auth.ts';
import type { DaemonServices } from '../services.ts';
import { historyItem, imageInspect, imageSummary } from '../translate/image-view.ts';
import { refuseParameters } from '../translate/unsupported-fields.ts';
import { checkPlatform } from './check-platform.ts';
import { readPruneFilter } from './containers.ts';
import { matchesReference } from './match-reference.ts';

/** Images: list, fetch, name, remove, archives. */
export const imageRoutes: readonly Route[] = [
  route('GET', '/images/json', list),
  route('POST', '/images/create', create),
  route('POST', '/images/load', load),
  route('POST', '/images/prune', prune),
  route('GET', '/images/get', ({ services, request }) => save(services, request.query.getAll('names'), request.query)),
  route('GET', '/images/search', () => {
    throw new TscError('daemon/unsupported', 'searching a registry is not supported', {
      hint: 'search on the web site of the registry',
    });
  }),
  route('GET', '/images/{name...}/json', inspect),
  route('GET', '/images/{name...}/history', history),
  route('GET', '/images/{name...}/get', ({ services, request, param }) =>
    save(services, [param('name')], request.query),
  ),
  route('POST', '/images/{name...}/tag', tag),
  route('POST', '/images/{name...}/push', () => {
    throw new TscError('daemon/unsupported', 'pushing to a registry is not supported yet', {
      hint: 'save the image to an archive instead',
    });
  }),
  route('DELETE', '/images/{name...}', remove),
  route('GET', '/distribution/{name...}/json', () => {
    throw new TscError('daemon/unsupported', 'reading a manifest from a registry is not supported yet', {
      hint: 'pull the image and inspect it',
    });
  }),
];

async function list({ request, services, version }: RouteCall) {
  const filters = parseFilters(request.query.get('filters'));
  checkFilters(filters, ['before', 'dangling', 'label', 'reference', 'since', 'until']);
  // Until 1.30 a single name was filtered by a parameter of its own.
  const name = request.query.get('filter');
  const wanted = name ? { ...filters, reference: [name] } : filters;
  const accept = await imageFilter(services, wanted);
  const images = (await services.engine.images.list()).filter(accept);
  const containers = await services.engine.containers.list({ all: true });
  const uses = (image: Image) => containers.filter((item) => item.imageId === image.id).length;
  return json(images.map((image) => imageSummary(image, uses(image), version)));
}

async function imageFilter(services: DaemonServices, filters: Filters): Promise<(image: Image) => boolean> {
  const created = (image: Image) => Date.parse(image.config.created) || 0;
  const timeOf = async (key: string) => {
    const name = filters[key]?.[0];
    return name === undefined ? undefined : created(await services.engine.images.resolve(name));
  };
  const before = await timeOf('before');
  const since = await timeOf('since');
  const { until } = readPruneFilter(filters, services.clock.now());
  const dangling = filters['dangling']?.[0];
  return (image) =>
    (before === undefined || created(image) < before) &&
    (since === undefined || created(image) > since) &&
    (until === undefined || created(image) < until) &&
    (dangling === undefined || ['1', 'true'].includes(dangling) === (image.tags.length === 0)) &&
    (filters['reference'] === undefined || matchesReference(image, filters['reference'])) &&
    matchesLabels(filters['label'], Object.fromEntries(image.config.run.labels));
}

async function create(call: RouteCall): Promise<ApiResponse> {
  const from = call.request.query.get('fromImage') ?? '';
  if (from !== '') return pull(call, from);
  if ((call.request.query.get('fromSrc') ?? '') !== '') return importRootfs(call);
  throw new TscError('daemon/invalid', 'neither fromImage nor fromSrc was given');
}

function pull({ request, services }: RouteCall, from: string): Promise<ApiResponse> {
  const tagText = request.query.get('tag') ?? '';
  const separator = tagText.includes(':') ? '@' : ':';
  const ref = withDefaultTag(parseImageRef(tagText === '' ? from : `${from}${separator}${tagText}`));
  const platform = request.query.get('platform') ?? '';
  const credentials = readRegistryAuth(request.headers['x-registry-auth']);
  const name = familiarImageRef(ref);
  return progressResponse(async (report) => {
    const before = await services.engine.images.find(name);
    const image = await services.engine.images.pull(ref, {
      ...(platform !== '' && { platform }),
      ...(credentials && { credentials }),
      onProgress: (progress) => report(progressLine(progress)),
      signal: request.signal,
    });
    report({ status: `Digest: ${image.digest}` });
    // Scripts tell the two apart by these words.
    const words = before?.id === image.id ? 'Image is up to date' : 'Downloaded newer image';
    report({ status: `Status: ${words} for ${name}` });
  });
}

/** Progress of images as a line of the stream. */
export function progressLine(progress: ImageProgress): ProgressLine {
  const { status, id, current, total } = progress;
  return {
    status,
    progressDetail: { ...(current !== undefined && { current }), ...(total !== undefined && { total }) },
    ...(id !== undefined && { id }),
  };
}

function importRootfs({ request, services }: RouteCall): Promise<ApiResponse> {
  const { query } = request;
  if (query.get('fromSrc') !== '-') {
    throw new TscError('daemon/unsupported', 'importing from an address is not supported', {
      hint: 'fetch the archive and send it: docker import - NAME < rootfs.tar',
    });
  }
  const repository = query.get('repo') ?? '';
  const tagText = query.get('tag') ?? '';
  const message = query.get('message') ?? '';
  const platform = query.get('platform') ?? '';
  return progressResponse(async (report) => {
    const image = await services.engine.images.importRootfs(request.body, {
      ...(repository !== '' && { repository }),
      ...(tagText !== '' && { tag: tagText }),
      changes: query.getAll('changes'),
      ...(message !== '' && { message }),
      ...(platform !== '' && { platform }),
      signal: request.signal,
    });
    report({ status: image.id });
  });
}

function load({ request, services }: RouteCall): Promise<ApiResponse> {
  refuseParameters(request.query, { platform: 'all of an archive is loaded' });
  const quiet = flag(request.query, 'quiet');
  return progressResponse(async (report) => {
    const names = await services.engine.images.load(request.body, {
      ...(!quiet && { onProgress: (progress: ImageProgress) => report(progressLine(progress)) }),
      signal: request.signal,
    });
    for (const name of names) {
      report({ stream: `Loaded image${name.startsWith('sha256:') ? ' ID' : ''}: ${name}\n` });
    }
  });
}

async function save(services: DaemonServices, names: readonly string[], query: URLSearchParams): Promise<ApiResponse> {
  if (names.length === 0) throw new TscError('daemon/invalid', 'no image was named');
  for (const name of names) await checkPlatform(services, name, query.get('platform'));
  return stream('application/x-tar', await services.engine.images.save(names));
}

async function inspect({ request, services, param, version }: RouteCall) {
  refuseParameters(request.query, { manifests: 'only the image of one platform is kept' });
  await checkPlatform(services, param('name'), request.query.get('platform'));
  return json(imageInspect(await services.engine.images.resolve(param('name')), version));
}

async function history({ request, services, param }: RouteCall) {
  await checkPlatform(services, param('name'), request.query.get('platform'));
  return json((await services.engine.images.history(param('name'))).map(historyItem));
}

async function tag({ request, services, param }: RouteCall) {
  const repository = request.query.get('repo') ?? '';
  const tagText = request.query.get('tag') ?? '';
  if (repository === '') throw new TscError('daemon/invalid', 'no repository was given');
  await services.engine.images.tag(param('name'), tagText === '' ? repository : `${repository}:${tagText}`);
  return empty(201);
}

/** Which containers use an image. */
export async function usersOf(services: DaemonServices, id: string) {
  const containers = await services.engine.containers.list({ all: true });
  return containers
    .filter((item) => item.imageId === id)
    .map((item) => ({ container: item.id, running: item.state.pid > 0 }));
}

async function remove({ request, services, param }: RouteCall) {
  const deletions = await services.engine.images.remove(param('name'), {
    force: flag(request.query, 'force'),
    noPrune: flag(request.query, 'noprune'),
    usersOf: (id) => usersOf(services, id),
  });
  return json(deletions.map(deletionView));
}

function deletionView(deletion: ImageDeletion) {
  return 'untagged' in deletion ? { Untagged: deletion.untagged } : { Deleted: deletion.deleted };
}

async function prune({ request, services }: RouteCall) {
  const filters = parseFilters(request.query.get('filters'));
  checkFilters(filters, ['dangling', 'label', 'label!', 'until']);
  const { until, label, labelNot } = readPruneFilter(filters, services.clock.now());
  const { deletions, reclaimed } = await services.engine.images.prune({
    all: ['0', 'false'].includes(filters['dangling']?.[0] ?? ''),
    usersOf: (id) => usersOf(services, id),
    accept: (image) => {
      const labels = Object.fromEntries(image.config.run.labels);
      return (
        (until === undefined || Date.parse(image.config.created) < until) &&
        matchesLabels(label, labels) &&
        !(labelNot ?? []).some((item) => hasLabel(item, labels))
      );
    },
  });
  return json({ ImagesDeleted: deletions.map(deletionView), SpaceReclaimed: reclaimed });
}
