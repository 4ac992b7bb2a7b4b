import { describeError, isKind, TscError } from '../../core/index.ts';
import { directorySize } from '../../host/index.ts';
import { readLogs } from '../logs/index.ts';
import { attachContainer } from './attach.ts';
import { changesOf } from './changes.ts';
import type { ContainerService } from './container-service.ts';
import { type ContainerContext, pathsOf, publishContainerEvent, saveRecord, saveState } from './context.ts';
import { allAliases, createContainer, wishesOf } from './create.ts';
import { detailsOf } from './details.ts';
import { checkLinks } from './link-variables.ts';
import { filterContainers, hasLabel } from './list-filter.ts';
import type { LiveContainer } from './live-container.ts';
import { logFileOf } from './log-options.ts';
import { withNameFiles } from './name-files.ts';
import { ownNetwork } from './network-owner.ts';
import { removeContainer } from './remove.ts';
import { awaitRest } from './rest.ts';
import { startContainer } from './start.ts';
import { statsOf } from './stats.ts';
import { killContainer, killNow, noteState, type StopOptions, setFrozen, stepAside, stopContainer } from './stop.ts';
import { topContainer } from './top.ts';
import { updateContainer } from './update.ts';
import { waitFor } from './wait.ts';

/** The service on a context: each method finds its container, takes the lock where the state changes, and calls one file. */
export function createContainerService(context: ContainerContext): ContainerService {
  const get = (ref: string) => context.table.get(ref);
  const locked = <T>(container: LiveContainer, work: () => Promise<T>) => context.lock.run(container.id, work);
  return {
    create: (spec) => createContainer(context, spec),
    start: (ref) => userStart(context, get(ref)),
    stop: (ref, options) => stopContainer(context, get(ref), options),
    restart: (ref, options) => restart(context, get(ref), options),
    kill: (ref, signal = 'SIGKILL') => killContainer(context, get(ref), signal),
    pause: (ref) => locked(get(ref), () => setFrozen(context, get(ref), true)),
    unpause: (ref) => locked(get(ref), () => setFrozen(context, get(ref), false)),
    rename: (ref, name) => locked(get(ref), () => rename(context, get(ref), name)),
    remove: (ref, options) => remove(context, get(ref), options ?? {}),
    wait: (ref, condition, signal) => waitFor(get(ref), condition, signal),
    inspect: async (ref, options) => detailsOf(context, get(ref), { ...options, layers: true }),
    list: async (filter = {}, options) =>
      Promise.all(filterContainers(context, filter).map((container) => detailsOf(context, container, options))),
    attach: (ref, options) => attachContainer(context, get(ref), options),
    async resize(ref, rows, columns) {
      const { run, record } = get(ref);
      if (!run) throw new TscError('container/conflict', `container ${record.name} is not running`);
      await run.monitor.resize(rows, columns);
    },
    async logs(ref, query) {
      const container = get(ref);
      if (!logFileOf(container.record.host.logging, '/log'))
        throw new TscError(
          'container/unsupported',
          `container ${container.record.name} keeps no log: its logging driver is none`,
        );
      const finished = container.run?.ended ?? Promise.resolve();
      return readLogs({ path: pathsOf(context, container.id).log, finished }, query);
    },
    awaitRest: (ref, patience) => awaitRest(context, get(ref), patience),
    top: (ref, args = []) => topContainer(context, get(ref), args),
    changes: async (ref) => changesOf(context, get(ref)),
    stats: (ref) => statsOf(context, get(ref)),
    async update(ref, change) {
      const container = get(ref);
      await locked(container, () => updateContainer(context, container, change));
      return { warnings: [] };
    },
    prune: (filter) => prune(context, filter ?? {}),
    connect: (ref, network, endpoint) => connect(context, get(ref), network, endpoint),
    disconnect: (ref, network) => disconnect(context, get(ref), network),
    resolve: (ref) => get(ref).id,
  };
}

async function userStart(context: ContainerContext, container: LiveContainer): Promise<void> {
  await context.lock
    .run(container.id, async () => {
      const { status } = container.state;
      const { name } = container.record;
      if (status === 'paused')
        throw new TscError('container/conflict', `cannot start container ${name}: it is paused`, {
          hint: 'unpause it',
        });
      if (status === 'running') throw new TscError('container/not-modified', `container ${name} is already running`);
      if (container.removing || status === 'removing')
        throw new TscError('container/conflict', `container ${name} is being removed`);
      checkLinks(context, container.record);
      container.backoff.reset();
      await startContainer(context, container);
    })
    .catch(async (error) => {
      // A container that could not be started and was to go away by itself is of no use to anybody.
      if (
        container.record.host.autoRemove &&
        !isKind(error, 'not-modified') &&
        !container.isRunning &&
        !container.removing
      ) {
        await remove(context, container, { volumes: true }).catch((failure) =>
          context.logger.warn({ container: container.id, error: describeError(failure) }, 'cannot remove a container'),
        );
      }
      throw error;
    });
}

async function restart(context: ContainerContext, container: LiveContainer, options?: StopOptions): Promise<void> {
  // Known before it is stopped.
  checkLinks(context, container.record);
  container.restarting = true;
  try {
    await stopContainer(context, container, options);
  } catch (error) {
    if (!isKind(error, 'not-modified')) throw error;
  } finally {
    container.restarting = false;
  }
  await userStart(context, container);
  publishContainerEvent(context, container, 'restart');
}

async function remove(
  context: ContainerContext,
  container: LiveContainer,
  options: { readonly force?: boolean; readonly volumes?: boolean },
): Promise<void> {
  const { name } = container.record;
  if (container.removing)
    throw new TscError('container/conflict', `removal of container ${name} is already in progress`);
  if (container.isRunning || container.state.status === 'restarting') {
    if (!options.force) {
      throw new TscError('container/conflict', `cannot remove container ${name}: it is ${container.state.status}`, {
        hint: 'stop it first, or force the removal',
      });
    }
    publishContainerEvent(context, container, 'kill', { signal: '9' });
  }
  for (let round = 1; ; round += 1) {
    if (options.force) await endForRemoval(context, container, options.volumes ?? false);
    const done = await context.lock.run(container.id, async () => {
      // Removed by its own auto-remove meanwhile.
      if (context.table.find(container.id) !== container) return true;
      // A restart was faster than we.
      if (options.force && container.isRunning && round < REMOVE_ROUNDS) return false;
      await removeContainer(context, container, { volumes: options.volumes ?? false });
      return true;
    });
    if (done) return;
  }
}

/** How often a container may come up again while it is being removed. */
const REMOVE_ROUNDS = 5;

async function endForRemoval(context: ContainerContext, container: LiveContainer, volumes: boolean): Promise<void> {
  container.restartTimer?.abort();
  container.removing = true;
  if (container.run) await stepAside(context, container);
  try {
    await killNow(context, container);
  } catch (error) {
    // It dies as soon as the kernel lets it; a daemon that starts before that sees by the status what was meant.
    if (container.run) {
      container.removeAtEnd = { volumes };
      container.setState({ status: 'removing' });
    }
    throw error;
  } finally {
    container.removing = false;
    if (container.removeAtEnd) await noteState(context, container);
  }
}

async function rename(context: ContainerContext, container: LiveContainer, text: string): Promise<void> {
  const name = text.replace(/^\//, '');
  const old = container.record.name;
  if (name === old) throw new TscError('container/invalid', `container ${old} already has this name`);
  context.table.reserveName(name, container.id);
  try {
    container.record = { ...container.record, name };
    await saveRecord(context, container);
    if (ownNetwork(container)) await context.networks.rename(container.id, name);
  } catch (error) {
    container.record = { ...container.record, name: old };
    context.table.releaseName(name, container.id);
    throw error;
  }
  context.table.releaseName(old, container.id);
  publishContainerEvent(context, container, 'rename', { oldName: `/${old}` });
}

async function prune(
  context: ContainerContext,
  filter: NonNullable<Parameters<ContainerService['prune']>[0]>,
): ReturnType<ContainerService['prune']> {
  const deleted: string[] = [];
  let spaceReclaimed = 0;
  for (const container of context.table.all) {
    const { config, created } = container.record;
    const idle = ['created', 'exited', 'dead'].includes(container.state.status);
    const wanted =
      (filter.until === undefined || Date.parse(created) < filter.until) &&
      (filter.label ?? []).every((label) => hasLabel(config.labels, label)) &&
      !(filter.labelNot ?? []).some((label) => hasLabel(config.labels, label));
    if (!idle || !wanted) continue;
    const size = await directorySize(pathsOf(context, container.id).upper);
    try {
      await remove(context, container, { volumes: true });
    } catch (error) {
      if (isKind(error, 'conflict')) continue;
      throw error;
    }
    deleted.push(container.id);
    spaceReclaimed += size;
  }
  return { deleted, spaceReclaimed };
}

async function connect(
  context: ContainerContext,
  container: LiveContainer,
  network: string,
  endpoint: Parameters<ContainerService['connect']>[2],
): Promise<void> {
  await context.lock.run(container.id, async () => {
    const { record } = container;
    if (record.host.networkMode.startsWith('container:') || record.host.networkMode === 'host')
      throw new TscError('container/conflict', `container ${record.name} has no network of its own to connect`);
    const settings = { aliases: [], links: [], ...endpoint };
    // The default bridge has no names.
    const aliases = context.networks.inspect(network).isDefault ? settings.aliases : allAliases(record, settings);
    const joined = await withNameFiles(context, container, () =>
      context.networks.connect(network, container.id, record.name, { aliases, ...wishesOf(settings) }),
    );
    container.record = { ...record, networks: { ...record.networks, [joined.networkName]: settings } };
    await saveRecord(context, container);
  });
}

async function disconnect(context: ContainerContext, container: LiveContainer, network: string): Promise<void> {
  await context.lock.run(container.id, async () => {
    const before = new Map(context.networks.endpoints(container.id).map((endpoint) => [endpoint.networkId, endpoint]));
    await withNameFiles(context, container, () => context.networks.disconnect(network, container.id));
    for (const endpoint of context.networks.endpoints(container.id)) before.delete(endpoint.networkId);
    const gone = new Set<string>(
      [...before.values()].flatMap((endpoint) => [endpoint.networkName, endpoint.networkId]),
    );
    const networks = Object.entries(container.record.networks).filter(([name]) => !gone.has(name));
    container.record = { ...container.record, networks: Object.fromEntries(networks) };
    await saveRecord(context, container);
    await saveState(context, container);
  });
}
