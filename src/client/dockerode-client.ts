import { isKind } from '../core/index.ts';
import { readJsonLines } from './demultiplex.ts';
import { dockerodeContainers } from './dockerode-containers.ts';
import { dockerodeExecs, dockerodeImages, dockerodeNetworks, dockerodeVolumes } from './dockerode-objects.ts';
import type { EngineEndpoint } from './endpoint.ts';
import { connectEngine, type EngineCall } from './engine-call.ts';
import type { EngineClient, EngineEvent, EventOptions, SystemApi } from './engine-client.ts';
import { readEvent, readVersion } from './read-answers.ts';

/** A client of the engine behind the endpoint; connects on the first call. */
export function createDockerodeClient(endpoint: EngineEndpoint): EngineClient {
  const call = connectEngine(endpoint);
  return {
    ...dockerodeSystem(call, endpoint.address),
    ...dockerodeContainers(call),
    ...dockerodeExecs(call),
    ...dockerodeNetworks(call),
    ...dockerodeVolumes(call),
    ...dockerodeImages(call),
  };
}

function dockerodeSystem(call: EngineCall, endpoint: string): SystemApi {
  const controllers = new Set<AbortController>();
  let closed = false;
  return {
    endpoint,
    version: async () => readVersion(await call('GET', '/version')),
    isOurs: async () => {
      try {
        await call('GET', '/tscompose/info');
        return true;
      } catch (error) {
        if (isKind(error, 'not-found')) return false;
        throw error;
      }
    },
    events: async (options) => {
      const controller = new AbortController();
      controllers.add(controller);
      options.signal.addEventListener('abort', () => controller.abort(), { once: true });
      const stream = (await call('GET', '/events', {
        query: { filters: eventFilters(options) },
        stream: true,
      })) as NodeJS.ReadableStream & { destroy(): void };
      controller.signal.addEventListener('abort', () => stream.destroy(), { once: true });
      if (options.signal.aborted || closed) stream.destroy();
      return readEvents(stream as unknown as AsyncIterable<Uint8Array>, options.signal);
    },
    close: () => {
      closed = true;
      for (const controller of controllers) controller.abort();
    },
  };
}

async function* readEvents(stream: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<EngineEvent> {
  try {
    for await (const raw of readJsonLines(stream)) yield readEvent(raw);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function eventFilters(options: EventOptions): string {
  return JSON.stringify({
    ...(options.labels && { label: options.labels }),
    ...(options.types && { type: options.types }),
  });
}
