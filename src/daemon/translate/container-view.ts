import type {
  ContainerHealth,
  ContainerInspect,
  ContainerState,
  ContainerSummary,
  EndpointSettings,
  MountPoint,
  NetworkSettings,
  PortMap,
  PortSummary,
  ContainerConfig as WireConfig,
} from '../../api/index.ts';
import type { ContainerDetails, HealthState } from '../../engine/index.ts';
import { hostConfigView } from './host-config-view.ts';
import { humanDuration } from './human-duration.ts';
import { present } from './present.ts';

/** Endpoint ids by network id, asked from the network room. */
export type EndpointIds = (containerId: string) => ReadonlyMap<string, string>;

/** What inspect answers. */
export function containerInspect(details: ContainerDetails, endpointIds: EndpointIds): ContainerInspect {
  const { host, config } = details;
  return {
    Id: details.id,
    Created: details.created,
    Path: details.path,
    Args: details.args,
    State: stateView(details),
    Image: details.imageId,
    ResolvConfPath: details.resolvConfPath,
    HostnamePath: details.hostnamePath,
    HostsPath: details.hostsPath,
    LogPath: details.logPath,
    Name: `/${details.name}`,
    RestartCount: details.state.restartCount,
    Driver: 'overlay2',
    Platform: 'linux',
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: details.apparmorProfile,
    ExecIDs: details.execIds.length === 0 ? null : details.execIds,
    HostConfig: hostConfigView(host, details.name),
    GraphDriver: {
      Name: 'overlay2',
      Data: {
        LowerDir: details.lowerDirectories.join(':'),
        MergedDir: '',
        UpperDir: details.upperDirectory,
        WorkDir: details.workDirectory,
      },
    },
    ...present({ SizeRw: details.sizeRw, SizeRootFs: details.sizeRootFs }),
    Mounts: details.mounts.map(mountView),
    Config: configView(config, details.hostname),
    NetworkSettings: networkSettings(details, endpointIds),
  };
}

/** One entry of the list; `now` in milliseconds dates the status text. */
export function containerSummary(details: ContainerDetails, now: number, endpointIds: EndpointIds): ContainerSummary {
  return {
    Id: details.id,
    Names: [`/${details.name}`],
    Image: details.config.image,
    ImageID: details.imageId,
    Command: [details.path, ...details.args.map((arg) => (arg.includes(' ') ? `'${arg}'` : arg))].join(' '),
    Created: Math.floor(Date.parse(details.created) / 1000),
    Ports: portSummaries(details),
    ...present({ SizeRw: details.sizeRw, SizeRootFs: details.sizeRootFs }),
    Labels: details.config.labels,
    State: details.state.status,
    Status: statusText(details, now),
    HostConfig: { NetworkMode: details.host.networkMode, Annotations: details.host.annotations },
    NetworkSettings: { Networks: networksView(details, endpointIds) },
    Mounts: details.mounts.map(mountView),
  };
}

/** `Up 5 seconds (healthy)`, `Exited (1) 2 minutes ago`, `Created`. */
export function statusText(details: ContainerDetails, now: number): string {
  const { state } = details;
  const since = (time: string) => humanDuration(Math.max(0, now - Date.parse(time)));
  switch (state.status) {
    case 'running': {
      const health = healthText(state.health);
      return `Up ${since(state.startedAt)}${health === '' ? '' : ` (${health})`}`;
    }
    case 'paused':
      return `Up ${since(state.startedAt)} (Paused)`;
    case 'restarting':
      return `Restarting (${state.exitCode}) ${since(state.finishedAt)} ago`;
    case 'exited':
      return `Exited (${state.exitCode}) ${since(state.finishedAt)} ago`;
    case 'created':
      return 'Created';
    case 'removing':
      return 'Removal In Progress';
    case 'dead':
      return 'Dead';
    default:
      return state.status satisfies never;
  }
}

function healthText(health: HealthState | undefined): string {
  if (health === undefined || health.status === 'none') return '';
  return health.status === 'starting' ? 'health: starting' : health.status;
}

function stateView(details: ContainerDetails): ContainerState {
  const { state } = details;
  return {
    Status: state.status,
    // A paused and a restarting container count as running, as everywhere in the published API.
    Running: ['running', 'paused', 'restarting'].includes(state.status),
    Paused: state.status === 'paused',
    Restarting: state.status === 'restarting',
    OOMKilled: state.oomKilled,
    Dead: state.status === 'dead',
    Pid: state.pid,
    ExitCode: state.exitCode,
    Error: state.error,
    StartedAt: state.startedAt,
    FinishedAt: state.finishedAt,
    ...(state.health && { Health: healthView(state.health) }),
  };
}

function healthView(health: HealthState): ContainerHealth {
  return {
    Status: health.status,
    FailingStreak: health.failingStreak,
    Log: health.log.map((item) => ({
      Start: item.start,
      End: item.end,
      ExitCode: item.exitCode,
      Output: item.output,
    })),
  };
}

function configView(config: ContainerDetails['config'], hostname: string): WireConfig {
  const check = config.healthcheck;
  return {
    Hostname: hostname,
    Domainname: config.domainname,
    User: config.user,
    AttachStdin: config.attachStdin,
    AttachStdout: config.attachStdout,
    AttachStderr: config.attachStderr,
    ...(config.exposedPorts.length > 0 && { ExposedPorts: wireSet(config.exposedPorts) }),
    Tty: config.tty,
    OpenStdin: config.openStdin,
    StdinOnce: config.stdinOnce,
    Env: config.env,
    Cmd: config.command.length === 0 ? null : config.command,
    ...(check && {
      Healthcheck: present({
        Test: check.test,
        Interval: check.intervalNs,
        Timeout: check.timeoutNs,
        StartPeriod: check.startPeriodNs,
        StartInterval: check.startIntervalNs,
        Retries: check.retries,
      }),
    }),
    Image: config.image,
    Volumes: config.volumes.length === 0 ? null : wireSet(config.volumes),
    WorkingDir: config.workdir,
    Entrypoint: config.entrypoint.length === 0 ? null : config.entrypoint,
    ...(config.networkDisabled && { NetworkDisabled: true }),
    OnBuild: null,
    Labels: config.labels,
    ...present({ StopSignal: config.stopSignal, StopTimeout: config.stopTimeoutSeconds, Shell: config.shell }),
  };
}

/** A set as it travels. */
export function wireSet(keys: readonly string[]): Record<string, object> {
  return Object.fromEntries(keys.map((key) => [key, {}]));
}

function mountView(mount: ContainerDetails['mounts'][number]): MountPoint {
  return {
    Type: mount.type,
    ...present({ Name: mount.name }),
    Source: mount.source,
    Destination: mount.destination,
    ...present({ Driver: mount.driver }),
    Mode: mount.mode,
    RW: mount.readWrite,
    Propagation: mount.propagation,
  };
}

function networkSettings(details: ContainerDetails, endpointIds: EndpointIds): NetworkSettings {
  const networks = networksView(details, endpointIds);
  // Old clients read the address of the default network at the top.
  const top = networks['bridge'];
  return {
    Bridge: '',
    SandboxID: details.sandboxPath === '' ? '' : details.id,
    SandboxKey: details.sandboxPath,
    Ports: portMap(details),
    HairpinMode: false,
    LinkLocalIPv6Address: '',
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: top?.EndpointID ?? '',
    Gateway: top?.Gateway ?? '',
    GlobalIPv6Address: top?.GlobalIPv6Address ?? '',
    GlobalIPv6PrefixLen: top?.GlobalIPv6PrefixLen ?? 0,
    IPAddress: top?.IPAddress ?? '',
    IPPrefixLen: top?.IPPrefixLen ?? 0,
    IPv6Gateway: top?.IPv6Gateway ?? '',
    MacAddress: top?.MacAddress ?? '',
    Networks: networks,
  };
}

function networksView(details: ContainerDetails, endpointIds: EndpointIds): Record<string, EndpointSettings> {
  const ids = endpointIds(details.id);
  return Object.fromEntries(
    details.endpoints.map((endpoint) => [
      endpoint.network,
      {
        IPAMConfig:
          endpoint.spec.ipv4 || endpoint.spec.ipv6 || endpoint.spec.linkLocal
            ? present({
                IPv4Address: endpoint.spec.ipv4,
                IPv6Address: endpoint.spec.ipv6,
                LinkLocalIPs: endpoint.spec.linkLocal,
              })
            : null,
        Links: endpoint.spec.links.length === 0 ? null : endpoint.spec.links,
        Aliases: endpoint.spec.aliases.length === 0 ? null : endpoint.spec.aliases,
        MacAddress: endpoint.macAddress,
        DriverOpts: endpoint.spec.driverOptions ?? null,
        GwPriority: endpoint.spec.gatewayPriority ?? 0,
        NetworkID: endpoint.networkId,
        EndpointID: ids.get(endpoint.networkId) ?? '',
        Gateway: endpoint.gateway,
        IPAddress: endpoint.ipv4,
        IPPrefixLen: endpoint.ipv4PrefixLength,
        IPv6Gateway: endpoint.ipv6Gateway,
        GlobalIPv6Address: endpoint.ipv6,
        GlobalIPv6PrefixLen: endpoint.ipv6PrefixLength,
        DNSNames: endpoint.dnsNames.length === 0 ? null : endpoint.dnsNames,
      },
    ]),
  );
}

// While it runs, an exposed port that is not published stands there with null.
function portMap(details: ContainerDetails): PortMap {
  const running = details.state.pid > 0;
  const map: Record<string, { HostIp: string; HostPort: string }[] | null> = {};
  if (running) for (const port of details.config.exposedPorts) map[port] = null;
  for (const port of details.ports) {
    const key = `${port.containerPort}/${port.protocol}`;
    map[key] = [
      ...(map[key] ?? []),
      { HostIp: port.hostIp, HostPort: port.hostPort === 0 ? '' : String(port.hostPort) },
    ];
  }
  return map;
}

function portSummaries(details: ContainerDetails): PortSummary[] {
  if (details.state.pid === 0) return [];
  const published = details.ports.map((port) => ({
    IP: port.hostIp,
    PrivatePort: port.containerPort,
    ...(port.hostPort > 0 && { PublicPort: port.hostPort }),
    Type: port.protocol,
  }));
  const known = new Set(details.ports.map((port) => `${port.containerPort}/${port.protocol}`));
  const exposed = details.config.exposedPorts
    .filter((port) => !known.has(port))
    .map((port) => ({ PrivatePort: Number.parseInt(port, 10), Type: port.split('/')[1] ?? 'tcp' }));
  return [...published, ...exposed];
}
