import type { Duplex, Readable } from 'node:stream';
import { isKind } from '../core/index.ts';
import { toCreateBody, toEndpointSettings } from './create-body.ts';
import { demultiplex } from './demultiplex.ts';
import type { EngineCall } from './engine-call.ts';
import type { ContainerApi, LogOptions, OutputChunk } from './engine-client.ts';
import { openSession } from './hijacked-session.ts';
import { list, number, readContainerDetails, readContainerSummary, readVersion, record, text } from './read-answers.ts';

/** The container calls over the Engine API. */
export function dockerodeContainers(call: EngineCall): ContainerApi {
  const path = (id: string, verb: string) => `/containers/${encodeURIComponent(id)}${verb}`;
  const act = async (id: string, verb: string, query: Record<string, string | number | undefined> = {}) => {
    await unlessNotModified(call('POST', path(id, verb), { query }));
  };
  return {
    listContainers: async ({ labels, all }) =>
      list(
        await call('GET', '/containers/json', {
          query: { all: all ? 'true' : undefined, filters: labels && JSON.stringify({ label: labels }) },
        }),
      ).map(readContainerSummary),
    inspectContainer: async (id) => readContainerDetails(await call('GET', path(id, '/json'))),
    createContainer: createContainer(call),
    startContainer: (id) => act(id, '/start'),
    stopContainer: (id, timeoutSeconds) => act(id, '/stop', { t: timeoutSeconds }),
    restartContainer: (id, timeoutSeconds) => act(id, '/restart', { t: timeoutSeconds }),
    killContainer: (id, signal) => act(id, '/kill', { signal }),
    pauseContainer: (id) => act(id, '/pause'),
    unpauseContainer: (id) => act(id, '/unpause'),
    renameContainer: (id, name) => act(id, '/rename', { name }),
    removeContainer: async (id, options = {}) => {
      await call('DELETE', path(id, ''), {
        query: { force: options.force ? 'true' : undefined, v: options.volumes ? 'true' : undefined },
      });
    },
    waitContainer: async (id, condition, signal) => {
      const answer = await call('POST', path(id, '/wait'), { query: { condition }, ...(signal && { signal }) });
      return number(record(answer)['StatusCode']);
    },
    containerLogs: (id, options) => readLogs(call, path(id, '/logs'), options),
    attachContainer: async (id, { stdin, tty }) => {
      const query = { stream: 1, stdout: 1, stderr: 1, stdin: stdin ? 1 : undefined };
      // The transport sends its headers with the body: there has to be one.
      const body = { stream: true, stdin, stdout: true, stderr: true };
      return openSession((await call('POST', path(id, '/attach'), { query, body, hijack: true })) as Duplex, tty);
    },
    resizeContainer: (id, rows, columns) => act(id, '/resize', { h: rows, w: columns }),
    awaitRest: (id, patience) => awaitRest(call, id, patience),
    topContainer: async (id) => {
      const answer = record(await call('GET', path(id, '/top')));
      return {
        titles: list(answer['Titles']).map(text),
        rows: list(answer['Processes']).map((row) => list(row).map(text)),
      };
    },
    putArchive: async (id, target, archive) => {
      await call('PUT', path(id, '/archive'), { query: { path: target }, file: archive });
    },
  };
}

/** An extension of our own engine: any other answers 404. */
async function awaitRest(
  call: EngineCall,
  id: string,
  { quietMs, mostMs }: Parameters<ContainerApi['awaitRest']>[1],
): ReturnType<ContainerApi['awaitRest']> {
  try {
    const path = `/tscompose/containers/${encodeURIComponent(id)}/rest`;
    const state = text(record(await call('GET', path, { query: { quiet: quietMs, most: mostMs } }))['State']);
    return state === 'rest' || state === 'ended' || state === 'busy' ? state : undefined;
  } catch (error) {
    if (isKind(error, 'not-found')) return undefined;
    throw error;
  }
}

/** The API answers 304 when the object already is as asked; that is success. */
async function unlessNotModified(done: Promise<unknown>): Promise<void> {
  try {
    await done;
  } catch (error) {
    if (!isKind(error, 'not-modified')) throw error;
  }
}

function createContainer(call: EngineCall): ContainerApi['createContainer'] {
  // Engines before API 1.44 (Docker 25) take one network at create; the others are joined after it.
  let manyEndpoints: Promise<boolean> | undefined;
  const takesManyEndpoints = async () => atLeast(readVersion(await call('GET', '/version')).apiVersion, 1, 44);
  return async (spec) => {
    if (spec.endpoints.length > 1) manyEndpoints ??= takesManyEndpoints();
    const firstOnly = spec.endpoints.length > 1 && !(await manyEndpoints);
    const answer = record(
      await call('POST', '/containers/create', {
        query: { name: spec.name || undefined, platform: spec.platform },
        body: toCreateBody(spec, firstOnly),
      }),
    );
    const id = text(answer['Id']);
    for (const endpoint of firstOnly ? spec.endpoints.slice(1) : []) {
      const body = { Container: id, EndpointConfig: toEndpointSettings(endpoint) };
      await call('POST', `/networks/${encodeURIComponent(endpoint.network)}/connect`, { body });
    }
    return { id, warnings: list(answer['Warnings']).map(text) };
  };
}

function atLeast(version: string, major: number, minor: number): boolean {
  const [x = 0, y = 0] = version.split('.').map(Number);
  return x > major || (x === major && y >= minor);
}

async function* readLogs(call: EngineCall, path: string, options: LogOptions): AsyncGenerator<OutputChunk> {
  const stream = (await call('GET', path, {
    query: {
      stdout: 1,
      stderr: 1,
      follow: options.follow ? 1 : undefined,
      tail: options.tail,
      since: options.since,
      until: options.until,
      timestamps: options.timestamps ? 1 : undefined,
    },
    stream: true,
  })) as Readable;
  const stop = () => void stream.destroy();
  options.signal?.addEventListener('abort', stop, { once: true });
  if (options.signal?.aborted) stop();
  try {
    yield* demultiplex(stream, options.tty === true);
  } catch (error) {
    if (!options.signal?.aborted) throw error;
  } finally {
    options.signal?.removeEventListener('abort', stop);
    stop();
  }
}
