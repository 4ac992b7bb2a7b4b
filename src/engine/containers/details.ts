import { directorySize } from '../../host/index.ts';
import { apparmorProfileOf } from './apparmor.ts';
import { hostnameOf } from './bundle.ts';
import type { ContainerDetails, EndpointDetails } from './container.ts';
import { type ContainerContext, pathsOf } from './context.ts';
import type { LiveContainer } from './live-container.ts';
import { logFileOf } from './log-options.ts';

/** Everything that is known of a container. Sizes are measured only when asked for: they walk the disk. */
export async function detailsOf(
  context: ContainerContext,
  container: LiveContainer,
  options: { readonly size?: boolean; readonly layers?: boolean } = {},
): Promise<ContainerDetails> {
  const { record, id } = container;
  const paths = pathsOf(context, id);
  const [path = '', ...args] = [...record.config.entrypoint, ...record.config.command];
  const owner = ownerPaths(context, container);
  const lower = options.layers ? await lowerOf(context, record.imageId) : [];
  return {
    ...record,
    path,
    args,
    endpoints: endpointsOf(context, container),
    ports: context.networks.boundPorts(id),
    logPath: logFileOf(record.host.logging, paths.log) ? paths.log : '',
    hostname: hostnameOf(context, record),
    hostsPath: owner.hosts,
    hostnamePath: owner.hostname,
    resolvConfPath: owner.resolvConf,
    sandboxPath: container.sandbox?.path ?? '',
    ...(container.run && { process: container.run.monitor.process }),
    execIds: [...container.execIds],
    lowerDirectories: lower,
    upperDirectory: paths.upper,
    // A host that lost AppArmor since is no reason to fail a question.
    apparmorProfile: (await apparmorProfileOf(record.host).catch(() => undefined)) ?? '',
    workDirectory: paths.work,
    ...(options.size && (await sizesOf(context, paths.upper, record.imageId))),
  };
}

function ownerPaths(context: ContainerContext, container: LiveContainer) {
  const mode = container.record.host.networkMode;
  const owner = mode.startsWith('container:') ? context.table.find(mode.slice('container:'.length)) : container;
  return pathsOf(context, (owner ?? container).id);
}

async function lowerOf(context: ContainerContext, imageId: string): Promise<readonly string[]> {
  const image = await context.images.find(imageId);
  return image ? ((await context.layers.directories(image.config.diffIds)) ?? []) : [];
}

async function sizesOf(context: ContainerContext, upper: string, imageId: string) {
  const image = await context.images.find(imageId);
  const sizeRw = await directorySize(upper);
  return { sizeRw, sizeRootFs: sizeRw + (image?.size ?? 0) };
}

/** Where it is attached; addresses only while it runs, as clients expect. */
export function endpointsOf(context: ContainerContext, container: LiveContainer): EndpointDetails[] {
  const { record } = container;
  const live = container.isRunning;
  return context.networks.endpoints(container.id).map((endpoint): EndpointDetails => {
    const settings = record.networks[endpoint.networkName] ??
      record.networks[endpoint.networkId] ?? { aliases: endpoint.aliases, links: [] };
    return {
      network: endpoint.networkName,
      networkId: endpoint.networkId,
      spec: settings,
      ipv4: live ? endpoint.address : '',
      ipv4PrefixLength: live ? endpoint.prefixLength : 0,
      ipv6: (live && endpoint.address6) || '',
      ipv6PrefixLength: (live && endpoint.prefixLength6) || 0,
      gateway: live ? endpoint.gateway : '',
      ipv6Gateway: (live && endpoint.gateway6) || '',
      macAddress: live ? endpoint.mac : '',
      // The default network has no names.
      dnsNames: endpoint.networkName === 'bridge' ? [] : [...new Set([record.name, ...endpoint.aliases])],
    };
  });
}
