import { describeError, TscError } from '../../core/index.ts';
import { cgroupProcesses, freezeCgroup, killCgroup } from '../../host/index.ts';
import { type ContainerContext, cgroupPath, publishContainerEvent, saveState } from './context.ts';
import type { LiveContainer } from './live-container.ts';
import { parseSignal } from './signals.ts';

const DEFAULT_GRACE_SECONDS = 10;
const SIGKILL = 9;
/** After SIGKILL the kernel needs moments; longer means a process it cannot kill, or processes that the first one waits for. */
const KILL_DEADLINE_MS = 10_000;
const GROUP_DEADLINE_MS = 2_000;

export interface StopOptions {
  readonly signal?: string;
  readonly timeoutSeconds?: number;
}

/** Stops: the signal, the grace, SIGKILL; returns when the exit is recorded. */
export async function stopContainer(
  context: ContainerContext,
  container: LiveContainer,
  options: StopOptions = {},
): Promise<void> {
  const signal = parseSignal(options.signal || container.record.config.stopSignal || 'SIGTERM');
  await settled(context, container);
  if (await cancelRestart(context, container)) return;
  const { run } = container;
  if (!container.isRunning || !run)
    throw new TscError('container/not-modified', `container ${container.record.name} is not running`);
  await markStopped(context, container);
  const grace = options.timeoutSeconds ?? container.record.config.stopTimeoutSeconds ?? DEFAULT_GRACE_SECONDS;
  container.health?.stop();
  await stepAside(context, container);
  if (grace !== 0) {
    await send(context, container, signal);
    publishContainerEvent(context, container, 'kill', { signal: String(signal) });
    if (await ends(context, run.ended, grace < 0 ? undefined : grace * 1000)) return finish(context, container);
  }
  await killNow(context, container);
  finish(context, container);
}

/** A start that is under way comes first. */
async function settled(context: ContainerContext, container: LiveContainer): Promise<void> {
  if (context.lock.isHeld(container.id)) await context.lock.run(container.id, async () => undefined);
}

function finish(context: ContainerContext, container: LiveContainer): void {
  publishContainerEvent(context, container, 'stop');
}

/** SIGKILL, and everything in the cgroup when that does not help. */
export async function killNow(context: ContainerContext, container: LiveContainer): Promise<void> {
  const { run } = container;
  if (!run) return;
  await send(context, container, SIGKILL);
  if (await ends(context, run.ended, KILL_DEADLINE_MS)) return;
  await killCgroup(cgroupPath(context.instance, container.id));
  if (await ends(context, run.ended, GROUP_DEADLINE_MS)) return;
  throw unkillable(container);
}

function unkillable(container: LiveContainer): TscError {
  return new TscError('container/timeout', `container ${container.record.name} does not end after SIGKILL`, {
    hint: 'a process hangs in the kernel, often on a disk or network file system; it ends when that answers (see dmesg)',
  });
}

/** `kill`: sends a signal to the first process. */
export async function killContainer(
  context: ContainerContext,
  container: LiveContainer,
  signal: string,
): Promise<void> {
  const number = parseSignal(signal);
  await settled(context, container);
  if (!container.isRunning || !container.run) {
    throw new TscError('container/conflict', `cannot kill container ${container.record.name}: it is not running`);
  }
  const { config } = container.record;
  const stopping = number === SIGKILL || number === parseSignal(config.stopSignal || 'SIGTERM');
  // As clients expect: a kill that is meant to end it keeps the restart policy from starting it again.
  if (stopping) {
    await markStopped(context, container);
    await stepAside(context, container);
  }
  await send(context, container, number);
  publishContainerEvent(context, container, 'kill', { signal: String(number) });
  if (number === SIGKILL && !(await ends(context, container.run?.ended ?? Promise.resolve(), KILL_DEADLINE_MS)))
    throw unkillable(container);
}

async function send(context: ContainerContext, container: LiveContainer, signal: number): Promise<void> {
  const { run } = container;
  if (!run) return;
  // A frozen process receives nothing, not even SIGKILL on v1.
  if (container.state.status === 'paused') {
    await freezeCgroup(cgroupPath(context.instance, container.id), false);
    container.setState({ status: 'running' });
  }
  try {
    await run.monitor.kill(signal);
  } catch (error) {
    // It ended meanwhile: what follows sees that.
    context.logger.debug({ container: container.id, error }, 'signal not delivered');
  }
}

/** Whether it ended before the deadline. */
async function ends(context: ContainerContext, ended: Promise<void>, deadlineMs: number | undefined): Promise<boolean> {
  if (deadlineMs === undefined) {
    await ended;
    return true;
  }
  const timer = new AbortController();
  const late = context.clock.sleep(deadlineMs, timer.signal).then(
    () => false,
    () => true,
  );
  try {
    return await Promise.race([ended.then(() => true), late]);
  } finally {
    timer.abort();
  }
}

/** Before its end, so that nobody is refused: ports that it shares with the container it replaces are that one's again. */
export async function stepAside(context: ContainerContext, container: LiveContainer): Promise<void> {
  await context.networks
    .stepAside(container.id)
    .catch((error: unknown) =>
      context.logger.warn(
        { container: container.id, error: describeError(error) },
        'cannot give ports back before the end of a container: they follow it',
      ),
    );
}

async function markStopped(context: ContainerContext, container: LiveContainer): Promise<void> {
  container.record = { ...container.record, stoppedByUser: true };
  await noteState(context, container);
}

/** A disk that takes nothing must not keep anybody from stopping what fills it. */
export async function noteState(context: ContainerContext, container: LiveContainer): Promise<void> {
  await saveState(context, container).catch((error) =>
    context.logger.warn(
      { container: container.id, error: describeError(error) },
      'cannot save the state of a container: a restarted daemon would not know it',
    ),
  );
}

/** A container that waits for its restart is stopped by not restarting it. */
async function cancelRestart(context: ContainerContext, container: LiveContainer): Promise<boolean> {
  if (container.state.status !== 'restarting') return false;
  container.restartTimer?.abort();
  return context.lock.run(container.id, async () => {
    if (container.state.status !== 'restarting') return false;
    container.setState({ status: 'exited' });
    await markStopped(context, container);
    publishContainerEvent(context, container, 'stop');
    container.notifyStopped();
    return true;
  });
}

/** Freezes or continues all processes. */
export async function setFrozen(context: ContainerContext, container: LiveContainer, frozen: boolean): Promise<void> {
  const { name } = container.record;
  const { status } = container.state;
  if (frozen && status !== 'running')
    throw new TscError(
      'container/conflict',
      `container ${name} is ${status === 'paused' ? 'already paused' : 'not running'}`,
    );
  if (!frozen && status !== 'paused') throw new TscError('container/conflict', `container ${name} is not paused`);
  if (!(await freezeCgroup(cgroupPath(context.instance, container.id), frozen)))
    throw new TscError('container/unsupported', `cannot pause container ${name}: its cgroup has no freezer`);
  container.setState({ status: frozen ? 'paused' : 'running' });
  await noteState(context, container);
  publishContainerEvent(context, container, frozen ? 'pause' : 'unpause');
}

/** Whether anything of it still lives, whatever the record says. */
export async function hasProcesses(context: ContainerContext, id: string): Promise<boolean> {
  return (await cgroupProcesses(cgroupPath(context.instance, id))).length > 0;
}
