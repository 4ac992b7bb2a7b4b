import type { ContainerSummary, PortMapping } from '../../client/index.ts';
import type { ObservedContainer } from '../../stack/index.ts';
import { formatTable } from './table.ts';

/** The table of `ps`. */
export function formatContainers(containers: readonly ObservedContainer[], now: number): string {
  return formatTable(
    ['NAME', 'IMAGE', 'COMMAND', 'SERVICE', 'CREATED', 'STATUS', 'PORTS'],
    containers.map((item) => [
      item.name,
      item.image,
      shorten(JSON.stringify(item.command), 22),
      item.service,
      formatAge(now / 1000 - item.created),
      item.status,
      formatPorts(item.ports),
    ]),
  );
}

/** One line of `ps --format json`, with the keys docker compose gives. */
export function toContainerJson(item: ObservedContainer, project: string, now: number): Record<string, unknown> {
  return {
    Command: JSON.stringify(item.command),
    CreatedAt: new Date(item.created * 1000).toISOString(),
    ExitCode: exitCodeIn(item),
    Health: item.health === 'none' ? '' : item.health,
    ID: item.id.slice(0, 12),
    Image: item.image,
    Labels: Object.entries(item.labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
    LocalVolumes: String(item.mounts.filter(({ type }) => type === 'volume').length),
    Mounts: item.mounts.map(({ name, source }) => name ?? source).join(','),
    Name: item.name,
    Names: item.name,
    Networks: Object.keys(item.networks).join(','),
    Ports: formatPorts(item.ports),
    Project: project,
    Publishers: item.ports.map((port) => ({
      URL: port.hostAddress ?? '',
      TargetPort: port.containerPort,
      PublishedPort: port.hostPort ?? 0,
      Protocol: port.protocol,
    })),
    RunningFor: formatAge(now / 1000 - item.created),
    Service: item.service,
    Size: '0B',
    State: item.state,
    Status: item.status,
  };
}

/** `0.0.0.0:8080->80/tcp, 443/tcp` */
export function formatPorts(ports: readonly PortMapping[]): string {
  return ports
    .map((port) => {
      const inner = `${port.containerPort}/${port.protocol}`;
      if (port.hostPort === undefined) return inner;
      const address = port.hostAddress?.includes(':') ? `[${port.hostAddress}]` : (port.hostAddress ?? '');
      return `${address}:${port.hostPort}->${inner}`;
    })
    .join(', ');
}

/** The list call carries the code in its words only: `Exited (3) 2 minutes ago`. */
function exitCodeIn(item: Pick<ContainerSummary, 'state' | 'status'>): number {
  return item.state === 'exited' ? Number(/\((\d+)\)/.exec(item.status)?.[1] ?? 0) : 0;
}

const AGES: readonly (readonly [seconds: number, unit: string])[] = [
  [31_536_000, 'year'],
  [2_592_000, 'month'],
  [604_800, 'week'],
  [86_400, 'day'],
  [3600, 'hour'],
  [60, 'minute'],
  [1, 'second'],
];

/** `3 minutes ago` */
export function formatAge(seconds: number): string {
  const [size, unit] = AGES.find(([limit]) => seconds >= limit) ?? [1, 'second'];
  const count = Math.max(0, Math.floor(seconds / size));
  return count === 0 ? 'Less than a second ago' : `${count} ${unit}${count === 1 ? '' : 's'} ago`;
}

function shorten(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit - 2)}…"`;
}
