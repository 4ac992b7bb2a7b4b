import { TscError } from '../../core/index.ts';
import type { ContainerRecord } from './container.ts';
import type { ContainerContext } from './context.ts';

/** What a link leads to. */
export interface LinkTarget {
  /** Name of the container that has the link, and the link's own. */
  readonly owner: string;
  readonly alias: string;
  readonly address: string;
  /** `5432/tcp`. */
  readonly exposedPorts: readonly string[];
  /** The environment of the other container. */
  readonly env: readonly string[];
}

/** Variables that every process has of its own. */
const NOT_PASSED = ['HOME', 'PATH'];

interface Port {
  readonly number: number;
  readonly protocol: string;
}

function readPorts(texts: readonly string[]): readonly Port[] {
  return texts
    .map((text) => {
      const [number = '', protocol = 'tcp'] = text.split('/');
      return { number: Number(number), protocol };
    })
    .sort((a, b) => (a.protocol === b.protocol ? a.number - b.number : a.protocol < b.protocol ? -1 : 1));
}

/** First and last of ports that follow each other; single ones are none. */
function rangesOf(ports: readonly Port[]): readonly (readonly [Port, Port])[] {
  const follows = (port: Port, before: Port | undefined) =>
    before?.protocol === port.protocol && before.number + 1 === port.number;
  return ports.flatMap((from, index) => {
    if (follows(from, ports[index - 1])) return [];
    let last = index;
    for (let next = ports[last + 1]; next && follows(next, ports[last]); next = ports[last + 1]) last += 1;
    const to = ports[last];
    return to && last > index ? [[from, to] as const] : [];
  });
}

/** The variables by which old images find a linked container: where it listens, and what it was configured with. Pure. */
export function linkVariables({ owner, alias, address, exposedPorts, env }: LinkTarget): readonly string[] {
  const prefix = alias.toUpperCase().replaceAll('-', '_');
  const ports = readPorts(exposedPorts);
  const url = ({ number, protocol }: Port) => `${protocol}://${address}:${number}`;
  const [first] = ports;
  const each = ports.flatMap((port) => {
    const name = `${prefix}_PORT_${port.number}_${port.protocol.toUpperCase()}`;
    return [
      `${name}=${url(port)}`,
      `${name}_ADDR=${address}`,
      `${name}_PORT=${port.number}`,
      `${name}_PROTO=${port.protocol}`,
    ];
  });
  const ranges = rangesOf(ports).flatMap(([from, to]) => {
    const name = `${prefix}_PORT_${from.number}_${from.protocol.toUpperCase()}`;
    return [
      `${name}_START=${url(from)}`,
      `${name}_PORT_START=${from.number}`,
      `${name}_END=${url(to)}`,
      `${name}_PORT_END=${to.number}`,
    ];
  });
  const passed = env.filter((entry) => entry.includes('=') && !NOT_PASSED.includes(entry.split('=', 1)[0] ?? ''));
  return [
    ...(first ? [`${prefix}_PORT=${url(first)}`] : []),
    ...each,
    ...ranges,
    `${prefix}_NAME=/${owner}/${alias}`,
    ...passed.map((entry) => `${prefix}_ENV_${entry}`),
  ];
}

type LinkContext = Pick<ContainerContext, 'networks' | 'table'>;

function onDefault({ networks }: LinkContext, id: ContainerRecord['id']) {
  return networks.endpoints(id).find(({ networkName }) => networkName === 'bridge');
}

function linksOf({ host }: ContainerRecord): readonly { readonly target: string; readonly alias: string }[] {
  return host.links.map((text) => {
    const [target = '', alias = target] = text.split(':').map((part) => part.replace(/^.*\//, ''));
    return { target, alias };
  });
}

/**
 * Refuses to start a container whose links on the default network lead nowhere, as its variables could not be filled in; networks
 * with names need nobody there. A start by restart policy is not asked: after a reboot all of them come in their own order.
 */
export function checkLinks(context: LinkContext, record: ContainerRecord): void {
  if (record.host.links.length === 0 || !onDefault(context, record.id)) return;
  for (const { target, alias } of linksOf(record)) {
    const what = `cannot link container ${record.name} to ${target} (as ${alias})`;
    const other = context.table.find(target);
    if (!other?.isRunning)
      throw new TscError('container/conflict', `${what}: it is ${other ? 'a non running container' : 'not there'}`, {
        hint: `${other ? 'start' : 'make'} ${target} first`,
      });
    if (!onDefault(context, other.id))
      throw new TscError('container/invalid', `${what}: it is not attached to the default bridge network`, {
        hint: 'put both on a network of your own, where containers have names without links',
      });
  }
}

/**
 * The environment of a container with the variables of its links to running containers on the default network, as in Docker up
 * to 28; networks with names need none. What the container is given itself wins.
 */
export function environmentWithLinks(context: LinkContext, record: ContainerRecord): readonly string[] {
  const own = record.config.env;
  if (record.host.links.length === 0 || !onDefault(context, record.id)) return own;
  const keyOf = (entry: string) => entry.split('=', 1)[0];
  const keys = new Set(own.map(keyOf));
  const linked = linksOf(record).flatMap(({ target, alias }) => {
    const other = context.table.find(target);
    const endpoint = other?.isRunning ? onDefault(context, other.id) : undefined;
    if (!other || !endpoint) return [];
    const { exposedPorts, env } = other.record.config;
    return linkVariables({ owner: record.name, alias, address: endpoint.address, exposedPorts, env });
  });
  return [...linked.filter((entry) => !keys.has(keyOf(entry))), ...own];
}
