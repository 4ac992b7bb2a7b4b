import { TscError } from '../core/index.ts';
import type { ContainerApi, ContainerDetails, ContainerSummary, OutputChunk } from './engine-client.ts';
import type { MemoryContainer, MemoryState } from './memory-state.ts';

/** The container calls of the memory engine. */
export function memoryContainers(state: MemoryState): ContainerApi {
  return {
    listContainers: ({ labels = [], all }) =>
      Promise.resolve(
        state.containers
          .filter((item) => (all || item.state === 'running') && labels.every((label) => hasLabel(item, label)))
          .map(toSummary),
      ),
    inspectContainer: async (id) => toDetails(state, state.find(id)),
    createContainer: async (spec) => create(state, spec),
    startContainer: async (id) => start(state, state.find(id)),
    stopContainer: async (id) => end(state, state.find(id), 0, 'stop'),
    restartContainer: async (id) => {
      const container = state.find(id);
      end(state, container, 0, 'stop');
      start(state, container);
    },
    killContainer: async (id, signal) => {
      const container = state.find(id);
      if (container.state !== 'running')
        throw new TscError('client/conflict', `container ${container.name} is not running`);
      end(state, container, 137, `kill ${signal}`);
    },
    pauseContainer: async (id) => {
      state.find(id).state = 'paused';
    },
    unpauseContainer: async (id) => {
      state.find(id).state = 'running';
    },
    renameContainer: async (id, name) => {
      const container = state.find(id);
      state.acts.push(`rename ${container.name} ${name}`);
      container.name = name;
    },
    removeContainer: async (id, options) => remove(state, state.find(id), options?.force === true),
    waitContainer: (id, _condition, signal) => waitForEnd(state, state.find(id), signal),
    containerLogs: (id) => output(state.behaviours[state.find(id).spec.image]?.output ?? []),
    attachContainer: (id) =>
      Promise.resolve({
        output: output(state.behaviours[state.find(id).spec.image]?.output ?? []),
        write: async () => undefined,
        end: () => undefined,
        close: () => undefined,
      }),
    resizeContainer: async () => undefined,
    awaitRest: async (id) => {
      // What it does by itself, it does in a microtask.
      await new Promise(setImmediate);
      return state.find(id).state === 'running' ? 'rest' : 'ended';
    },
    topContainer: () => Promise.resolve({ titles: ['PID', 'CMD'], rows: [['1', 'init']] }),
    putArchive: async (id, path, archive) => {
      const container = state.find(id);
      for await (const chunk of archive) void chunk;
      state.acts.push(`put-archive ${container.name} ${path}`);
    },
  };
}

function create(state: MemoryState, spec: Parameters<ContainerApi['createContainer']>[0]) {
  if (state.containers.some(({ name }) => name === spec.name))
    throw new TscError('client/conflict', `the container name "/${spec.name}" is already in use`);
  const image = state.images.get(spec.image) ?? [...state.images.values()].find(({ id }) => id === spec.image);
  if (!image) throw new TscError('client/not-found', `no such image: ${spec.image}`);
  const id = state.nextId();
  state.containers.push({
    id,
    name: spec.name,
    spec,
    imageId: image.id,
    state: 'created',
    health: 'none',
    exitCode: 0,
  });
  state.acts.push(`create ${spec.name}`);
  return { id, warnings: [] };
}

function start(state: MemoryState, container: MemoryContainer): void {
  if (container.state === 'running') return;
  const behaviour = state.behaviours[container.spec.image] ?? {};
  if (behaviour.startError) throw new TscError('client/failed', behaviour.startError);
  container.state = 'running';
  container.health = behaviour.health || container.spec.healthcheck ? 'starting' : 'none';
  state.acts.push(`start ${container.name}`);
  state.emit(container, 'start');
  queueMicrotask(() => {
    if (container.state !== 'running') return;
    if (behaviour.exitCode !== undefined) end(state, container, behaviour.exitCode);
    else if (container.health === 'starting') {
      container.health = behaviour.health ?? 'healthy';
      state.emit(container, `health_status: ${container.health}`);
    }
  });
}

function end(state: MemoryState, container: MemoryContainer, exitCode: number, act?: string): void {
  if (container.state !== 'running') return;
  container.state = 'exited';
  container.exitCode = exitCode;
  if (act) state.acts.push(`${act} ${container.name}`);
  state.emit(container, 'die', { exitCode: String(exitCode) });
}

function remove(state: MemoryState, container: MemoryContainer, force: boolean): void {
  if (container.state === 'running' && !force)
    throw new TscError('client/conflict', `container ${container.name} is running`);
  end(state, container, 137);
  state.containers.splice(state.containers.indexOf(container), 1);
  state.acts.push(`remove ${container.name}`);
  state.emit(container, 'destroy');
}

async function waitForEnd(state: MemoryState, container: MemoryContainer, signal?: AbortSignal): Promise<number> {
  const stop = new AbortController();
  const events = state.subscribe(signal ? AbortSignal.any([signal, stop.signal]) : stop.signal);
  const next = events.next();
  if (container.state !== 'running') {
    stop.abort();
    return container.exitCode;
  }
  for (let item = await next; !item.done; item = await events.next()) {
    if (item.value.id === container.id && item.value.action === 'die') break;
  }
  stop.abort();
  return container.exitCode;
}

function hasLabel(container: MemoryContainer, label: string): boolean {
  const [key = '', ...value] = label.split('=');
  const found = container.spec.labels[key];
  return value.length === 0 ? found !== undefined : found === value.join('=');
}

function toSummary(item: MemoryContainer): ContainerSummary {
  return {
    id: item.id,
    name: item.name,
    image: item.spec.image,
    imageId: item.imageId,
    command: (item.spec.command ?? []).join(' '),
    created: 1_600_000_000,
    state: item.state,
    status: item.state === 'running' ? 'Up 1 second' : `Exited (${item.exitCode}) 1 second ago`,
    health: item.state === 'running' ? item.health : 'none',
    labels: item.spec.labels,
    ports: item.spec.ports.map((port) => ({
      containerPort: port.containerPort,
      protocol: port.protocol,
      ...(port.hostPort && {
        hostAddress: port.hostAddress ?? '0.0.0.0',
        hostPort: Number.parseInt(port.hostPort, 10),
      }),
    })),
    mounts: item.spec.mounts.map((mount) => ({
      type: mount.type,
      ...(mount.type === 'volume' && { name: mount.source ?? `anonymous-${mount.target}` }),
      source: mount.source ?? '',
      target: mount.target,
    })),
    networks: Object.fromEntries(
      item.spec.endpoints.map(({ network }) => [network, { networkId: network, ipv4Address: '172.20.0.2' }]),
    ),
  };
}

function toDetails(state: MemoryState, item: MemoryContainer): ContainerDetails {
  return {
    id: item.id,
    name: item.name,
    image: item.spec.image,
    imageId: item.imageId,
    state: item.state,
    pid: item.state === 'running' ? 1 : 0,
    exitCode: item.exitCode,
    oomKilled: false,
    error: '',
    startedAt: '2020-01-01T00:00:00Z',
    finishedAt: '2020-01-01T00:00:01Z',
    restartCount: 0,
    health: item.health,
    probes: item.health === 'unhealthy' ? [{ exitCode: 1, output: 'connection refused\n' }] : [],
    tty: item.spec.tty === true,
    labels: item.spec.labels,
    ports: toSummary(item).ports,
    publications: item.spec.ports,
    networkMode: item.spec.networkMode ?? '',
    endpoints: item.spec.endpoints,
    hasHealthcheck: item.spec.healthcheck !== undefined || state.behaviours[item.spec.image]?.health !== undefined,
    healthTest: item.spec.healthcheck?.test ?? [],
  };
}

async function* output(lines: readonly string[]): AsyncGenerator<OutputChunk> {
  for (const line of lines) yield { stream: 'stdout', data: Buffer.from(`${line}\n`) };
}
