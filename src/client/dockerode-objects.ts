import type { Duplex, Readable } from 'node:stream';
import { isKind, TscError } from '../core/index.ts';
import type { PortPublication } from './container-spec.ts';
import { readJsonLines } from './demultiplex.ts';
import type { EngineCall } from './engine-call.ts';
import type {
  BuildRequest,
  ExecApi,
  ImageApi,
  NetworkApi,
  NetworkSpec,
  PortConflict,
  ProgressMessage,
  VolumeApi,
} from './engine-client.ts';
import { openSession } from './hijacked-session.ts';
import { list, number, readImageDetails, readNetworkSummary, readVolumeSummary, record, text } from './read-answers.ts';

/** The exec calls over the Engine API. */
export function dockerodeExecs(call: EngineCall): ExecApi {
  const path = (id: string, verb: string) => `/exec/${encodeURIComponent(id)}${verb}`;
  return {
    createExec: async (containerId, spec) => {
      const attach = !spec.detach;
      const body = {
        Cmd: spec.command,
        Tty: spec.tty === true,
        AttachStdin: attach && spec.stdin === true,
        AttachStdout: attach,
        AttachStderr: attach,
        User: spec.user ?? '',
        WorkingDir: spec.workingDir ?? '',
        Env: spec.environment ?? [],
        Privileged: spec.privileged === true,
      };
      return text(record(await call('POST', `/containers/${encodeURIComponent(containerId)}/exec`, { body }))['Id']);
    },
    startExec: async (id, { tty, size }) => {
      const body = { Detach: false, Tty: tty, ...(tty && size && { ConsoleSize: [size.rows, size.columns] }) };
      return openSession((await call('POST', path(id, '/start'), { body, hijack: true })) as Duplex, tty);
    },
    startExecDetached: async (id) => {
      await call('POST', path(id, '/start'), { body: { Detach: true, Tty: false } });
    },
    inspectExec: async (id) => {
      const answer = record(await call('GET', path(id, '/json')));
      return { running: answer['Running'] === true, exitCode: number(answer['ExitCode']) };
    },
    resizeExec: async (id, rows, columns) => {
      await call('POST', path(id, '/resize'), { query: { h: rows, w: columns } });
    },
  };
}

/** The network calls over the Engine API. */
export function dockerodeNetworks(call: EngineCall): NetworkApi {
  const path = (id: string, verb = '') => `/networks/${encodeURIComponent(id)}${verb}`;
  return {
    listNetworks: async (filter) =>
      list(await call('GET', '/networks', { query: { filters: listFilters(filter) } })).map(readNetworkSummary),
    createNetwork: async (spec) =>
      text(record(await call('POST', '/networks/create', { body: toNetworkBody(spec) }))['Id']),
    removeNetwork: async (id) => void (await call('DELETE', path(id))),
    connectNetwork: async (network, container, aliases) => {
      const body = { Container: container, EndpointConfig: { Aliases: aliases } };
      await call('POST', path(network, '/connect'), { body });
    },
    disconnectNetwork: async (network, container) => {
      await call('POST', path(network, '/disconnect'), { body: { Container: container, Force: true } });
    },
    findPortConflicts: (ports, except) => findPortConflicts(call, ports, except),
  };
}

/** An extension of our own engine: any other answers 404. */
async function findPortConflicts(
  call: EngineCall,
  ports: readonly PortPublication[],
  except: readonly string[],
): Promise<readonly PortConflict[]> {
  const wanted = ports.map((port) => {
    const [first, last] = (port.hostPort ?? '').split('-').map(Number);
    return { HostIp: port.hostAddress, HostPort: first, LastPort: last, Protocol: port.protocol };
  });
  try {
    const answer = record(await call('POST', '/tscompose/ports/check', { body: { Ports: wanted, Except: except } }));
    return list(answer['Conflicts']).map((item) => {
      const conflict = record(item);
      const holder = text(conflict['Holder']);
      return {
        hostAddress: text(conflict['HostIp']),
        hostPort: number(conflict['HostPort']),
        ...(typeof conflict['LastPort'] === 'number' && { lastPort: conflict['LastPort'] }),
        protocol: text(conflict['Protocol']),
        ...(holder !== '' && { holder }),
      };
    });
  } catch (error) {
    if (isKind(error, 'not-found')) return [];
    throw error;
  }
}

function toNetworkBody(spec: NetworkSpec): Record<string, unknown> {
  const hasOptions = Object.keys(spec.ipamOptions ?? {}).length > 0;
  const hasIpam = spec.ipamDriver !== undefined || hasOptions || (spec.subnets?.length ?? 0) > 0;
  return {
    Name: spec.name,
    Driver: spec.driver ?? 'bridge',
    Options: spec.driverOptions ?? {},
    Labels: spec.labels,
    Internal: spec.internal === true,
    Attachable: spec.attachable === true,
    CheckDuplicate: true,
    ...(spec.enableIpv4 !== undefined && { EnableIPv4: spec.enableIpv4 }),
    EnableIPv6: spec.enableIpv6 === true,
    ...(hasIpam && {
      IPAM: {
        Driver: spec.ipamDriver ?? 'default',
        Options: spec.ipamOptions ?? {},
        Config: (spec.subnets ?? []).map((subnet) => ({
          ...(subnet.subnet && { Subnet: subnet.subnet }),
          ...(subnet.ipRange && { IPRange: subnet.ipRange }),
          ...(subnet.gateway && { Gateway: subnet.gateway }),
          ...(subnet.auxiliaryAddresses && { AuxiliaryAddresses: subnet.auxiliaryAddresses }),
        })),
      },
    }),
  };
}

/** The volume calls over the Engine API. */
export function dockerodeVolumes(call: EngineCall): VolumeApi {
  return {
    listVolumes: async (filter) => {
      const answer = record(await call('GET', '/volumes', { query: { filters: listFilters(filter) } }));
      return list(answer['Volumes']).map(readVolumeSummary);
    },
    createVolume: async (spec) => {
      const body = {
        Name: spec.name,
        Driver: spec.driver ?? 'local',
        DriverOpts: spec.driverOptions ?? {},
        Labels: spec.labels,
      };
      await call('POST', '/volumes/create', { body });
    },
    removeVolume: async (name) => void (await call('DELETE', `/volumes/${encodeURIComponent(name)}`)),
  };
}

function listFilters(filter: {
  readonly labels?: readonly string[];
  readonly names?: readonly string[];
}): string | undefined {
  const filters = { ...(filter.labels && { label: filter.labels }), ...(filter.names && { name: filter.names }) };
  return Object.keys(filters).length > 0 ? JSON.stringify(filters) : undefined;
}

/** The image calls over the Engine API. */
export function dockerodeImages(call: EngineCall): ImageApi {
  // A reference holds slashes that are part of the path.
  const path = (reference: string, verb = '') => `/images/${encodeURI(reference)}${verb}`;
  return {
    inspectImage: async (reference) => {
      try {
        return readImageDetails(await call('GET', path(reference, '/json')));
      } catch (error) {
        if (isKind(error, 'not-found')) return undefined;
        throw error;
      }
    },
    pullImage: async (reference, options) => {
      const stream = (await call('POST', '/images/create', {
        query: { fromImage: reference, platform: options.platform },
        headers: options.auth ? { 'X-Registry-Auth': options.auth } : {},
        stream: true,
        ...(options.signal && { signal: options.signal }),
      })) as Readable;
      await followProgress(stream, options.signal, options.onProgress, `cannot pull ${reference}`);
    },
    buildImage: async (context, request) => {
      const query = { version: '1', rm: 'true', forcerm: 'true', ...toBuildQuery(request) };
      const stream = (await call('POST', '/build', { query, file: context, stream: true })) as Readable;
      const what = `cannot build ${request.tags[0] ?? 'the image'}`;
      const imageId = await followProgress(stream, request.signal, request.onProgress, what);
      if (!imageId) throw new TscError('client/failed', `${what}: the engine named no image`);
      return imageId;
    },
    importImage: async (archive, reference) => {
      const { repository, version } = splitTag(reference);
      const query = { fromSrc: '-', repo: repository, tag: version };
      const stream = (await call('POST', '/images/create', { query, file: archive, stream: true })) as Readable;
      await followProgress(stream, undefined, undefined, `cannot import ${reference}`);
    },
    tagImage: async (reference, tag) => {
      const { repository, version } = splitTag(tag);
      await call('POST', path(reference, '/tag'), { query: { repo: repository, tag: version } });
    },
    removeImage: async (reference, options = {}) => {
      await call('DELETE', path(reference), { query: { force: options.force ? 'true' : undefined } });
    },
  };
}

function splitTag(reference: string): { repository: string; version: string } {
  const colon = reference.lastIndexOf(':');
  if (colon <= reference.lastIndexOf('/')) return { repository: reference, version: 'latest' };
  return { repository: reference.slice(0, colon), version: reference.slice(colon + 1) };
}

function toBuildQuery(request: BuildRequest): Record<string, string | number | undefined> {
  return {
    t: request.tags[0],
    dockerfile: request.dockerfile,
    target: request.target,
    buildargs: JSON.stringify(request.buildArgs),
    labels: JSON.stringify(request.labels),
    nocache: request.noCache ? 'true' : undefined,
    pull: request.pull ? 'true' : undefined,
    platform: request.platform,
    networkmode: request.networkMode,
    shmsize: request.shmSize,
    extrahosts: request.extraHosts?.join(','),
    cachefrom: request.cacheFrom && JSON.stringify(request.cacheFrom),
  };
}

/** Reads a progress stream to its end; returns the id of the image it names, throws what it reports as error. */
async function followProgress(
  stream: Readable,
  signal: AbortSignal | undefined,
  onProgress: ((message: ProgressMessage) => void) | undefined,
  what: string,
): Promise<string | undefined> {
  const stop = () => void stream.destroy();
  signal?.addEventListener('abort', stop, { once: true });
  let imageId: string | undefined;
  let failure: string | undefined;
  try {
    for await (const raw of readJsonLines(stream)) {
      const message = readProgress(raw);
      failure ??= text(record(raw)['error']) || text(record(record(raw)['errorDetail'])['message']) || undefined;
      imageId = message.imageId ?? imageId;
      onProgress?.(message);
    }
  } catch (error) {
    if (signal?.aborted) throw new TscError('client/cancelled', `${what}: cancelled`);
    throw new TscError('client/unavailable', `${what}: the connection to the engine broke`, { cause: error });
  } finally {
    signal?.removeEventListener('abort', stop);
  }
  if (signal?.aborted) throw new TscError('client/cancelled', `${what}: cancelled`);
  if (failure !== undefined) throw new TscError('client/failed', `${what}: ${failure.trim()}`);
  return imageId;
}

function readProgress(raw: unknown): ProgressMessage {
  const item = record(raw);
  const detail = record(item['progressDetail']);
  const output = text(item['stream']);
  const imageId = text(record(item['aux'])['ID']) || /^Successfully built ([0-9a-f]+)/m.exec(output)?.[1];
  return {
    ...(output && { text: output }),
    ...(text(item['id']) && { id: text(item['id']) }),
    ...(text(item['status']) && { status: text(item['status']) }),
    ...(detail['current'] !== undefined && { current: number(detail['current']) }),
    ...(detail['total'] !== undefined && { total: number(detail['total']) }),
    ...(imageId && { imageId }),
  };
}
