import { applyFirewall, type Bridges, isBridged, setRouteLocalnet } from './bridges.ts';
import type { NetworkContext } from './context.ts';
import { ensurePredefined } from './create-network.ts';
import { applyEgress } from './egress/apply-egress.ts';
import { type HostNetwork, hostInterfacePrefix, readHostNetwork, runNet } from './host-network.ts';
import type { RecoveryReport } from './network.ts';
import { portKey } from './port-map.ts';
import { publishNames, publishZone } from './sandbox.ts';
import { type Address, formatAddress, parseAddress } from './subnet.ts';

type IsKnown = (containerId: string) => boolean;

async function loadRecords(context: NetworkContext, isKnown: IsKnown): Promise<readonly string[]> {
  const loaded = await context.records.load();
  for (const network of loaded.networks) context.state.networks.set(network.id, network);
  const notes = [...loaded.notes];
  for (const attachment of loaded.attachments) {
    if (isKnown(attachment.containerId)) context.state.attachments.set(attachment.containerId, attachment);
    else {
      await context.records.removeAttachment(attachment.containerId);
      notes.push(`gave back the addresses of unknown container ${attachment.containerId.slice(0, 12)}`);
    }
  }
  resumeAddresses(context);
  return notes;
}

/** Which address was handed out last is not recorded: behind the highest in use none was freed a moment ago. */
function resumeAddresses({ state }: NetworkContext): void {
  for (const { pool, pool6, id } of state.networks.values()) {
    const endpoints = state.membersOf(id).map(({ endpoint }) => endpoint);
    const own = endpoints.filter(({ fixedAddress }) => !fixedAddress).map(({ address }) => address);
    const own6 = endpoints.map(({ address6 }) => address6 ?? '');
    for (const [subnet, addresses] of [
      [pool?.subnet, own],
      [pool6?.subnet, own6],
    ] as const) {
      const highest = addresses
        .flatMap((text) => parseAddress(text) ?? [])
        .reduce<Address | undefined>((best, each) => (best && best.value > each.value ? best : each), undefined);
      if (subnet && highest) state.lastAddress.set(subnet, formatAddress(highest));
    }
  }
}

/** Sandboxes the keeper still has are taken up; those nobody knows are let go, and so are ports. */
async function matchKeeper(context: NetworkContext, notes: string[]): Promise<void> {
  const { keeper, state } = context;
  const held = await keeper.list();
  for (const sandbox of held.sandboxes) {
    if (state.attachments.has(sandbox.name)) state.sandboxes.set(sandbox.name, sandbox.path);
    else {
      await keeper.removeSandbox(sandbox.name);
      notes.push(`removed the sandbox of unknown container ${sandbox.name.slice(0, 12)}`);
    }
  }
  for (const attachment of [...state.attachments.values()]) {
    if (state.sandboxes.has(attachment.containerId) || !attachment.active) continue;
    state.former.set(attachment.containerId, attachment);
    const rested = { ...attachment, active: false, bound: [] };
    state.attachments.set(attachment.containerId, rested);
    await context.records.saveAttachment(rested);
  }
  const wanted = new Set(
    [...state.attachments.values()].flatMap((attachment) =>
      attachment.bound.map((port) => portKey(attachment.containerId, port)),
    ),
  );
  for (const port of held.ports) {
    if (wanted.has(port.key)) continue;
    await keeper.releasePort(port.key);
    notes.push(`released port ${port.key} that nobody publishes`);
  }
}

/** Bridges of ours that no record names: a removal was cut short. */
async function removeStrayBridges(context: NetworkContext, host: HostNetwork, notes: string[]): Promise<void> {
  const known = new Set([...context.state.networks.values()].map((network) => network.bridge));
  const stray = host.links.filter(
    (link) => link.bridge && link.ours && link.name.startsWith(`${context.instance}-`) && !known.has(link.name),
  );
  if (stray.length === 0) return;
  const names = stray.map((link) => link.name);
  await runNet(context.keeper, 'bridge-remove', { names, ends: hostInterfacePrefix(context.instance) });
  notes.push(`removed left-over bridges ${names.join(', ')}`);
}

/** Host ends no record names: the kernel takes namespaces apart in its own time, which may be minutes on a busy machine. */
async function removeStrayEnds(context: NetworkContext, host: HostNetwork): Promise<void> {
  const { state, instance } = context;
  const known = new Set(
    [...state.attachments.values(), ...state.former.values()].flatMap(({ endpoints }) =>
      endpoints.map(({ hostInterface }) => hostInterface),
    ),
  );
  // Whole names: another instance's may begin like ours.
  const ours = new RegExp(`^${hostInterfacePrefix(instance)}[0-9a-f]{7}$`);
  const names = host.links.flatMap(({ name }) => (ours.test(name) && !known.has(name) ? [name] : []));
  if (names.length > 0) await runNet(context.keeper, 'link-remove', { names });
}

/** Parents of ours that are gone (after a reboot) come back when they are needed; those no record names go. */
async function removeStrayParents(context: NetworkContext, host: HostNetwork, notes: string[]): Promise<void> {
  const known = new Set([...context.state.networks.values()].map((network) => network.parent?.name));
  const names = host.links.flatMap(({ name, bridge, ours }) =>
    ours && !bridge && name.startsWith(`${context.instance}m`) && !known.has(name) ? [name] : [],
  );
  if (names.length === 0) return;
  await runNet(context.keeper, 'parent-remove', { names });
  notes.push(`removed left-over interfaces ${names.join(', ')}`);
}

/** Firewall and names for the sandboxes that live. A lost table is loaded again with loopback routing off meanwhile. */
async function guardAgain(context: NetworkContext, bridges: Bridges, host: HostNetwork): Promise<void> {
  const present = new Set(host.links.map((link) => link.name));
  const standing = [...context.state.networks.values()]
    .filter(isBridged)
    .filter((network) => present.has(network.bridge));
  if (standing.length === 0) return;
  const loaded = await context.firewall.adopt();
  if (!loaded && context.state.sandboxes.size === 0) {
    // Whatever stands there now may be another by the time it is needed.
    context.firewall.forget();
    return;
  }
  if (!loaded)
    await setRouteLocalnet(
      context,
      standing.map((network) => network.bridge),
      false,
    );
  await applyFirewall(context);
  for (const network of standing) await bridges.guard(network);
}

/** Start-up is recovery: records, then the keeper, then the kernel; each is brought in line with the one before. */
export async function recover(
  context: NetworkContext,
  bridges: Bridges,
  isKnown: IsKnown = () => true,
): Promise<RecoveryReport> {
  const notes = [...(await loadRecords(context, isKnown))];
  await ensurePredefined(context);
  await matchKeeper(context, notes);
  const host = await readHostNetwork(context.keeper);
  await removeStrayBridges(context, host, notes);
  await removeStrayEnds(context, host);
  await removeStrayParents(context, host, notes);
  await guardAgain(context, bridges, host);
  await applyEgress(context);
  for (const network of context.state.networks.values()) {
    if (context.state.membersOf(network.id).some(({ attachment }) => attachment.active))
      await publishZone(context, network);
  }
  for (const containerId of context.state.sandboxes.keys()) {
    const attachment = context.state.attachments.get(containerId);
    if (attachment) await publishNames(context, attachment);
  }
  return { alive: [...context.state.sandboxes.keys()], notes };
}
