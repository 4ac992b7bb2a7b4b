import { TscError } from '../../core/index.ts';
import type { NamespaceChoice } from '../runtime/index.ts';
import type { ContainerRecord, HostConfig } from './container.ts';
import type { ContainerContext } from './context.ts';
import type { LiveContainer, Run } from './live-container.ts';

const JOIN = 'container:';

type Chosen = Readonly<Record<'pid' | 'ipc' | 'uts' | 'cgroup', NamespaceChoice>>;

/** The namespaces of a container apart from its network. A namespace of another container needs that one to run. */
export function chooseNamespaces(context: ContainerContext, record: ContainerRecord): Chosen {
  const { host } = record;
  return {
    pid: choose(context, host.pidMode, 'pid'),
    ipc: choose(context, ['private', 'shareable', 'none'].includes(host.ipcMode) ? '' : host.ipcMode, 'ipc'),
    uts: usesHostName(record) ? 'host' : 'new',
    cgroup: host.cgroupnsMode === 'host' ? 'host' : 'new',
  };
}

/** Whether the container has the host's name: it was asked for, or it is on the host's network and got no other. */
export function usesHostName({ host, config }: ContainerRecord): boolean {
  return host.utsMode === 'host' || (host.utsMode === '' && host.networkMode === 'host' && config.hostname === '');
}

function choose(context: ContainerContext, mode: string, type: 'pid' | 'ipc'): NamespaceChoice {
  if (mode === '') return 'new';
  if (mode === 'host') return 'host';
  const other = context.table.get(mode.slice(JOIN.length));
  if (!other.isRunning)
    throw new TscError(
      'container/conflict',
      `cannot join the ${type} namespace of container ${other.record.name}: it does not run`,
    );
  return { path: `/proc/${other.state.pid}/ns/${type}` };
}

/** A run whose namespace is joined by the number of its process. */
export interface JoinedRun {
  readonly container: LiveContainer;
  readonly run: Run | undefined;
}

/** The runs that `chooseNamespaces` is about to name by their pid. */
export function joinedRuns(context: ContainerContext, { host }: ContainerRecord): JoinedRun[] {
  const names = [host.pidMode, host.ipcMode].filter((mode) => mode.startsWith(JOIN));
  return names.map((mode) => {
    const container = context.table.get(mode.slice(JOIN.length));
    return { container, run: container.run };
  });
}

/**
 * Between the choice and the moment the runtime opened the namespace the other container may have ended, and its pid may have
 * become a stranger's, on the host. When it still runs now, it did so then.
 */
export async function requireJoined(joined: readonly JoinedRun[]): Promise<void> {
  for (const { container, run } of joined) {
    if (run !== undefined && container.run === run && (await run.monitor.isRunning())) continue;
    throw new TscError(
      'container/conflict',
      `container ${container.record.name} ended while its namespace was joined`,
      {
        hint: 'start it again first',
      },
    );
  }
}

/** Checks the modes' spelling at create. Throws `container/invalid`, `container/unsupported`. */
export function checkModes(host: HostConfig): void {
  const wrong = (what: string, value: string) =>
    new TscError('container/invalid', `invalid ${what} mode ${JSON.stringify(value)}`);
  const joins = (value: string) => /^container:./.test(value);
  if (host.pidMode !== '' && host.pidMode !== 'host' && !joins(host.pidMode)) throw wrong('pid', host.pidMode);
  if (!['private', 'shareable', 'none', 'host'].includes(host.ipcMode) && !joins(host.ipcMode))
    throw wrong('ipc', host.ipcMode);
  if (!['', 'host'].includes(host.utsMode)) throw wrong('uts', host.utsMode);
  if (!['private', 'host'].includes(host.cgroupnsMode)) throw wrong('cgroup namespace', host.cgroupnsMode);
  if (!['', 'host'].includes(host.usernsMode))
    throw new TscError('container/unsupported', `user namespace mode ${host.usernsMode} is not supported`);
}
