import { TscError } from '../../core/index.ts';
import type { ImageRunConfig } from '../images/index.ts';
import type { ContainerConfig, ContainerSpec, EndpointSettings, Healthcheck, HostConfig } from './container.ts';

/** Labels by which clients recognise ownership, and those that we read ourselves; an image may not set them. */
const RESERVED_PREFIXES = ['com.docker.compose.', 'dev.tscompose.'];

/** What runs: the spec over what the image says. Throws `container/invalid` when there is no command at all. */
export function completeConfig(spec: ContainerSpec['config'], image: ImageRunConfig): ContainerConfig {
  const stopSignal = spec.stopSignal || image.stopSignal;
  const healthcheck = mergeHealthcheck(spec.healthcheck, imageHealthcheck(image));
  const shell = spec.shell ?? image.shell;
  return {
    ...CONFIG_DEFAULTS,
    ...spec,
    ...chooseCommand(spec, image),
    user: spec.user || image.user,
    env: mergeEnv(spec.env ?? [], image.env),
    workdir: spec.workdir || image.workingDir,
    labels: { ...imageLabels(image), ...spec.labels },
    ...(stopSignal && { stopSignal }),
    ...(healthcheck && { healthcheck }),
    exposedPorts: [...new Set([...(spec.exposedPorts ?? []), ...image.exposedPorts])],
    volumes: [...new Set([...(spec.volumes ?? []), ...image.volumes])],
    ...(shell && { shell }),
  };
}

const CONFIG_DEFAULTS: Omit<ContainerConfig, 'image'> = {
  hostname: '',
  domainname: '',
  user: '',
  tty: false,
  openStdin: false,
  stdinOnce: false,
  attachStdin: false,
  attachStdout: false,
  attachStderr: false,
  env: [],
  command: [],
  entrypoint: [],
  workdir: '',
  labels: {},
  exposedPorts: [],
  volumes: [],
  networkDisabled: false,
};

function chooseCommand(
  spec: ContainerSpec['config'],
  image: ImageRunConfig,
): Pick<ContainerConfig, 'command' | 'entrypoint'> {
  // One empty string, or an empty list, is how clients say "no entrypoint, not even the image's"; after the list the image's command stays.
  const cleared = spec.entrypoint?.length === 0 || (spec.entrypoint?.length === 1 && spec.entrypoint[0] === '');
  const own = spec.entrypoint !== undefined && spec.entrypoint.length > 0;
  const entrypoint = cleared ? [] : own ? (spec.entrypoint ?? []) : (image.entrypoint ?? []);
  const given = spec.command ?? [];
  const command = given.length > 0 || own ? given : (image.cmd ?? []);
  if (entrypoint.length === 0 && command.length === 0) {
    throw new TscError('container/invalid', `no command specified, and image ${spec.image} has none`, {
      hint: 'give the command to run',
    });
  }
  return { entrypoint, command };
}

function imageLabels(image: ImageRunConfig): Record<string, string> {
  return Object.fromEntries(
    [...image.labels].filter(([key]) => !RESERVED_PREFIXES.some((prefix) => key.startsWith(prefix))),
  );
}

/** The spec's variables, then those of the image it does not name; a bare `KEY` removes. */
function mergeEnv(own: readonly string[], image: readonly string[]): string[] {
  const keyOf = (entry: string) => entry.split('=', 1)[0] ?? '';
  const named = new Set(own.map(keyOf));
  const merged = new Map<string, string>();
  for (const entry of own) if (entry.includes('=')) merged.set(keyOf(entry), entry);
  for (const entry of image) if (!named.has(keyOf(entry)) && entry.includes('=')) merged.set(keyOf(entry), entry);
  return [...merged.values()];
}

function imageHealthcheck(image: ImageRunConfig): Healthcheck | undefined {
  const check = image.healthcheck;
  if (!check) return undefined;
  return {
    test: check.test,
    intervalNs: check.interval,
    timeoutNs: check.timeout,
    startPeriodNs: check.startPeriod,
    startIntervalNs: check.startInterval,
    retries: check.retries,
  };
}

function mergeHealthcheck(own: Healthcheck | undefined, image: Healthcheck | undefined): Healthcheck | undefined {
  if (!own) return image;
  const pick = (mine: number | undefined, theirs: number | undefined) => mine || theirs || 0;
  return {
    test: own.test.length > 0 ? own.test : (image?.test ?? []),
    intervalNs: pick(own.intervalNs, image?.intervalNs),
    timeoutNs: pick(own.timeoutNs, image?.timeoutNs),
    startPeriodNs: pick(own.startPeriodNs, image?.startPeriodNs),
    startIntervalNs: pick(own.startIntervalNs, image?.startIntervalNs),
    retries: pick(own.retries, image?.retries),
  };
}

const HOST_DEFAULTS: HostConfig = {
  binds: [],
  mounts: [],
  tmpfs: {},
  volumesFrom: [],
  networkMode: 'default',
  portBindings: [],
  publishAllPorts: false,
  restartPolicy: { name: 'no', maximumRetries: 0 },
  autoRemove: false,
  privileged: false,
  capAdd: [],
  capDrop: [],
  securityOpt: [],
  readonlyRootfs: false,
  init: false,
  resources: {},
  ulimits: [],
  devices: [],
  deviceCgroupRules: [],
  sysctls: {},
  shmSizeBytes: 64 << 20,
  extraHosts: [],
  links: [],
  dns: [],
  dnsSearch: [],
  dnsOptions: [],
  groupAdd: [],
  pidMode: '',
  ipcMode: 'private',
  utsMode: '',
  cgroupnsMode: 'private',
  usernsMode: '',
  cgroupParent: '',
  logging: { driver: 'json-file', options: {} },
  oomScoreAdj: 0,
  annotations: {},
  runtime: '',
};

/** The host part with every default. */
export function completeHost(spec: Partial<HostConfig> = {}): HostConfig {
  const host = { ...HOST_DEFAULTS, ...spec };
  return {
    ...host,
    networkMode: host.networkMode || 'default',
    shmSizeBytes: host.shmSizeBytes || HOST_DEFAULTS.shmSizeBytes,
    ipcMode: host.ipcMode || 'private',
    cgroupnsMode: host.cgroupnsMode || 'private',
    logging: { driver: host.logging.driver || 'json-file', options: host.logging.options },
  };
}

/** Networks by name: those of the spec, and the one of the network mode. */
export function completeNetworks(
  host: HostConfig,
  networks: ContainerSpec['networks'] = {},
): Record<string, EndpointSettings> {
  if (host.networkMode.startsWith('container:')) {
    if (Object.keys(networks).length > 0) {
      throw new TscError('container/invalid', `a container in the network of another cannot join networks of its own`);
    }
    return {};
  }
  const wanted = host.networkMode === 'default' ? 'bridge' : host.networkMode;
  const given = Object.entries(networks).map(([name, endpoint]): [string, EndpointSettings] => [
    name === 'default' ? 'bridge' : name,
    { aliases: [], links: [], ...endpoint },
  ]);
  const explicit = given.length > 0 && (host.networkMode === 'default' || given.some(([name]) => name === wanted));
  return Object.fromEntries(explicit ? given : [[wanted, { aliases: [], links: [] }], ...given]);
}
