import { shortId, TscError, UndoList } from '../../core/index.ts';
import { newObjectId, timestamp } from '../../host/index.ts';
import { checkNameWishes, type EndpointSpec, parseEgressLabel } from '../network/index.ts';
import { chooseCapabilities } from '../runtime/index.ts';
import { apparmorProfileOf } from './apparmor.ts';
import { completeConfig, completeHost, completeNetworks } from './complete-spec.ts';
import type { ContainerConfig, ContainerRecord, ContainerSpec, EndpointSettings, HostConfig } from './container.ts';
import { generateName } from './container-table.ts';
import { type ContainerContext, publishContainerEvent, saveRecord, saveState } from './context.ts';
import { devicesOf, ownPowers } from './host-facts.ts';
import { limitsOf, rlimitsOf } from './limits.ts';
import { LiveContainer } from './live-container.ts';
import { logFileOf } from './log-options.ts';
import { checkModes } from './namespaces.ts';
import { checkNetworkMode } from './network-owner.ts';
import { portRequests } from './ports.ts';
import { resolveMounts } from './resolve-mounts.ts';
import { parseSignal } from './signals.ts';
import { checkSysctls, networkSysctls } from './sysctls.ts';

const ZERO_TIME = '0001-01-01T00:00:00Z';

/** Makes a container: everything a start could refuse for its form is refused here. On failure nothing is left. */
export async function createContainer(
  context: ContainerContext,
  spec: ContainerSpec,
): Promise<{ readonly id: ContainerRecord['id']; readonly warnings: readonly string[] }> {
  const id = newObjectId();
  const undo = new UndoList();
  const name = spec.name?.replace(/^\//, '') || generateName(id, (candidate) => context.table.isTaken(candidate));
  context.table.reserveName(name, id);
  undo.add('free the name', () => context.table.releaseName(name, id));
  try {
    const image = await context.images.resolve(spec.config.image);
    checkNetworkMode(spec, completeHost(spec.host));
    const config = completeConfig(spec.config, image.config.run);
    const host = joinByIds(context, completeHost(spec.host));
    await checkHost(host, config.networkDisabled);
    portRequests(config, host);
    checkConfig(config);
    if (config.stopSignal !== undefined) parseSignal(config.stopSignal);
    const networks = completeNetworks(config.networkDisabled ? { ...host, networkMode: 'none' } : host, spec.networks);
    await context.store.prepare(id);
    undo.add('remove the directory', () => context.store.remove(id));
    const mounts = await resolveMounts(context, config, host);
    undo.add('remove anonymous volumes', async () => {
      for (const mount of mounts)
        if (mount.anonymous && mount.name && !mount.spec.source)
          await context.volumes.remove(mount.name, { force: true });
    });
    const container = new LiveContainer({
      version: 1,
      id,
      name,
      created: timestamp(context.clock),
      imageId: image.id,
      config,
      host,
      networks,
      mounts,
      state: {
        status: 'created',
        pid: 0,
        exitCode: 0,
        oomKilled: false,
        error: '',
        startedAt: ZERO_TIME,
        finishedAt: ZERO_TIME,
        restartCount: 0,
      },
      stoppedByUser: false,
    });
    undo.add('give addresses back', () => context.networks.release(id));
    await prepareNetwork(context, container.record);
    await saveState(context, container);
    await saveRecord(context, container);
    context.table.add(container);
    publishContainerEvent(context, container, 'create');
    const discarded = host.networkMode === 'host' && (host.portBindings.length > 0 || host.publishAllPorts);
    return { id, warnings: discarded ? ['Published ports are discarded when using host network mode'] : [] };
  } catch (error) {
    for (const failure of await undo.run())
      context.logger.warn({ container: id, error: failure.error }, `cannot undo: ${failure.what}`);
    throw error;
  }
}

function checkConfig(config: ContainerConfig): void {
  const wrong = (text: string) => new TscError('container/invalid', text);
  if (config.hostname !== '' && !/^[A-Za-z0-9_.-]{1,64}$/.test(config.hostname))
    throw wrong(`invalid hostname ${JSON.stringify(config.hostname)}`);
  if (!/^[A-Za-z0-9_.-]{0,64}$/.test(config.domainname))
    throw wrong(`invalid domain name ${JSON.stringify(config.domainname)}`);
  if (config.workdir !== '' && !config.workdir.startsWith('/'))
    throw wrong(`the working directory ${JSON.stringify(config.workdir)} is invalid: it needs to be an absolute path`);
  const texts = [...config.env, ...config.command, ...config.entrypoint, config.workdir, config.user];
  if (texts.some((text) => text.includes('\0')))
    throw wrong('a zero byte in command, environment, user or working directory');
}

/** References to other containers become ids: names may move to another container later. */
function joinByIds(context: ContainerContext, host: HostConfig): HostConfig {
  const pin = (mode: string) =>
    mode.startsWith('container:') ? `container:${context.table.get(mode.slice('container:'.length)).id}` : mode;
  return { ...host, networkMode: pin(host.networkMode), pidMode: pin(host.pidMode), ipcMode: pin(host.ipcMode) };
}

async function checkHost(host: HostConfig, networkDisabled: boolean): Promise<void> {
  checkModes(host);
  checkNameWishes({ servers: host.dns, search: host.dnsSearch, options: host.dnsOptions }, host.extraHosts);
  limitsOf(host.resources);
  await apparmorProfileOf(host);
  logFileOf(host.logging, '/log');
  const powers = await ownPowers();
  rlimitsOf(host.ulimits, powers);
  chooseCapabilities({
    privileged: host.privileged,
    add: host.capAdd,
    drop: host.capDrop,
    available: powers.capabilities,
  });
  await devicesOf(host.devices, host.deviceCgroupRules);
  checkSysctls(host, networkDisabled);
  if (host.cgroupParent !== '')
    throw new TscError('container/unsupported', 'a cgroup parent of your own is not supported');
  if (!['', 'tscompose', 'runc', 'io.containerd.runc.v2'].includes(host.runtime)) {
    throw new TscError('container/unsupported', `runtime ${JSON.stringify(host.runtime)} is not supported`, {
      hint: 'leave the runtime out to use the bundled one',
    });
  }
  if (host.autoRemove && host.restartPolicy.name !== 'no') {
    throw new TscError(
      'container/invalid',
      `conflicting options: restart policy ${host.restartPolicy.name} and auto-remove`,
    );
  }
  const { name, maximumRetries } = host.restartPolicy;
  if (!['no', 'always', 'on-failure', 'unless-stopped'].includes(name))
    throw new TscError('container/invalid', `invalid restart policy ${JSON.stringify(name)}`);
  if (maximumRetries < 0 || (maximumRetries > 0 && name !== 'on-failure'))
    throw new TscError('container/invalid', `a maximum of retries needs restart policy on-failure, not ${name}`);
}

/** Records the container's place on its networks; nothing for one that lives in the network of another. */
export async function prepareNetwork(context: ContainerContext, record: ContainerRecord): Promise<void> {
  const { host } = record;
  const egress = egressOf(record);
  if (host.networkMode.startsWith('container:')) return;
  const special = new Set(['none', 'host', 'bridge']);
  const main = host.networkMode === 'default' ? 'bridge' : host.networkMode;
  const endpoints = Object.entries(record.networks).map(
    ([network, settings]): EndpointSpec => ({
      network,
      aliases: special.has(network) ? settings.aliases : allAliases(record, settings),
      ...wishesOf(settings),
      ...(network === main && host.links.length > 0 && { links: [...hostLinks(context, host), ...settings.links] }),
    }),
  );
  await context.networks.prepare({
    containerId: record.id,
    name: record.name,
    endpoints,
    dns: {
      ...(host.dns.length > 0 && { servers: host.dns }),
      ...(host.dnsSearch.length > 0 && { search: host.dnsSearch }),
      ...(host.dnsOptions.length > 0 && { options: host.dnsOptions }),
    },
    sysctls: networkSysctls(host),
    ...(egress && { egress }),
  });
}

/** Further names of a container on a network of the user's: those given, its short id, its hostname. */
export function allAliases(record: ContainerRecord, settings: EndpointSettings): readonly string[] {
  const { hostname } = record.config;
  // Some call every container localhost; to the others that is themselves.
  const own = hostname === '' || hostname === 'localhost' ? [] : [hostname];
  return [...new Set([...settings.aliases, shortId(record.id), ...own])];
}

/** Label of what a container may reach outside its networks: a JSON list (README). */
const EGRESS_LABEL = 'dev.tscompose.egress';

function egressOf({ config, host, name }: ContainerRecord): readonly string[] | undefined {
  const text = config.labels[EGRESS_LABEL];
  if (text === undefined) return undefined;
  if (host.networkMode === 'host' || host.networkMode.startsWith('container:'))
    throw new TscError('container/invalid', `container ${name} has an egress list and no network of its own`, {
      hint: `leave the list out, or network mode ${host.networkMode}`,
    });
  return parseEgressLabel(text);
}

/** What a container asks of its place on a network, in the network room's words. */
export function wishesOf(settings: EndpointSettings): Omit<EndpointSpec, 'network' | 'aliases'> {
  return {
    ...(settings.links.length > 0 && { links: settings.links }),
    ...(settings.ipv4 && { ipv4: settings.ipv4 }),
    ...(settings.ipv6 && { ipv6: settings.ipv6 }),
    ...(settings.linkLocal && { linkLocal: settings.linkLocal }),
    ...(settings.macAddress && { mac: settings.macAddress }),
    ...(settings.gatewayPriority && { gatewayPriority: settings.gatewayPriority }),
    ...(settings.driverOptions && { driverOptions: settings.driverOptions }),
  };
}

/** Those of the host settings name containers that exist, by id or name. Throws container/not-found. */
function hostLinks(context: ContainerContext, host: HostConfig): readonly string[] {
  return host.links.map((text) => {
    const [target = '', ...alias] = text.split(':');
    const { name } = context.table.get(target).record;
    return [name, ...(alias.length > 0 ? alias : [target])].join(':');
  });
}
