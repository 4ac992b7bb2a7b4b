import { describeError, TscError } from '../../core/index.ts';
import { removeTree } from '../../host/index.ts';
import { type ContainerContext, pathsOf, publishContainerEvent, saveState } from './context.ts';
import type { LiveContainer } from './live-container.ts';

/** Removes a stopped container whose lock the caller holds: its record first, so that a crash leaves rubbish, not a ghost. */
export async function removeContainer(
  context: ContainerContext,
  container: LiveContainer,
  options: { readonly volumes: boolean },
): Promise<void> {
  if (container.isRunning)
    throw new TscError('container/conflict', `cannot remove container ${container.record.name}: it is running`);
  container.removing = true;
  container.restartTimer?.abort();
  const previous = container.state.status;
  container.setState({ status: 'removing' });
  try {
    // On a full disk removal is what helps: it must not depend on writing.
    await saveState(context, container).catch((error) =>
      context.logger.warn({ container: container.id, error: describeError(error) }, 'cannot note a removal'),
    );
    await context.networks.release(container.id);
    await removeTree(pathsOf(context, container.id).run);
    await context.store.remove(container.id);
  } catch (error) {
    container.removing = false;
    container.setState({ status: previous === 'removing' ? 'dead' : previous });
    throw new TscError(
      'container/failed',
      `cannot remove container ${container.record.name}: ${describeError(error)}`,
      {
        cause: error,
      },
    );
  }
  for (const pending of container.pending) pending.abandon();
  context.table.delete(container);
  if (options.volumes) await removeAnonymousVolumes(context, container);
  publishContainerEvent(context, container, 'destroy');
  container.notifyRemoved();
}

async function removeAnonymousVolumes(context: ContainerContext, container: LiveContainer): Promise<void> {
  for (const mount of container.record.mounts) {
    if (!mount.anonymous || mount.name === undefined) continue;
    try {
      await context.volumes.remove(mount.name, { force: true });
    } catch (error) {
      // Another container took it by volumes-from: it goes with the last one.
      context.logger.debug({ volume: mount.name, error: describeError(error) }, 'anonymous volume stays');
    }
  }
}
