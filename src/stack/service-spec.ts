import type { ContainerSpec, EndpointSpec, MountSpec } from '../client/index.ts';
import type { Mount, Project, Service } from '../compose/index.ts';
import { TscError } from '../core/index.ts';
import { containerLabels } from './labels.ts';
import { refuseUncarried } from './refuse-uncarried.ts';
import { logging, probe, resources, restartRule, security } from './service-limits.ts';

/** What one replica of a service is created from; `containerOf` names the container that stands for another service. */
export interface ReplicaInput {
  readonly project: Project;
  readonly service: Service;
  readonly number: number;
  /** First container of a service, for shared namespaces. */
  readonly containerOf: (service: string) => string;
}

/** Name of a replica: `container_name`, else `<project>-<service>-<number>`. */
export function replicaName(project: string, service: Service, number: number): string {
  return service.containerName ?? `${project}-${service.name}-${number}`;
}

/** Image a service runs: its `image`, else the name its build gets. */
export function imageOf(project: string, service: Service): string {
  return service.image ?? `${project}-${service.name}`;
}

/** Number of replicas wanted. */
export function replicasOf(service: Service): number {
  return service.scale ?? service.deploy?.replicas ?? 1;
}

/** The spec of one replica. Pure. Throws `stack/unsupported` for what the file asks and no engine call carries out. */
export function toContainerSpec(input: ReplicaInput): ContainerSpec {
  const { project, service, number } = input;
  refuseUncarried(service);
  const name = replicaName(project.name, service, number);
  return {
    name,
    image: imageOf(project.name, service),
    ...defined('platform', service.platform),
    ...defined('command', service.command ?? undefined),
    ...defined('entrypoint', service.entrypoint ?? undefined),
    environment: Object.fromEntries(service.environment),
    labels: containerLabels(project, service, number, false),
    ...processSettings(service),
    exposed: service.expose.flatMap(expandPorts),
    ports: service.ports.map((port) => ({
      containerPort: port.target,
      protocol: port.protocol,
      ...(port.hostIp && { hostAddress: port.hostIp }),
      ...(port.published && { hostPort: port.published }),
    })),
    mounts: service.volumes.map((mount) => toMount(project, mount)),
    ...(service.tmpfs.length > 0 && { tmpfs: Object.fromEntries(service.tmpfs.map(splitTmpfs)) }),
    ...(service.volumesFrom.length > 0 && {
      volumesFrom: service.volumesFrom.map((text) => toVolumesFrom(text, input)),
    }),
    ...networking(input, name),
    ...probe(service),
    resources: resources(service),
    security: security(service),
    ...restartRule(service),
    ...logging(service),
  };
}

function processSettings(service: Service): Partial<ContainerSpec> {
  return {
    ...defined('user', service.user),
    ...defined('workingDir', service.workingDir),
    ...defined('hostname', service.hostname),
    ...defined('domainname', service.domainname),
    ...defined('init', service.init),
    ...defined('stopSignal', service.stopSignal),
    ...(service.stopGracePeriod !== undefined && { stopTimeout: Math.ceil(service.stopGracePeriod / 1e9) }),
    ...(service.tty && { tty: true }),
    ...(service.stdinOpen && { openStdin: true }),
    ...defined('runtime', service.runtime),
    ...(service.sysctls.size > 0 && { sysctls: Object.fromEntries(service.sysctls) }),
  };
}

const PREDEFINED: readonly string[] = ['bridge', 'host', 'none'];

function networking(input: ReplicaInput, name: string): Pick<ContainerSpec, 'endpoints'> & Partial<ContainerSpec> {
  const { project, service } = input;
  const links = linksOf(input);
  const endpoints = [...service.networks]
    .sort(([, a], [, b]) => (b?.priority ?? 0) - (a?.priority ?? 0))
    .map(([key, settings]) => {
      const network = project.networks.get(key);
      if (!network) throw new TscError('stack/bug', `service ${service.name}: network ${key} is not declared`);
      const endpoint: EndpointSpec = {
        network: network.name,
        // Those that an engine always has know no aliases and refuse them.
        aliases: [
          ...new Set([
            ...(PREDEFINED.includes(network.name) ? [] : [name, service.name]),
            ...(settings?.aliases ?? []),
          ]),
        ],
        ...defined('ipv4Address', settings?.ipv4Address),
        ...defined('ipv6Address', settings?.ipv6Address),
        ...defined('macAddress', settings?.macAddress ?? service.macAddress),
        ...defined('gatewayPriority', settings?.gwPriority),
        ...defined('interfaceName', settings?.interfaceName),
        ...(settings && settings.linkLocalIps.length > 0 && { linkLocalAddresses: settings.linkLocalIps }),
        ...nonEmpty('links', links),
        ...(settings && settings.driverOpts.size > 0 && { driverOptions: Object.fromEntries(settings.driverOpts) }),
      };
      return endpoint;
    });
  return {
    endpoints,
    ...(endpoints.length === 0 && nonEmpty('links', links)),
    ...defined('networkMode', namespaceOf(service.networkMode, input) ?? endpoints[0]?.network),
    ...defined('pidMode', namespaceOf(service.pid, input)),
    ...defined('ipcMode', namespaceOf(service.ipc, input)),
    ...defined('utsMode', service.uts),
    ...nonEmpty('dns', service.dns),
    ...nonEmpty('dnsSearch', service.dnsSearch),
    ...nonEmpty('dnsOptions', service.dnsOpt),
    ...(service.extraHosts.size > 0 && {
      extraHosts: [...service.extraHosts].flatMap(([host, addresses]) =>
        addresses.map((address) => `${host}:${address}`),
      ),
    }),
  };
}

/** `container:alias` of `links`, for every replica of the service meant, and of `external_links`. */
function linksOf({ project, service }: ReplicaInput): readonly string[] {
  const split = (text: string): readonly [string, string] => {
    const [target = '', alias = target] = text.split(':');
    return [target, alias];
  };
  const own = service.links.map(split).flatMap(([name, alias]) => {
    const target = project.services.get(name);
    if (!target) throw new TscError('stack/not-found', `service ${service.name}: links: no such service: ${name}`);
    return Array.from({ length: replicasOf(target) }, (_, index) => {
      const replica = replicaName(project.name, target, index + 1);
      return [alias, `${name}-${index + 1}`, replica].map((text) => `${replica}:${text}`);
    }).flat();
  });
  return [...own, ...service.externalLinks.map((text) => split(text).join(':'))];
}

/** `service:db` becomes `container:<name of db's first container>`; everything else is passed on. */
function namespaceOf(mode: string | undefined, input: ReplicaInput): string | undefined {
  if (!mode?.startsWith('service:')) return mode;
  return `container:${input.containerOf(mode.slice('service:'.length))}`;
}

function toVolumesFrom(text: string, input: ReplicaInput): string {
  if (text.startsWith('container:')) return text.slice('container:'.length);
  const [service = '', ...mode] = text.split(':');
  return [input.containerOf(service), ...mode].join(':');
}

function toMount(project: Project, mount: Mount): MountSpec {
  if (mount.type !== 'bind' && mount.type !== 'volume' && mount.type !== 'tmpfs') {
    throw new TscError('stack/unsupported', `mount of type ${mount.type} at ${mount.target} is not supported`, {
      hint: 'use bind, volume or tmpfs',
    });
  }
  const source = mount.type === 'volume' && mount.source ? project.volumes.get(mount.source)?.name : mount.source;
  return {
    type: mount.type,
    ...defined('source', source),
    target: mount.target,
    ...(mount.readOnly && { readOnly: true }),
    ...(mount.bind?.createHostPath && { createHostPath: true }),
    ...defined('propagation', mount.bind?.propagation),
    ...defined('relabel', mount.bind?.selinux),
    ...(mount.volume?.nocopy && { noCopy: true }),
    ...defined('subpath', mount.volume?.subpath),
    ...defined('tmpfsSize', mount.tmpfs?.size),
    ...defined('tmpfsMode', mount.tmpfs?.mode),
  };
}

/** `/run:size=64m,mode=1777`; the options are the engine's to check. */
function splitTmpfs(text: string): readonly [string, string] {
  const [target = '', ...options] = text.split(':');
  return [target, options.join(':')];
}

/** `80`, `90-92/udp` as the engine's `port/protocol` keys. */
function expandPorts(text: string): string[] {
  const [range = '', protocol = 'tcp'] = text.split('/');
  const [first = 0, last = first] = range.split('-').map(Number);
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${protocol}`);
}

function defined<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { [P in K]?: V };
}

function nonEmpty<K extends string>(key: K, value: readonly string[]): { [P in K]?: readonly string[] } {
  return (value.length === 0 ? {} : { [key]: value }) as { [P in K]?: readonly string[] };
}
