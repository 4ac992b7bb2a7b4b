import type { PortPublication } from './container-spec.ts';
import type {
  ContainerDetails,
  ContainerState,
  ContainerSummary,
  EngineEvent,
  EngineVersion,
  Health,
  ImageDetails,
  Labels,
  NetworkSummary,
  PortMapping,
  VolumeSummary,
} from './engine-client.ts';

/** Untrusted JSON: every field may be absent or of another type. */
type Raw = Record<string, unknown>;

const STATES: readonly string[] = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'];

/** One entry of the container list. */
export function readContainerSummary(raw: unknown): ContainerSummary {
  const item = record(raw);
  const status = text(item['Status']);
  return {
    id: text(item['Id']),
    name: text(list(item['Names'])[0]).replace(/^\//, ''),
    image: text(item['Image']),
    imageId: text(item['ImageID']),
    command: text(item['Command']),
    created: number(item['Created']),
    state: toState(item['State']),
    status,
    health: healthFromStatus(status),
    labels: labels(item['Labels']),
    ports: list(item['Ports']).map(readListedPort),
    mounts: list(item['Mounts']).map((entry) => {
      const mount = record(entry);
      const name = text(mount['Name']);
      return {
        type: text(mount['Type']),
        ...(name && { name }),
        source: text(mount['Source']),
        target: text(mount['Destination']),
      };
    }),
    networks: Object.fromEntries(
      Object.entries(record(record(item['NetworkSettings'])['Networks'])).map(([name, endpoint]) => [
        name,
        { networkId: text(record(endpoint)['NetworkID']), ipv4Address: text(record(endpoint)['IPAddress']) },
      ]),
    ),
  };
}

/** The answer of a container inspect. */
export function readContainerDetails(raw: unknown): ContainerDetails {
  const item = record(raw);
  const state = record(item['State']);
  const config = record(item['Config']);
  const health = record(state['Health']);
  const healthTest = list(record(config['Healthcheck'])['Test']).map(text);
  return {
    id: text(item['Id']),
    name: text(item['Name']).replace(/^\//, ''),
    image: text(config['Image']),
    imageId: text(item['Image']),
    state: toState(state['Status']),
    pid: number(state['Pid']),
    exitCode: number(state['ExitCode']),
    oomKilled: state['OOMKilled'] === true,
    error: text(state['Error']),
    startedAt: text(state['StartedAt']),
    finishedAt: text(state['FinishedAt']),
    restartCount: number(item['RestartCount']),
    health: toHealth(health['Status']),
    probes: list(health['Log']).map((entry) => ({
      exitCode: number(record(entry)['ExitCode']),
      output: text(record(entry)['Output']),
    })),
    tty: config['Tty'] === true,
    labels: labels(config['Labels']),
    ports: readInspectedPorts(record(record(item['NetworkSettings'])['Ports'])),
    publications: readPublications(record(record(item['HostConfig'])['PortBindings'])),
    networkMode: text(record(item['HostConfig'])['NetworkMode']),
    endpoints: Object.entries(record(record(item['NetworkSettings'])['Networks'])).map(([network, endpoint]) => ({
      network,
      gatewayPriority: number(record(endpoint)['GwPriority']),
    })),
    hasHealthcheck: isProbe(healthTest),
    healthTest,
  };
}

/** Whether a probe's command is one that runs: `NONE` and nothing are not. */
function isProbe(test: readonly string[]): boolean {
  return test.length > 0 && test[0] !== 'NONE' && test[0] !== '';
}

function readListedPort(raw: unknown): PortMapping {
  const port = record(raw);
  const hostAddress = text(port['IP']);
  return {
    containerPort: number(port['PrivatePort']),
    protocol: text(port['Type']) || 'tcp',
    ...(hostAddress && { hostAddress }),
    ...(typeof port['PublicPort'] === 'number' && { hostPort: port['PublicPort'] }),
  };
}

function readInspectedPorts(ports: Raw): PortMapping[] {
  return Object.entries(ports).flatMap(([key, bindings]) => {
    const [port = '', protocol = 'tcp'] = key.split('/');
    const base = { containerPort: Number(port), protocol };
    const bound = list(bindings);
    if (bound.length === 0) return [base];
    return bound.map((binding) => {
      const hostPort = Number(text(record(binding)['HostPort']));
      return { ...base, hostAddress: text(record(binding)['HostIp']), ...(hostPort > 0 && { hostPort }) };
    });
  });
}

function readPublications(bindings: Raw): PortPublication[] {
  return Object.entries(bindings).flatMap(([key, items]) => {
    const [port = '', protocol = 'tcp'] = key.split('/');
    return list(items).map((item) => {
      const hostAddress = text(record(item)['HostIp']);
      const hostPort = text(record(item)['HostPort']);
      return {
        containerPort: Number(port),
        protocol,
        ...(hostAddress && { hostAddress }),
        ...(hostPort && { hostPort }),
      };
    });
  });
}

/** The list call has no health field of its own; the words in the status are fixed. */
function healthFromStatus(status: string): Health {
  if (status.includes('(healthy)')) return 'healthy';
  if (status.includes('(unhealthy)')) return 'unhealthy';
  return status.includes('(health: starting)') ? 'starting' : 'none';
}

function toHealth(value: unknown): Health {
  return value === 'healthy' || value === 'unhealthy' || value === 'starting' ? value : 'none';
}

function toState(value: unknown): ContainerState {
  const name = text(value).toLowerCase();
  return STATES.includes(name) ? (name as ContainerState) : 'dead';
}

export function readNetworkSummary(raw: unknown): NetworkSummary {
  const item = record(raw);
  return {
    id: text(item['Id']),
    name: text(item['Name']),
    driver: text(item['Driver']),
    labels: labels(item['Labels']),
    internal: item['Internal'] === true,
    driverOptions: labels(item['Options']),
  };
}

export function readVolumeSummary(raw: unknown): VolumeSummary {
  const item = record(raw);
  return { name: text(item['Name']), driver: text(item['Driver']), labels: labels(item['Labels']) };
}

export function readImageDetails(raw: unknown): ImageDetails {
  const item = record(raw);
  const config = record(item['Config']);
  return {
    id: text(item['Id']),
    tags: list(item['RepoTags']).map(text),
    digests: list(item['RepoDigests']).map(text),
    size: number(item['Size']),
    created: text(item['Created']),
    os: text(item['Os']),
    arch: text(item['Architecture']),
    exposedPorts: Object.keys(record(config['ExposedPorts'])),
    hasHealthcheck: isProbe(list(record(config['Healthcheck'])['Test']).map(text)),
    workingDir: text(config['WorkingDir']),
  };
}

export function readVersion(raw: unknown): EngineVersion {
  const item = record(raw);
  return {
    version: text(item['Version']),
    apiVersion: text(item['ApiVersion']),
    os: text(item['Os']),
    arch: text(item['Arch']),
    platform: text(record(item['Platform'])['Name']),
  };
}

export function readEvent(raw: unknown): EngineEvent {
  const item = record(raw);
  const actor = record(item['Actor']);
  return {
    type: text(item['Type']) || 'container',
    action: text(item['Action']) || text(item['status']),
    id: text(actor['ID']) || text(item['id']),
    attributes: labels(actor['Attributes']),
    timeNano: String(item['timeNano'] ?? '0'),
  };
}

export function record(value: unknown): Raw {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Raw) : {};
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function number(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

function labels(value: unknown): Labels {
  return Object.fromEntries(
    Object.entries(record(value)).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}
