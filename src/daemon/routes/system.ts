import { MIN_API_VERSION, NEWEST_API_VERSION, type SystemInfo, type SystemVersion } from '../../api/index.ts';
import { TscError } from '../../core/index.ts';
import type { EngineInfo } from '../../engine/index.ts';
import { json, text } from '../http-message.ts';
import { type Route, type RouteCall, route } from '../match-route.ts';
import { readJsonBody } from '../read-body.ts';
import { containerSummary } from '../translate/container-view.ts';
import { imageSummary } from '../translate/image-view.ts';
import { volumeView } from '../translate/network-view.ts';
import { endpointIdsOf } from './endpoint-ids.ts';

/** Calls about the engine as a whole. */
export const systemRoutes: readonly Route[] = [
  route(['GET', 'HEAD'], '/_ping', ping),
  route('GET', '/version', version),
  route('GET', '/info', info),
  route('POST', '/auth', auth),
  route('GET', '/system/df', diskUsage),
  route('GET', '/tscompose/info', ({ services }) =>
    json({ instance: services.instance, version: services.version, pid: process.pid }),
  ),
];

function ping({ request }: RouteCall) {
  return text(request.method === 'HEAD' ? '' : 'OK', {
    // 1: the classic builder; without it clients insist on a BuildKit session.
    'Builder-Version': '1',
    Swarm: 'inactive',
    'Cache-Control': 'no-cache, no-store, must-revalidate',
    Pragma: 'no-cache',
  });
}

async function version({ services }: RouteCall) {
  const facts = await services.engine.info();
  const details = {
    ApiVersion: NEWEST_API_VERSION,
    Arch: facts.architecture,
    KernelVersion: facts.kernelVersion,
    MinAPIVersion: MIN_API_VERSION,
    BuildTime: '',
    Experimental: 'false',
    GitCommit: '',
    GoVersion: '',
    NodeVersion: process.versions.node,
    Os: 'linux',
  };
  return json({
    Platform: { Name: 'tscompose' },
    Components: [{ Name: 'Engine', Version: services.version, Details: details }],
    Version: services.version,
    ApiVersion: NEWEST_API_VERSION,
    MinAPIVersion: MIN_API_VERSION,
    GitCommit: '',
    GoVersion: '',
    Os: 'linux',
    Arch: facts.architecture,
    KernelVersion: facts.kernelVersion,
    BuildTime: '',
  } satisfies SystemVersion);
}

async function info({ services }: RouteCall) {
  const facts = await services.engine.info();
  return json({
    ...countsAndHost(facts),
    ...capabilities(facts),
    DockerRootDir: facts.dataDir,
    DefaultAddressPools: facts.addressPools.map(({ base, size }) => ({ Base: base, Size: size })),
    SystemTime: facts.systemTime,
    ServerVersion: services.version,
    Warnings: facts.warnings.length === 0 ? null : facts.warnings,
  } satisfies SystemInfo);
}

function countsAndHost(facts: EngineInfo) {
  return {
    ID: facts.id,
    Containers: facts.containers,
    ContainersRunning: facts.containersRunning,
    ContainersPaused: facts.containersPaused,
    ContainersStopped: facts.containersStopped,
    Images: facts.images,
    KernelVersion: facts.kernelVersion,
    OperatingSystem: facts.operatingSystem,
    OSVersion: facts.osVersion,
    OSType: 'linux',
    Architecture: facts.machine,
    NCPU: facts.cpus,
    MemTotal: facts.memoryBytes,
    Name: facts.hostName,
    SecurityOptions: facts.securityOptions,
    Runtimes: Object.fromEntries(facts.runtimes.map((name) => [name, { path: name }])),
    DefaultRuntime: facts.defaultRuntime,
    CgroupVersion: facts.cgroupVersion,
  };
}

function capabilities(facts: EngineInfo) {
  return {
    Driver: 'overlay2',
    DriverStatus: [['Backing', 'overlayfs mounted inside each container']] as const,
    Plugins: {
      Volume: ['local'],
      Network: ['bridge', 'host', 'ipvlan', 'macvlan', 'null'],
      Authorization: null,
      Log: ['json-file', 'local', 'none'],
    },
    MemoryLimit: true,
    SwapLimit: true,
    CpuCfsPeriod: true,
    CpuCfsQuota: true,
    CPUShares: true,
    CPUSet: true,
    PidsLimit: true,
    IPv4Forwarding: true,
    // Our bridges need no netfilter hook; old clients warn when these are absent.
    BridgeNfIptables: true,
    BridgeNfIp6tables: true,
    // cgroup v2 has no switch for it.
    OomKillDisable: facts.cgroupVersion === '1',
    Debug: false,
    NFd: 0,
    NGoroutines: 0,
    LoggingDriver: 'json-file',
    CgroupDriver: 'cgroupfs',
    NEventsListener: 0,
    IndexServerAddress: 'https://index.docker.io/v1/',
    RegistryConfig: { InsecureRegistryCIDRs: ['127.0.0.0/8', '::1/128'], IndexConfigs: {}, Mirrors: [] },
    GenericResources: null,
    HttpProxy: '',
    HttpsProxy: '',
    NoProxy: '',
    Labels: [],
    ExperimentalBuild: false,
    Swarm: {
      NodeID: '',
      NodeAddr: '',
      LocalNodeState: 'inactive' as const,
      ControlAvailable: false,
      Error: '',
      RemoteManagers: null,
    },
    LiveRestoreEnabled: true,
    Isolation: '',
    InitBinary: 'tscompose-runtime',
    ContainerdCommit: { ID: '' },
    RuncCommit: { ID: '' },
    InitCommit: { ID: '' },
  };
}

// Credentials travel with each pull; there is no session to open, and saying «succeeded» unchecked would be untrue.
async function auth({ request }: RouteCall) {
  const body = await readJsonBody(request);
  if (!body.string('username') && !body.string('identitytoken')) {
    throw new TscError('daemon/invalid', 'credentials need a user name or an identity token');
  }
  return json({ Status: 'Login kept by the client; the registry checks it at the first pull', IdentityToken: '' });
}

async function diskUsage({ services, version: apiVersion, request }: RouteCall) {
  const types = request.query.getAll('type');
  const wanted = (type: string) => types.length === 0 || types.includes(type);
  const { engine, clock } = services;
  const containers = await engine.containers.list({ all: true }, { size: wanted('container') });
  const images = wanted('image') ? await engine.images.list() : [];
  const volumes = wanted('volume') ? engine.volumes.list() : [];
  const usages = await Promise.all(volumes.map((volume) => engine.volumes.usage(volume.name)));
  const endpointIds = endpointIdsOf(services);
  return json({
    LayersSize: images.reduce((sum, image) => sum + image.size, 0),
    Images: images.map((image) =>
      imageSummary(image, containers.filter((item) => item.imageId === image.id).length, apiVersion),
    ),
    Containers: wanted('container') ? containers.map((item) => containerSummary(item, clock.now(), endpointIds)) : [],
    Volumes: volumes.map((volume, index) => volumeView(volume, usages[index])),
    BuildCache: [],
    BuilderSize: 0,
  });
}
