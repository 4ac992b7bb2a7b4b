import { describeError, TscError } from '../../core/index.ts';
import { listDirectory, pathExists, readJsonIfExists, removeTree } from '../../host/index.ts';
import type { ContainerRecord, ContainerState } from './container.ts';
import {
  type ContainerContext,
  discardProcesses,
  pathsOf,
  type StoredContainer,
  type StoredState,
  saveState,
} from './context.ts';
import { recordExit, scheduleRestart, watchRun } from './exit.ts';
import { startHealthChecks } from './health.ts';
import { LiveContainer } from './live-container.ts';
import { followHostResolver } from './name-files.ts';
import { ownNetwork } from './network-owner.ts';
import type { ProcessMonitor } from './process-monitor.ts';
import { removeContainer } from './remove.ts';
import { hasProcesses } from './stop.ts';

const UNKNOWN_STATE: ContainerState = {
  status: 'exited',
  pid: 0,
  exitCode: 255,
  oomKilled: false,
  error: 'the state was lost',
  startedAt: '0001-01-01T00:00:00Z',
  finishedAt: '0001-01-01T00:00:00Z',
  restartCount: 0,
};

/** Loads all records into the table, so that other rooms can ask who uses what; nothing is done about them yet. */
export async function loadContainers(context: ContainerContext): Promise<void> {
  const { records, incomplete, damaged } = await context.store.load();
  for (const { key, error } of damaged)
    context.logger.error(
      { container: key, error: describeError(error) },
      'cannot read the record of a container; it is left alone',
    );
  for (const id of incomplete) {
    // A create that did not get to its record, or a remove that lost it: nobody was told that it exists.
    await discardProcesses(context, id);
    await removeTree(pathsOf(context, id).run);
    await context.store.remove(id);
  }
  for (const [id, stored] of records) {
    const state = await readState(context, id);
    const container = new LiveContainer({ ...stored, ...state });
    try {
      context.table.reserveName(stored.name, container.id);
    } catch (error) {
      context.logger.error(
        { container: id, error: describeError(error) },
        'two containers have one name; the second is reached by its id',
      );
    }
    context.table.add(container);
  }
}

async function readState(context: ContainerContext, id: string): Promise<StoredState> {
  try {
    const value = (await readJsonIfExists(pathsOf(context, id).state)) as StoredState | undefined;
    if (value && typeof value.state?.status === 'string')
      return { state: value.state, stoppedByUser: value.stoppedByUser === true };
  } catch (error) {
    context.logger.warn({ container: id, error: describeError(error) }, 'cannot read the state of a container');
  }
  return { state: UNKNOWN_STATE, stoppedByUser: false };
}

/** `alive`: containers whose network namespace is there. Compares every container with what lives: finds monitors again, takes over exits, ends what has no monitor, restarts. */
export async function recoverContainers(context: ContainerContext, alive: ReadonlySet<string>): Promise<void> {
  // Before anything new is run: what is there now is of the daemon before.
  await removeStrayRunDirectories(context);
  await Promise.all(
    context.table.all.map(async (container) => {
      try {
        await context.lock.run(container.id, () => recoverOne(context, container, alive));
      } catch (error) {
        context.logger.error({ container: container.id, error: describeError(error) }, 'cannot recover a container');
      }
    }),
  );
}

async function recoverOne(
  context: ContainerContext,
  container: LiveContainer,
  alive: ReadonlySet<string>,
): Promise<void> {
  const { status } = container.state;
  const paths = pathsOf(context, container.id);
  const found = await context.spawner.find(paths.run);
  if (status === 'removing' || status === 'dead') {
    await removeAgain(context, container, found);
    return;
  }
  if (found?.running) {
    await adopt(context, container, found.monitor, alive.has(container.id));
    return;
  }
  if (found) {
    // Held before its start: the start was interrupted, and nobody was told that it runs.
    await found.monitor.kill(9).catch(() => undefined);
    await found.monitor.exited;
    found.monitor.close();
  }
  if (status === 'running' || status === 'paused') {
    const exit = found ? await found.monitor.exited : await context.spawner.readExit(paths.run);
    await recordExit(context, container, undefined, exit);
  } else {
    if (await hasProcesses(context, container.id)) await discardProcesses(context, container.id);
    await context.networks.withdraw(container.id);
    if (!context.table.sharing(container.id).some((other) => other.isRunning))
      await context.networks.closeSandbox(container.id);
    await resume(context, container);
  }
}

/** A removal that a daemon did not get to the end of. A process that cannot be killed is not waited for: its end removes the container. */
async function removeAgain(
  context: ContainerContext,
  container: LiveContainer,
  found: Awaited<ReturnType<ContainerContext['spawner']['find']>>,
): Promise<void> {
  if (found?.running) {
    container.removeAtEnd = { volumes: true };
    container.setState({ status: 'removing', pid: found.monitor.process.pid });
    watchRun(context, container, found.monitor);
    await found.monitor.kill(9).catch(() => undefined);
    return;
  }
  found?.monitor.close();
  container.setState({ status: 'dead', pid: 0 });
  await discardProcesses(context, container.id);
  if (await hasProcesses(context, container.id))
    throw new TscError('container/timeout', 'its processes do not end after SIGKILL');
  await removeContainer(context, container, { volumes: true });
}

/** What was going to happen by itself still does: a pending restart, and policies that bring a container up at start. */
async function resume(context: ContainerContext, container: LiveContainer): Promise<void> {
  const { restartPolicy } = container.record.host;
  const { status } = container.state;
  const wasUp = status === 'restarting';
  const always = restartPolicy.name === 'always' && status === 'exited';
  if (!wasUp && !(always && (!container.record.stoppedByUser || (await isFirstSinceBoot(context, container))))) return;
  container.setState({ status: 'restarting' });
  scheduleRestart(context, container, 0);
}

/**
 * Docker starts with `always` at the start of its daemon also what a user stopped. Our daemon comes and goes by itself, so the start of
 * the machine takes that place: the run directory of a container that ran since is there.
 */
async function isFirstSinceBoot(context: ContainerContext, container: LiveContainer): Promise<boolean> {
  return !(await pathExists(pathsOf(context, container.id).run));
}

async function adopt(
  context: ContainerContext,
  container: LiveContainer,
  monitor: ProcessMonitor,
  hasSandbox: boolean,
): Promise<void> {
  const { health } = container.state;
  container.setState({ status: container.state.status === 'paused' ? 'paused' : 'running', pid: monitor.process.pid });
  watchRun(context, container, monitor);
  if (ownNetwork(container)) {
    // With a new keeper nobody holds the namespace but its processes.
    container.sandbox = hasSandbox
      ? await context.networks.openSandbox(container.id)
      : await context.networks.adopt(container.id, monitor.process);
  }
  await saveState(context, container);
  await followHostResolver(context, container);
  startHealthChecks(context, container, health);
}

/** Execs end with the daemon's memory of them: their processes go on while they have their monitors, their directories are of no use once they are dead. */
async function removeStrayRunDirectories(context: ContainerContext): Promise<void> {
  const known = new Set(context.table.all.map((container) => pathsOf(context, container.id).run));
  for (const name of await listDirectory(`${context.runDir}/c`)) {
    const path = `${context.runDir}/c/${name}`;
    if (!known.has(path)) await removeTree(path);
  }
  for (const name of await listDirectory(`${context.runDir}/e`)) {
    const path = `${context.runDir}/e/${name}`;
    const found = await context.spawner.find(path);
    if (!found?.running) {
      found?.monitor.close();
      await endStrayExec(context, path, found !== undefined);
      await removeTree(path);
    } else
      void found.monitor.exited.then(async () => {
        found.monitor.close();
        await removeTree(path);
      });
  }
}

async function endStrayExec(context: ContainerContext, path: string, hasMonitor: boolean): Promise<void> {
  try {
    // Spawned, and the daemon died before its start: it would wait for a while.
    await context.spawner.abandon(path);
    // Its monitor was killed while there was no daemon: nobody reads what the process writes, or will know its end.
    if (!hasMonitor) await context.spawner.endRecorded(path);
  } catch (error) {
    context.logger.warn({ path, error: describeError(error) }, 'cannot end what an exec of an earlier daemon left');
  }
}

/** Checks what was read as a record. */
export function parseStoredContainer(value: unknown): StoredContainer {
  const record = value as Partial<ContainerRecord> | null;
  const whole =
    record?.version === 1 &&
    typeof record.id === 'string' &&
    /^[0-9a-f]{64}$/.test(record.id) &&
    typeof record.name === 'string' &&
    typeof record.imageId === 'string' &&
    typeof record.config === 'object' &&
    typeof record.host === 'object' &&
    typeof record.networks === 'object' &&
    Array.isArray(record.mounts);
  if (!whole) throw new Error('not a container record');
  return record as StoredContainer;
}
