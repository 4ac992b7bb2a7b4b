import { TscError } from '../../core/index.ts';
import { cgroupProcesses, readTextIfExists } from '../../host/index.ts';
import type { ProcessTable } from './container-service.ts';
import { type ContainerContext, cgroupPath } from './context.ts';
import type { LiveContainer } from './live-container.ts';

const TITLES = ['UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD'];
const TICKS_PER_SECOND = 100;

/** The processes of a container, read from the host's procfs by cgroup: nothing inside is run. */
export async function topContainer(
  context: ContainerContext,
  container: LiveContainer,
  args: readonly string[],
): Promise<ProcessTable> {
  if (!container.isRunning)
    throw new TscError('container/conflict', `container ${container.record.name} is not running`);
  const wanted = args.join(' ');
  if (wanted !== '' && !/^-?(ef|aux|eaf)$/.test(wanted)) {
    throw new TscError('container/unsupported', `ps options ${JSON.stringify(wanted)} are not supported`, {
      hint: 'leave them out: the table is that of ps -ef',
    });
  }
  const pids = (await cgroupProcesses(cgroupPath(context.instance, container.id))).sort((a, b) => a - b);
  const rows = await Promise.all(pids.map((pid) => describeProcess(pid, context.clock.now())));
  return { titles: TITLES, processes: rows.filter((row) => row !== undefined) };
}

async function describeProcess(pid: number, now: number): Promise<string[] | undefined> {
  const read = (name: string) => readTextIfExists(`/proc/${pid}/${name}`).catch(() => undefined);
  const [stat, status, commandLine, uptime] = await Promise.all([
    read('stat'),
    read('status'),
    read('cmdline'),
    readTextIfExists('/proc/uptime'),
  ]);
  if (stat === undefined || status === undefined) return undefined;
  // The name in parentheses may contain spaces and parentheses itself.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
  const number = (index: number) => Number(fields[index] ?? 0);
  const used = (number(11) + number(12)) / TICKS_PER_SECOND;
  const age = Number((uptime ?? '0').split(' ')[0]) - number(19) / TICKS_PER_SECOND;
  const command = (commandLine ?? '').replace(/\0+$/, '').replaceAll('\0', ' ');
  return [
    /^Uid:\s+(\d+)/m.exec(status)?.[1] ?? '',
    String(pid),
    fields[1] ?? '',
    String(Math.min(99, Math.floor((100 * used) / Math.max(age, 1)))),
    new Date(now - age * 1000).toISOString().slice(11, 16),
    number(4) === 0 ? '?' : `pts/${number(4) & 0xff}`,
    new Date(used * 1000).toISOString().slice(11, 19),
    command === '' ? `[${name}]` : command,
  ];
}
