import { TscError } from '../../core/index.ts';
import { readLogs } from '../logs/index.ts';
import type { AttachOptions, AttachSession } from './container-service.ts';
import { type ContainerContext, logCut, pathsOf, publishContainerEvent } from './context.ts';
import { encodeOutput } from './frames.ts';
import type { LiveContainer } from './live-container.ts';
import { createSession, type PendingSession } from './session.ts';

/** Joins a container's streams; before its start the session waits for the process. */
export async function attachContainer(
  context: ContainerContext,
  container: LiveContainer,
  options: AttachOptions,
): Promise<AttachSession> {
  const { tty } = container.record.config;
  const { status } = container.state;
  if (status === 'paused')
    throw new TscError('container/conflict', `container ${container.record.name} is paused`, {
      hint: 'unpause it first',
    });
  const pending = createSession({
    ...options,
    stdin: options.stdin && container.record.config.openStdin,
    tty,
    onCut: () => logCut(context, container),
  });
  if (options.logs) await replay(context, container, options, pending);
  if (!options.stream) {
    pending.abandon();
    return pending.session;
  }
  publishContainerEvent(context, container, 'attach');
  const { run } = container;
  if (run) await pending.bind(run.monitor);
  else waitForStart(container, pending);
  return pending.session;
}

function waitForStart(container: LiveContainer, pending: PendingSession): void {
  container.pending.add(pending);
  void pending.session.done.then(() => container.pending.delete(pending));
}

async function replay(
  context: ContainerContext,
  container: LiveContainer,
  options: AttachOptions,
  pending: PendingSession,
): Promise<void> {
  const source = { path: pathsOf(context, container.id).log, finished: Promise.resolve() };
  for await (const frame of readLogs(source, { stdout: options.stdout, stderr: options.stderr }))
    pending.prepend(pending.session.tty ? frame.data : encodeOutput(frame.stream, frame.data));
}
