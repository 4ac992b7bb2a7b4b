import { describeError } from '../../core/index.ts';
import { timestamp } from '../../host/index.ts';
import type { ExitRecord } from '../runtime/index.ts';
import { type ContainerContext, discardProcesses, publishContainerEvent, saveState } from './context.ts';
import type { LiveContainer, Run } from './live-container.ts';
import { ownNetwork } from './network-owner.ts';
import type { ProcessMonitor } from './process-monitor.ts';

import { removeContainer } from './remove.ts';

const CONTAINER = 'container:'.length;

/** Follows a process from its start to its recorded end. */
export function watchRun(context: ContainerContext, container: LiveContainer, monitor: ProcessMonitor): Run {
  const run: Run = {
    monitor,
    pid: monitor.process.pid,
    startedMonotonic: context.clock.monotonic(),
    failed: false,
    ended: monitor.exited.then((record) => settle(record)),
  };
  const settle = async (record: ExitRecord | undefined) => {
    monitor.close();
    if (context.closing.aborted) return;
    try {
      // Under the container's lock: a start that is still under way finishes first.
      await context.lock.run(container.id, () => recordExit(context, container, run, record));
    } catch (error) {
      context.logger.error(
        { container: container.id, error: describeError(error) },
        'cannot record the exit of a container',
      );
    }
  };
  container.run = run;
  monitor.onLogLost((bytes) => warnOfLoss(context, container, bytes));
  monitor.onOom(() => {
    container.setState({ oomKilled: true });
    publishContainerEvent(context, container, 'oom');
  });
  return run;
}

function warnOfLoss(context: ContainerContext, container: LiveContainer, bytes: number): void {
  context.logger.warn(
    { container: container.id, name: container.record.name, bytes },
    'lines of a container are missing in its log: they could not be written (is the disk full?)',
  );
}

/** Takes over what a process left: state, network, waiters, events; then restarts or removes. The caller holds the lock. */
export async function recordExit(
  context: ContainerContext,
  container: LiveContainer,
  run: Run | undefined,
  record: ExitRecord | undefined,
): Promise<void> {
  if (run && container.run !== run) return;
  container.run = undefined;
  container.health?.stop();
  container.health = undefined;
  const lost = record === undefined;
  // Without its monitor nobody reads the process's output or knows its end: it must not go on.
  if (lost) await discardProcesses(context, container.id);
  if (record && record.logLost > 0) warnOfLoss(context, container, record.logLost);
  const exitCode = record?.exitCode ?? 255;
  const finishedAt = record?.finishedAt ?? timestamp(context.clock);
  container.setState({
    status: 'exited',
    pid: 0,
    exitCode,
    finishedAt,
    oomKilled: container.state.oomKilled || (record?.oomKilled ?? false),
    error: lost ? 'monitor lost' : (record?.error ?? ''),
  });
  // The wall clock may jump; it is asked only for a run whose start this daemon did not see.
  const ranMs = run
    ? context.clock.monotonic() - run.startedMonotonic
    : Math.max(0, Date.parse(finishedAt) - Date.parse(container.state.startedAt));
  const decision = context.closing.aborted
    ? { restart: false, delayMs: 0 }
    : container.backoff.decide(container.record.host.restartPolicy, {
        exitCode,
        stoppedByUser: container.record.stoppedByUser || container.removing || container.removeAtEnd !== undefined,
        ranMs,
      });
  if (decision.restart) container.setState({ status: 'restarting', restartCount: container.backoff.count });
  await leaveNetwork(context, container);
  // A full disk must not keep waiters from hearing of the end; the monitor's record is still there for the next daemon.
  await saveState(context, container).catch((error) =>
    context.logger.error(
      { container: container.id, error: describeError(error) },
      'cannot save the state of a container',
    ),
  );
  publishContainerEvent(context, container, 'die', {
    exitCode: String(exitCode),
    execDuration: String(Math.floor(ranMs / 1000)),
  });
  container.notifyStopped();
  if (decision.restart) scheduleRestart(context, container, decision.delayMs);
  else if (container.removeAtEnd && !container.removing)
    await removeContainer(context, container, container.removeAtEnd);
  else if (container.record.host.autoRemove && !container.removing && !container.restarting) {
    await removeContainer(context, container, { volumes: true });
  }
}

async function leaveNetwork(context: ContainerContext, container: LiveContainer): Promise<void> {
  container.sandbox = undefined;
  try {
    if (ownNetwork(container)) await context.networks.withdraw(container.id);
    const owner = ownNetwork(container)
      ? container
      : context.table.find(container.record.host.networkMode.slice(CONTAINER));
    if (!owner) return;
    // The namespace outlives its owner's process while others are in it, and goes with the last of them.
    const shared = context.table.sharing(owner.id).some((other) => other.isRunning);
    if (!shared && !owner.isRunning) await context.networks.closeSandbox(owner.id);
  } catch (error) {
    context.logger.warn(
      { container: container.id, error: describeError(error) },
      'cannot give a network namespace back',
    );
  }
}

/** Starts again after a while, unless somebody stops, starts or removes it meanwhile. */
export function scheduleRestart(context: ContainerContext, container: LiveContainer, delayMs: number): void {
  const timer = new AbortController();
  container.restartTimer = timer;
  const again = async () => {
    try {
      await context.clock.sleep(delayMs, AbortSignal.any([timer.signal, context.closing]));
    } catch {
      return;
    }
    await context.lock.run(container.id, async () => {
      if (container.state.status !== 'restarting' || timer.signal.aborted) return;
      await context.startAgain(container).catch((error) => retryStart(context, container, error));
    });
  };
  void again();
}

/** A restart that cannot start counts as a failed run. */
function retryStart(context: ContainerContext, container: LiveContainer, error: unknown): void {
  context.logger.warn({ container: container.id, error: describeError(error) }, 'cannot restart a container');
  const { exitCode } = container.state;
  const decision = container.backoff.decide(container.record.host.restartPolicy, {
    exitCode,
    stoppedByUser: false,
    ranMs: 0,
  });
  if (!decision.restart) return;
  container.setState({ status: 'restarting', restartCount: container.backoff.count });
  scheduleRestart(context, container, decision.delayMs);
}
