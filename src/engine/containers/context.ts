import { join } from 'node:path';
import type { Clock } from '../../host/index.ts';
import { killCgroup, writeAtomically } from '../../host/index.ts';
import type { EventLog } from '../events/index.ts';
import type { ImageStore } from '../images/index.ts';
import type { LayerStore } from '../layers/index.ts';
import type { NetworkService } from '../network/index.ts';
import type { KeyedLock, RecordStore } from '../state/index.ts';
import type { VolumeService } from '../volumes/index.ts';
import type { ContainerRecord, ContainerState } from './container.ts';
import type { ContainerTable } from './container-table.ts';
import type { LiveContainer } from './live-container.ts';
import type { MonitorSpawner } from './process-monitor.ts';

export interface ContainerLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Tells the daemon's log of a client that no longer gets a container's output. */
export function logCut(context: ContainerContext, container: LiveContainer): void {
  context.logger.warn({ container: container.id }, 'a client took no output and was cut off');
}

/** The part of a record that changes only by commands; durable. */
export type StoredContainer = Omit<ContainerRecord, 'state' | 'stoppedByUser'>;

/** The part that changes by itself; kept without fsync. */
export interface StoredState {
  readonly state: ContainerState;
  readonly stoppedByUser: boolean;
}

/** Everything the operations of this room work on. */
export interface ContainerContext {
  readonly instance: string;
  /** `<run>`. */
  readonly runDir: string;
  readonly spawner: MonitorSpawner;
  readonly store: RecordStore<StoredContainer>;
  readonly images: ImageStore;
  readonly layers: LayerStore;
  readonly networks: NetworkService;
  readonly volumes: VolumeService;
  readonly events: EventLog;
  readonly clock: Clock;
  readonly logger: ContainerLogger;
  readonly table: ContainerTable;
  readonly lock: KeyedLock;
  /** Starts a container whose lock the caller holds; the way by which an exit leads to a new start. */
  readonly startAgain: (container: LiveContainer) => Promise<void>;
  /** Set when the daemon leaves: nothing new begins. */
  readonly closing: AbortSignal;
}

/** Where the files of one container are. */
export interface ContainerPaths {
  readonly directory: string;
  readonly state: string;
  readonly upper: string;
  readonly work: string;
  readonly bundle: string;
  readonly rootfs: string;
  readonly log: string;
  readonly hosts: string;
  readonly hostname: string;
  readonly resolvConf: string;
  /** What we wrote there last: another text is the user's. */
  readonly resolvConfWritten: string;
  readonly monitorFile: string;
  /** Of the monitor; short, because a socket's path has at most 107 bytes. */
  readonly run: string;
}

const SHORT = 20;

/** The run directory of a container's or exec's monitor. */
export function monitorDirectory(runDir: string, kind: 'c' | 'e', id: string): string {
  return join(runDir, kind, id.slice(0, SHORT));
}

export function pathsOf(context: Pick<ContainerContext, 'store' | 'runDir'>, id: string): ContainerPaths {
  const directory = context.store.directoryOf(id);
  const run = monitorDirectory(context.runDir, 'c', id);
  return {
    directory,
    state: join(directory, 'state.json'),
    upper: join(directory, 'upper'),
    work: join(directory, 'work'),
    log: join(directory, `${id}-json.log`),
    // The container may write to these: not in memory, where it could fill /run.
    hosts: join(directory, 'hosts'),
    hostname: join(directory, 'hostname'),
    resolvConf: join(directory, 'resolv.conf'),
    resolvConfWritten: join(directory, 'resolv.conf.written'),
    run,
    // Written anew at every start: they need not outlive a reboot, and files are made faster in memory.
    bundle: join(run, 'bundle'),
    rootfs: join(run, 'bundle', 'rootfs'),
    monitorFile: join(run, 'monitor.json'),
  };
}

/** The cgroup of a container, below the instance's own. */
export function cgroupPath(instance: string, id: string): string {
  return `/tscompose-${instance}/${id}`;
}

/** Ends whatever is left of a container without a monitor: its processes, its cgroup, the runtime's memory of it. */
export async function discardProcesses(context: ContainerContext, id: string): Promise<void> {
  await context.spawner.discard(id);
  await killCgroup(cgroupPath(context.instance, id));
}

/** Writes what commands decided; survives a power cut. */
export async function saveRecord(context: ContainerContext, container: LiveContainer): Promise<void> {
  const { state: _state, stoppedByUser: _stopped, ...stored } = container.record;
  await context.store.save(container.id, stored, { durable: true });
}

/** Writes the state; survives a kill of the daemon. */
export async function saveState(context: ContainerContext, container: LiveContainer): Promise<void> {
  // One write after the other, each of the state at its own time: an older one must not come last.
  await context.lock.run(`state:${container.id}`, async () => {
    if (container.removing && container.state.status !== 'removing') return;
    const { state, stoppedByUser } = container.record;
    const stored: StoredState = { state, stoppedByUser };
    await writeAtomically(pathsOf(context, container.id).state, `${JSON.stringify(stored)}\n`);
  });
}

/** Publishes an event of a container: its labels, image and name are always among the attributes. */
export function publishContainerEvent(
  context: ContainerContext,
  container: LiveContainer,
  action: string,
  attributes: Readonly<Record<string, string>> = {},
): void {
  const { config, name } = container.record;
  context.events.publish({
    type: 'container',
    action,
    actor: { id: container.id, attributes: { ...config.labels, image: config.image, name, ...attributes } },
  });
}
