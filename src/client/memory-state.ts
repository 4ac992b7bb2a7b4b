import { createHash } from 'node:crypto';
import { TscError } from '../core/index.ts';
import type { ContainerSpec } from './container-spec.ts';
import type {
  ContainerState,
  EngineEvent,
  Health,
  ImageDetails,
  NetworkSummary,
  VolumeSummary,
} from './engine-client.ts';

/** How containers of an image behave. */
export interface MemoryBehaviour {
  /** The process ends with this code right after start. */
  readonly exitCode?: number;
  /** What the probe finds, right after start; absent: no probe. */
  readonly health?: 'healthy' | 'unhealthy';
  /** Output, one line each. */
  readonly output?: readonly string[];
  /** Why a start fails. */
  readonly startError?: string;
}

export interface MemoryContainer {
  readonly id: string;
  name: string;
  readonly spec: ContainerSpec;
  readonly imageId: string;
  state: ContainerState;
  health: Health;
  exitCode: number;
}

/** What the memory engine holds. */
export interface MemoryRecords {
  readonly containers: MemoryContainer[];
  readonly networks: NetworkSummary[];
  readonly volumes: VolumeSummary[];
  readonly images: Map<string, ImageDetails>;
  /** Every act in order: `start web-1`. */
  readonly acts: string[];
}

/** Records of the memory engine with the few rules that the kinds of objects share. */
export class MemoryState implements MemoryRecords {
  readonly containers: MemoryContainer[] = [];
  readonly networks: NetworkSummary[] = [];
  readonly volumes: VolumeSummary[] = [];
  readonly images = new Map<string, ImageDetails>();
  readonly acts: string[] = [];
  readonly behaviours: Readonly<Record<string, MemoryBehaviour>>;
  readonly #listeners = new Set<(event: EngineEvent) => void>();
  #count = 0;

  constructor(behaviours: Readonly<Record<string, MemoryBehaviour>>) {
    this.behaviours = behaviours;
  }

  nextId(): string {
    this.#count += 1;
    return createHash('sha256').update(String(this.#count)).digest('hex');
  }

  addImage(reference: string, content = reference): ImageDetails {
    const id = `sha256:${createHash('sha256').update(content).digest('hex')}`;
    const image: ImageDetails = {
      id,
      tags: [reference],
      digests: [],
      size: 1,
      created: '2020-01-01T00:00:00Z',
      os: 'linux',
      arch: 'amd64',
      exposedPorts: [],
      hasHealthcheck: false,
      workingDir: '/',
    };
    this.images.set(reference, image);
    return image;
  }

  find(idOrName: string): MemoryContainer {
    const found = this.containers.find((item) => item.id === idOrName || item.name === idOrName);
    if (!found) throw new TscError('client/not-found', `no such container: ${idOrName}`);
    return found;
  }

  emit(container: MemoryContainer, action: string, extra: Readonly<Record<string, string>> = {}): void {
    const event: EngineEvent = {
      type: 'container',
      action,
      id: container.id,
      attributes: { ...container.spec.labels, name: container.name, image: container.spec.image, ...extra },
      timeNano: '0',
    };
    for (const listener of this.#listeners) listener(event);
  }

  /** Listens from the call on, not from the first read. */
  subscribe(signal: AbortSignal): AsyncGenerator<EngineEvent> {
    const queue: EngineEvent[] = [];
    let wake = Promise.withResolvers<void>();
    const listener = (event: EngineEvent) => {
      queue.push(event);
      wake.resolve();
    };
    const listeners = this.#listeners;
    listeners.add(listener);
    signal.addEventListener('abort', () => wake.resolve(), { once: true });
    return (async function* read() {
      try {
        while (!signal.aborted) {
          yield* queue.splice(0);
          await wake.promise;
          wake = Promise.withResolvers<void>();
        }
      } finally {
        listeners.delete(listener);
      }
    })();
  }
}
