import type { NetworkSpec, VolumeSpec } from '../client/index.ts';
import type { Network, Project, Service, Volume } from '../compose/index.ts';
import { TscError } from '../core/index.ts';
import { compareDefinitions, defineObject, readDefinition } from './definition.ts';
import { LABEL, LABEL_VERSION } from './labels.ts';
import type { ObservedState } from './observed-state.ts';
import type { PlanBuilder } from './plan.ts';

interface Input {
  readonly project: Project;
  readonly have: ObservedState;
}

/** Networks the services need and that are absent; operation number by real name. */
export function planNetworks(builder: PlanBuilder, input: Input, services: readonly Service[]): Map<string, number> {
  const created = new Map<string, number>();
  for (const key of new Set(services.flatMap((service) => [...service.networks.keys()]))) {
    const network = input.project.networks.get(key);
    if (!network) continue;
    const existing = input.have.networks.find(({ name }) => name === network.name);
    if (network.external) {
      requireExternal('network', key, network.name, existing !== undefined);
      continue;
    }
    const spec = toNetworkSpec(input.project.name, key, network);
    if (existing) refuseChange('network', key, spec, existing.labels);
    else
      created.set(network.name, builder.add({ kind: 'create-network', name: network.name, spec }, 'no such network'));
  }
  return created;
}

/** Volumes the services need and that are absent; operation number by real name. */
export function planVolumes(builder: PlanBuilder, input: Input, services: readonly Service[]): Map<string, number> {
  const created = new Map<string, number>();
  const keys = services.flatMap((service) =>
    service.volumes.flatMap((mount) => (mount.type === 'volume' && mount.source ? [mount.source] : [])),
  );
  for (const key of new Set(keys)) {
    const volume = input.project.volumes.get(key);
    if (!volume) continue;
    const existing = input.have.volumes.find(({ name }) => name === volume.name);
    if (volume.external) {
      requireExternal('volume', key, volume.name, existing !== undefined);
      continue;
    }
    const spec = toVolumeSpec(input.project.name, key, volume);
    if (existing) refuseChange('volume', key, spec, existing.labels);
    else created.set(volume.name, builder.add({ kind: 'create-volume', name: volume.name, spec }, 'no such volume'));
  }
  return created;
}

function requireExternal(kind: 'network' | 'volume', key: string, name: string, exists: boolean): void {
  if (exists) return;
  throw new TscError('stack/not-found', `external ${kind} ${name} does not exist`, {
    hint: `create it, or remove "external: true" from the file`,
    subject: [`${kind}s`, key],
  });
}

/** Other settings need a new object: for a network everything on it must go, for a volume its data would be lost. */
function refuseChange(
  kind: 'network' | 'volume',
  key: string,
  spec: NetworkSpec | VolumeSpec,
  labels: Readonly<Record<string, string>>,
): void {
  const have = readDefinition(labels);
  const differences = have ? compareDefinitions(have, defineObject(spec)) : [];
  if (differences.length === 0) return;
  throw new TscError('stack/conflict', `${kind} ${spec.name} exists with other settings: ${differences.join(', ')}`, {
    hint:
      kind === 'network'
        ? 'run tscompose down, then up again'
        : 'run tscompose down -v, then up again (this deletes the data), or give the volume another name',
    subject: [`${kind}s`, key],
  });
}

function toNetworkSpec(project: string, key: string, network: Network): NetworkSpec {
  const spec: NetworkSpec = {
    name: network.name,
    ...(network.driver && { driver: network.driver }),
    ...(network.driverOpts.size > 0 && { driverOptions: Object.fromEntries(network.driverOpts) }),
    ...(network.internal && { internal: true }),
    ...(network.attachable && { attachable: true }),
    ...(network.enableIpv4 !== undefined && { enableIpv4: network.enableIpv4 }),
    ...(network.enableIpv6 !== undefined && { enableIpv6: network.enableIpv6 }),
    ...(network.ipam.driver && { ipamDriver: network.ipam.driver }),
    ...(network.ipam.options.size > 0 && { ipamOptions: Object.fromEntries(network.ipam.options) }),
    ...(network.ipam.config.length > 0 && {
      subnets: network.ipam.config.map((pool) => ({
        ...(pool.subnet && { subnet: pool.subnet }),
        ...(pool.ipRange && { ipRange: pool.ipRange }),
        ...(pool.gateway && { gateway: pool.gateway }),
        ...(pool.auxAddresses.size > 0 && { auxiliaryAddresses: Object.fromEntries(pool.auxAddresses) }),
      })),
    }),
    labels: { ...Object.fromEntries(network.labels), ...objectLabels(project), [LABEL.network]: key },
  };
  return { ...spec, labels: { ...spec.labels, [LABEL.definition]: JSON.stringify(defineObject(spec)) } };
}

function toVolumeSpec(project: string, key: string, volume: Volume): VolumeSpec {
  const spec: VolumeSpec = {
    name: volume.name,
    ...(volume.driver && { driver: volume.driver }),
    ...(volume.driverOpts.size > 0 && { driverOptions: Object.fromEntries(volume.driverOpts) }),
    labels: { ...Object.fromEntries(volume.labels), ...objectLabels(project), [LABEL.volume]: key },
  };
  return { ...spec, labels: { ...spec.labels, [LABEL.definition]: JSON.stringify(defineObject(spec)) } };
}

/** No config-hash label here: other tools compare it with a hash of their own and would replace the object. */
function objectLabels(project: string): Record<string, string> {
  return { [LABEL.project]: project, [LABEL.version]: LABEL_VERSION };
}
