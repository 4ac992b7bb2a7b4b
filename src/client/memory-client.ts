import { TscError } from '../core/index.ts';
import type { EngineClient, EngineEvent, ExecApi, NetworkSpec, NetworkSummary, OutputChunk } from './engine-client.ts';
import { memoryContainers } from './memory-containers.ts';
import { type MemoryBehaviour, type MemoryRecords, MemoryState } from './memory-state.ts';

export type { MemoryBehaviour } from './memory-state.ts';

/** An engine in memory, with its records in the open for assertions. */
export type MemoryClient = EngineClient & { readonly records: MemoryRecords };

/**
 * An engine that keeps everything in memory: containers run, exit and change their health as `behaviours` (by image) says.
 * For tests of everything above the seam.
 */
export function createMemoryClient(behaviours: Readonly<Record<string, MemoryBehaviour>> = {}): MemoryClient {
  const state = new MemoryState(behaviours);
  const notFound = (kind: string, name: string) => new TscError('client/not-found', `no such ${kind}: ${name}`);
  return {
    records: state,
    endpoint: 'memory://',
    version: () =>
      Promise.resolve({ version: '0', apiVersion: '1.47', os: 'linux', arch: 'amd64', platform: 'memory engine' }),
    isOurs: () => Promise.resolve(true),
    events: ({ signal }) => Promise.resolve(state.subscribe(signal) as AsyncIterable<EngineEvent>),
    close: () => undefined,
    ...memoryContainers(state),
    ...memoryExecs(state),
    listNetworks: ({ labels = [], names = [] }) =>
      Promise.resolve(
        state.networks.filter(
          (item) => matches(item.labels, labels) && (names.length === 0 || names.includes(item.name)),
        ),
      ),
    createNetwork: async (spec) => {
      if (state.networks.some(({ name }) => name === spec.name))
        throw new TscError('client/conflict', `network with name ${spec.name} already exists`);
      const id = state.nextId();
      state.networks.push(newNetwork(id, spec));
      return id;
    },
    removeNetwork: async (id) => {
      const index = state.networks.findIndex((item) => item.id === id || item.name === id);
      if (index < 0) throw notFound('network', id);
      state.networks.splice(index, 1);
    },
    connectNetwork: async () => undefined,
    disconnectNetwork: async () => undefined,
    findPortConflicts: async () => [],
    listVolumes: ({ labels = [], names = [] }) =>
      Promise.resolve(
        state.volumes.filter(
          (item) => matches(item.labels, labels) && (names.length === 0 || names.includes(item.name)),
        ),
      ),
    createVolume: async (spec) => {
      if (!state.volumes.some(({ name }) => name === spec.name))
        state.volumes.push({ name: spec.name, driver: spec.driver ?? 'local', labels: spec.labels });
    },
    removeVolume: async (name) => {
      const index = state.volumes.findIndex((item) => item.name === name);
      if (index < 0) throw notFound('volume', name);
      state.volumes.splice(index, 1);
    },
    inspectImage: (reference) => Promise.resolve(state.images.get(reference)),
    pullImage: async (reference) => {
      if (reference.includes('missing')) throw new TscError('client/not-found', `no such image: ${reference}`);
      state.addImage(reference);
    },
    buildImage: async (context, request) => {
      for await (const chunk of context) void chunk;
      return state.addImage(request.tags[0] ?? 'untagged', `built-${state.nextId()}`).id;
    },
    importImage: async (archive, reference) => {
      for await (const chunk of archive) void chunk;
      state.addImage(reference);
    },
    tagImage: async (reference, tag) => {
      const image = state.images.get(reference);
      if (!image) throw notFound('image', reference);
      state.images.set(tag, image);
    },
    removeImage: async (reference) => {
      if (!state.images.delete(reference)) throw notFound('image', reference);
    },
  };
}

function newNetwork(id: string, spec: NetworkSpec): NetworkSummary {
  return {
    id,
    name: spec.name,
    driver: spec.driver ?? 'bridge',
    labels: spec.labels,
    internal: spec.internal === true,
    driverOptions: spec.driverOptions ?? {},
  };
}

function memoryExecs(state: MemoryState): ExecApi {
  return {
    createExec: (containerId) => Promise.resolve(`exec-${state.find(containerId).id}`),
    startExec: () => Promise.resolve({ output: nothing(), write: async () => undefined, end: noop, close: noop }),
    startExecDetached: async () => undefined,
    inspectExec: () => Promise.resolve({ running: false, exitCode: 0 }),
    resizeExec: async () => undefined,
  };
}

function matches(labels: Readonly<Record<string, string>>, wanted: readonly string[]): boolean {
  return wanted.every((label) => {
    const [key = '', ...value] = label.split('=');
    return value.length === 0 ? key in labels : labels[key] === value.join('=');
  });
}

function noop(): void {}

async function* nothing(): AsyncGenerator<OutputChunk> {}
