import { TscError } from '../../core/index.ts';
import type { PortRequest, Protocol } from '../network/index.ts';
import type { ContainerConfig, HostConfig } from './container.ts';
import type { ContainerContext } from './context.ts';
import type { LiveContainer } from './live-container.ts';

/** Names the running container (name or id) whose published ports lead to this one as soon as it is ready. */
const REPLACES_LABEL = 'dev.tscompose.replaces';

/** Id of the container whose ports this one takes over; undefined when it names none, or one that is not running any more. */
export function replacedBy({ table }: Pick<ContainerContext, 'table'>, container: LiveContainer): string | undefined {
  const other = table.find(container.record.config.labels[REPLACES_LABEL] ?? '');
  return other && other !== container && other.isRunning ? other.id : undefined;
}

/** What to publish: the bindings, and with publish-all every exposed port that has none. Throws `container/invalid`. */
export function portRequests(config: ContainerConfig, host: HostConfig): PortRequest[] {
  const requests = host.portBindings.map((binding): PortRequest => {
    const hostPort = parseHostPort(binding.hostPort);
    return {
      ...parsePort(binding.containerPort),
      ...(binding.hostAddress !== '' && { hostIp: binding.hostAddress }),
      ...(hostPort !== undefined && { hostPort }),
    };
  });
  if (!host.publishAllPorts) return requests;
  const bound = new Set(requests.map((request) => `${request.containerPort}/${request.protocol}`));
  return [...requests, ...config.exposedPorts.filter((port) => !bound.has(port)).flatMap(expandPort)];
}

/** `80/tcp`, `80`. */
export function parsePort(text: string): { readonly containerPort: number; readonly protocol: Protocol } {
  const match = /^(\d{1,5})(?:\/(\w+))?$/.exec(text);
  const port = Number(match?.[1] ?? 0);
  if (port < 1 || port > 65_535)
    throw new TscError('container/invalid', `invalid container port ${JSON.stringify(text)}`);
  const protocol = (match?.[2] ?? 'tcp').toLowerCase();
  if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp')
    throw new TscError('container/invalid', `${JSON.stringify(text)}: the protocol of a port is tcp, udp or sctp`);
  return { containerPort: port, protocol };
}

function expandPort(text: string): PortRequest[] {
  const match = /^(\d{1,5})-(\d{1,5})(\/\w+)?$/.exec(text);
  if (!match) return [parsePort(text)];
  const [first, last] = [Number(match[1]), Number(match[2])];
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) =>
    parsePort(`${first + index}${match[3] ?? ''}`),
  );
}

function parseHostPort(text: string): PortRequest['hostPort'] {
  if (text === '' || text === '0') return undefined;
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1] ?? 0);
  const last = Number(match?.[2] ?? first);
  if (first < 1 || last < first || last > 65_535)
    throw new TscError('container/invalid', `invalid host port ${JSON.stringify(text)}`);
  return first === last ? first : { first, last };
}
