import { allDone, TscError, UndoList } from '../../core/index.ts';
import { makeDirectory, removeTree, timestamp } from '../../host/index.ts';
import type { Sandbox } from '../network/index.ts';
import { prepareBundle, writeBundle } from './bundle.ts';
import { type ContainerContext, pathsOf, publishContainerEvent, saveState } from './context.ts';
import { seedVolumes } from './copy-up.ts';
import { prepareNetwork } from './create.ts';
import { watchRun } from './exit.ts';
import { firstReadiness, startHealthChecks } from './health.ts';
import type { LiveContainer } from './live-container.ts';
import { writeNameFiles } from './name-files.ts';
import { joinedRuns, requireJoined } from './namespaces.ts';
import { networkOwner, ownNetwork } from './network-owner.ts';
import { portRequests, replacedBy } from './ports.ts';
import type { ProcessMonitor } from './process-monitor.ts';
import { classifyStartFailure } from './start-failure.ts';

/** Starts a container whose lock the caller holds. On failure everything is undone and the record says why. */
export async function startContainer(context: ContainerContext, container: LiveContainer): Promise<void> {
  const undo = new UndoList();
  container.restartTimer?.abort();
  try {
    await bringUp(context, container, undo);
  } catch (cause) {
    for (const failure of await undo.run())
      context.logger.warn({ container: container.id, error: failure.error }, `cannot undo: ${failure.what}`);
    const command = container.record.config.entrypoint[0] ?? container.record.config.command[0] ?? '';
    const { exitCode, error } = classifyStartFailure(cause, command);
    const status = container.state.status === 'restarting' ? 'exited' : container.state.status;
    container.setState({ status, pid: 0, exitCode, error: error.message });
    await saveState(context, container);
    for (const pending of container.pending) pending.abandon();
    container.pending.clear();
    throw error;
  }
}

async function bringUp(context: ContainerContext, container: LiveContainer, undo: UndoList): Promise<void> {
  const { record, id } = container;
  const paths = pathsOf(context, id);
  const image = await context.images.resolve(record.imageId);
  const joined = joinedRuns(context, record);
  await recallNetwork(context, container);
  const prepare = async () => {
    const lower = await context.images.lowerDirectories(image);
    await removeTree(paths.run);
    await makeDirectory(paths.run);
    await seedVolumes(context, record.mounts, lower);
    const nameMounts = await writeNameFiles(context, container);
    return prepareBundle(context, { record, lower, nameMounts });
  };
  const [sandbox, prepared] = await allDone([openSandbox(context, container, undo), prepare()]);
  const orders = await writeBundle(prepared, sandbox.path);
  const monitor = await context.spawner.spawn(orders, paths.run);
  undo.add('kill the held process', async () => {
    await monitor.kill(9).catch(() => undefined);
    await monitor.exited;
    monitor.close();
  });
  await requireJoined(joined);
  for (const pending of container.pending) await pending.bind(monitor);
  container.pending.clear();
  // On the host's network every port is the host's, without one there is nothing to reach.
  const reachable = !['host', 'none'].includes(record.host.networkMode);
  const ports = reachable ? portRequests(record.config, record.host) : [];
  if (ownNetwork(container)) {
    await context.networks.setReadiness(id, firstReadiness(record.config));
    await context.networks.publish(id, ports, replacedBy(context, container));
    undo.add('withdraw ports and names', () => context.networks.withdraw(id));
  }
  await letRun(context, container, monitor);
}

async function letRun(context: ContainerContext, container: LiveContainer, monitor: ProcessMonitor): Promise<void> {
  const startedAt = timestamp(context.clock);
  await monitor.start();
  container.record = { ...container.record, stoppedByUser: false };
  const { health: _health, ...state } = container.state;
  container.record = {
    ...container.record,
    state: {
      ...state,
      status: 'running',
      pid: monitor.process.pid,
      exitCode: 0,
      oomKilled: false,
      error: '',
      startedAt,
      restartCount: container.backoff.count,
    },
  };
  watchRun(context, container, monitor);
  await saveState(context, container);
  publishContainerEvent(context, container, 'start');
  startHealthChecks(context, container);
}

/** Its place on its networks is not fsynced: what a power cut took is given anew. */
async function recallNetwork(context: ContainerContext, { id, record }: LiveContainer): Promise<void> {
  const lost = Object.keys(record.networks).length > 0 && context.networks.endpoints(id).length === 0;
  if (lost) await prepareNetwork(context, record);
}

async function openSandbox(context: ContainerContext, container: LiveContainer, undo: UndoList): Promise<Sandbox> {
  const owner = networkOwner(context, container);
  if (owner !== container && !owner.isRunning) {
    throw new TscError('container/conflict', `cannot join network of a non running container: ${owner.record.name}`, {
      hint: 'start it first',
    });
  }
  // Addresses are on the disk without waiting for it: a power cut right after the create may have taken them.
  if (owner === container && !context.networks.isPrepared(container.id))
    await prepareNetwork(context, container.record);
  const sandbox = await context.networks.openSandbox(owner.id);
  if (owner === container) undo.add('close the network namespace', () => context.networks.closeSandbox(container.id));
  container.sandbox = sandbox;
  return sandbox;
}
