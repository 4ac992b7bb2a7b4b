import type { Clock } from '../../host/index.ts';
import { listDirectory, makeDirectory, removeCgroup, removeTree } from '../../host/index.ts';
import type { EventLog } from '../events/index.ts';
import type { ImageStore, ImageUser } from '../images/index.ts';
import type { LayerStore } from '../layers/index.ts';
import type { NetworkService } from '../network/index.ts';
import type { KeeperLink } from '../runtime/index.ts';
import { createKeyedLock, openRecordStore } from '../state/index.ts';
import type { VolumeService } from '../volumes/index.ts';
import type { ContainerService, ExecService } from './container-service.ts';
import { ContainerTable } from './container-table.ts';
import type { ContainerContext, ContainerLogger } from './context.ts';
import { ExecSessions } from './exec.ts';
import { createMonitorSpawner } from './monitors.ts';
import { followHostResolver } from './name-files.ts';
import { loadContainers, parseStoredContainer, recoverContainers } from './recover.ts';
import { refusalEvents } from './refusal-events.ts';
import type { RunStep } from './run-step.ts';
import { createRunStep } from './run-step-service.ts';
import { createContainerService } from './service.ts';
import { startContainer } from './start.ts';
import { stopContainer } from './stop.ts';

export interface ContainerRoomOptions {
  readonly instance: string;
  /** `<data>/containers`. */
  readonly directory: string;
  readonly runDir: string;
  readonly keeper: Pick<KeeperLink, 'spawn' | 'run' | 'list' | 'onRefusal' | 'kill'>;
  readonly images: ImageStore;
  readonly layers: LayerStore;
  readonly networks: NetworkService;
  /** Made after the records are loaded: volumes ask who uses them. */
  readonly openVolumes: (usersOf: (name: string) => readonly string[]) => Promise<VolumeService>;
  readonly events: EventLog;
  readonly clock: Clock;
  readonly logger: ContainerLogger;
}

/** Everything containers offer to the rest of the engine. */
export interface ContainerRoom {
  readonly containers: ContainerService;
  readonly exec: ExecService;
  readonly volumes: VolumeService;
  readonly runStep: RunStep;
  /** Who uses an image; keeps it from being removed. */
  usersOfImage(id: string): readonly ImageUser[];
  /** Compares the records with what lives. After the networks have recovered. */
  recover(aliveSandboxes: readonly string[]): Promise<void>;
  /** The host's name servers changed: the files of running containers follow. */
  followHostResolver(): Promise<void>;
  /** Whether something lives or will: running, paused or restarting containers, execs, steps. */
  isBusy(): boolean;
  counts(): { readonly total: number; readonly running: number; readonly paused: number; readonly stopped: number };
  /** Lets go of everything without touching processes. */
  detach(): Promise<void>;
  /** Stops all, each with its own grace, at most as many seconds as given. */
  stopAll(timeoutSeconds: number | undefined): Promise<void>;
}

/** Opens the room and loads the records; `recover` makes them true. */
export async function openContainers(options: ContainerRoomOptions): Promise<ContainerRoom> {
  const closing = new AbortController();
  const store = await openRecordStore(options.directory, parseStoredContainer);
  for (const kind of ['c', 'e', 's', 'runtime']) await makeDirectory(`${options.runDir}/${kind}`);
  const table = new ContainerTable();
  const usersOf = (name: string) =>
    table.all.filter(({ record }) => record.mounts.some((mount) => mount.name === name)).map(({ id }) => id);
  const spawner = createMonitorSpawner(options.keeper, `${options.runDir}/runtime`);
  const context: ContainerContext = {
    instance: options.instance,
    runDir: options.runDir,
    spawner,
    store,
    images: options.images,
    layers: options.layers,
    networks: options.networks,
    volumes: await options.openVolumes(usersOf),
    events: options.events,
    clock: options.clock,
    logger: options.logger,
    table,
    lock: createKeyedLock(),
    startAgain: (container) => startContainer(context, container),
    closing: closing.signal,
  };
  await loadContainers(context);
  const stopListening = options.keeper.onRefusal(refusalEvents(context));
  const exec = new ExecSessions(context);
  const steps = createRunStep(context);
  const alive = () => table.all.filter((container) => container.isRunning || container.state.status === 'restarting');
  return {
    containers: createContainerService(context),
    exec,
    volumes: context.volumes,
    async followHostResolver() {
      for (const container of table.all)
        await context.lock.run(container.id, () => followHostResolver(context, container));
    },
    runStep: steps.runStep,
    usersOfImage: (id) =>
      table.all
        .filter((container) => container.record.imageId === id)
        .map((container): ImageUser => ({ container: container.id, running: container.isRunning })),
    recover: (aliveSandboxes) => recoverRoom(context, new Set(aliveSandboxes)),
    isBusy: () => alive().length > 0 || exec.isBusy || steps.active() > 0,
    counts() {
      const all = table.all.map((container) => container.state.status);
      const count = (status: string) => all.filter((item) => item === status).length;
      const [running, paused] = [count('running') + count('restarting'), count('paused')];
      return { total: all.length, running, paused, stopped: all.length - running - paused };
    },
    async detach() {
      closing.abort();
      stopListening();
      for (const container of table.all) container.run?.monitor.close();
      // Stays while a container of ours is below it.
      await removeCgroup(`/tscompose-${options.instance}`);
    },
    async stopAll(timeoutSeconds) {
      await Promise.all(
        alive().map((container) =>
          stopContainer(context, container, timeoutSeconds === undefined ? {} : { timeoutSeconds }).catch((error) =>
            options.logger.warn({ container: container.id, error }, 'cannot stop a container'),
          ),
        ),
      );
    },
  };
}

/** Steps belong to builds of the daemon that is gone; containers go on. */
async function recoverRoom(context: ContainerContext, alive: ReadonlySet<string>): Promise<void> {
  const directory = `${context.runDir}/s`;
  for (const name of await listDirectory(directory)) {
    const path = `${directory}/${name}`;
    const found = await context.spawner.find(path);
    if (found) {
      await found.monitor.kill(9).catch(() => undefined);
      await found.monitor.exited;
      found.monitor.close();
    }
    await removeTree(path);
  }
  await recoverContainers(context, alive);
}
