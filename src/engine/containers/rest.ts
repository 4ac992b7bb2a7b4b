import { cgroupProcesses, listDirectory, readTextIfExists } from '../../host/index.ts';
import type { RestPatience, RestState } from './container-service.ts';
import { type ContainerContext, cgroupPath } from './context.ts';
import type { LiveContainer } from './live-container.ts';

/** Shortest pause between two looks. */
const PAUSE_MS = 8;

/**
 * Resolves with `rest` when all threads of the container have been found waiting for `quietMs` (its start-up is over, or waits
 * for something outside), with `ended` when its process has ended, with `busy` after `mostMs`. This is how a caller learns
 * of a service that ends right after its start without waiting a fixed time for all that do not.
 */
export async function awaitRest(
  context: ContainerContext,
  container: LiveContainer,
  { quietMs, mostMs }: RestPatience,
): Promise<RestState> {
  const { clock } = context;
  const { run } = container;
  const deadline = clock.monotonic() + mostMs;
  const group = cgroupPath(context.instance, container.id);
  const pause = Math.max(PAUSE_MS, quietMs / 10);
  let since = Number.POSITIVE_INFINITY;
  while (run !== undefined && container.run === run) {
    const now = clock.monotonic();
    // Twice at least: between two looks a thread may have run.
    since = (await allWait(group, run.pid)) ? Math.min(since, now) : Number.POSITIVE_INFINITY;
    if (now - since >= Math.max(quietMs, PAUSE_MS)) break;
    if (now >= deadline) return 'busy';
    await clock.sleep(pause);
  }
  return run !== undefined && container.run === run ? 'rest' : 'ended';
}

/** Whether no thread of a cgroup runs, is about to, or waits for the disk. An empty group is one that is ending. */
async function allWait(group: string, main: number): Promise<boolean> {
  const pids = await cgroupProcesses(group);
  if (pids.length === 0) return false;
  // A child that its parent does not reap is at rest; the main process in that state is the end.
  const calm = await Promise.all(pids.map((pid) => threadsWait(pid, pid === main ? 'ST' : 'STZ')));
  return calm.every(Boolean);
}

async function threadsWait(pid: number, waiting: string): Promise<boolean> {
  const tasks = `/proc/${pid}/task`;
  const threads = await listDirectory(tasks).catch(() => []);
  for (const thread of threads) {
    const stat = (await readTextIfExists(`${tasks}/${thread}/stat`).catch(() => undefined)) ?? '';
    // The name in parentheses may contain anything: the state is the first field after it.
    if (!waiting.includes(stat.charAt(stat.lastIndexOf(')') + 2) || '?')) return false;
  }
  return threads.length > 0;
}
