import { isKind, TscError } from '../../core/index.ts';
import { applyFirewall } from './bridges.ts';
import type { NetworkContext } from './context.ts';
import { hasIpv6, runNet } from './host-network.ts';
import { movePorts, proxyOf, serversOf } from './move-ports.ts';
import type { BoundPort, Endpoint, PortRequest, Readiness } from './network.ts';
import { programAt } from './port-conflicts.ts';
import { findHolder, formatHostIp, type PortPlan, planPorts, portKey, TRIES } from './port-map.ts';
import type { Attachment } from './records.ts';
import { publishZones } from './sandbox.ts';
import { predecessors, serverOf, sharedKey } from './shared-ports.ts';

/** Families of the container whose published ports are reached at its own address. */
function routedOf({ state }: NetworkContext, endpoints: readonly Endpoint[]): (4 | 6)[] {
  const mains = [
    [4, state.mainEndpoint(endpoints)],
    [6, state.mainEndpoint6(endpoints)],
  ] as const;
  return mains.flatMap(([family, main]) =>
    main && state.networks.get(main.networkId)?.routed?.includes(family) ? [family] : [],
  );
}

function familiesOf({ state }: NetworkContext, endpoints: readonly Endpoint[]): (4 | 6)[] {
  const { ipv4, ipv6 } = state.publishedTo(endpoints);
  return [ipv4 ? [4 as const] : [], ipv6 ? [6 as const] : []].flat();
}

/** Takes one port, or a share of it; who shares is served when the port leads to it. */
async function hold(context: NetworkContext, attachment: Attachment, port: BoundPort): Promise<void> {
  const shares = sharedKey(context.state.attachments, attachment, port);
  await context.keeper.holdPort({
    key: portKey(attachment.containerId, port),
    protocol: port.protocol,
    address: port.hostIp,
    port: port.hostPort,
    proxy: shares ? null : proxyOf(context, attachment, port),
    ...(shares && { shares }),
  });
}

/** Takes every address of one plan at one host port; undefined when one of them is taken. */
async function holdAt(
  context: NetworkContext,
  attachment: Attachment,
  plan: PortPlan,
  port: number,
): Promise<BoundPort[] | undefined> {
  const held: BoundPort[] = [];
  for (const hostIp of plan.hostIps) {
    const bound: BoundPort = { containerPort: plan.containerPort, protocol: plan.protocol, hostIp, hostPort: port };
    try {
      await hold(context, attachment, bound);
      held.push(bound);
    } catch (error) {
      await releaseAll(context, attachment.containerId, held);
      if (isKind(error, 'in-use')) return undefined;
      if (!isKind(error, 'invalid')) throw error;
      throw new TscError(
        'network/invalid',
        `cannot publish port ${plan.containerPort} of container ${attachment.name}: ${hostIp} is no address of this host`,
        { cause: error, hint: 'see the addresses with: ip address' },
      );
    }
  }
  return held;
}

async function releaseAll(context: NetworkContext, containerId: string, bound: readonly BoundPort[]): Promise<void> {
  for (const port of bound) await context.keeper.releasePort(portKey(containerId, port));
}

async function taken(context: NetworkContext, plan: PortPlan, attachment: Attachment, port: number): Promise<TscError> {
  const where = `${formatHostIp(plan.hostIps[0] ?? '')}:${port}/${plan.protocol}`;
  const ours = plan.hostIps.map((ip) => findHolder(context.state.heldPorts(), plan.protocol, ip, port)).find(Boolean);
  const who = ours ? `container ${ours.containerName}` : await programAt(context, plan.protocol, plan.hostIps, port);
  const cause = who
    ? `${where} is already used by ${who}`
    : `${where} is already used by another program of this host that does not show (one of the kernel, or behind another container engine)`;
  return new TscError(
    'network/conflict',
    `cannot publish port ${plan.containerPort} of container ${attachment.name}: ${cause}`,
    { hint: who ? `stop ${who}, or publish another port` : 'publish another port' },
  );
}

/** Holds the first host port of the plan that is free. */
async function holdPlan(
  context: NetworkContext,
  attachment: Attachment,
  plan: PortPlan,
): Promise<readonly BoundPort[]> {
  const routed = plan.routedIps.map((hostIp) => ({
    containerPort: plan.containerPort,
    protocol: plan.protocol,
    hostIp,
    hostPort: 0,
  }));
  if (plan.hostIps.length === 0) return routed;
  const before = predecessors(context.state.attachments, attachment);
  const inTheWay = (hostIp: string, port: number) => {
    const others = context.state
      .heldPorts()
      .filter((held) => held.hostIp !== hostIp || !before.includes(held.containerId));
    return findHolder(others, plan.protocol, hostIp, port) !== undefined;
  };
  const { first, last } = plan.candidates;
  let tries = 0;
  for (let port = first; port <= last && tries < TRIES; port++) {
    if (plan.hostIps.some((ip) => inTheWay(ip, port))) continue;
    tries++;
    const bound = await holdAt(context, attachment, plan, port);
    if (bound) return [...bound, ...routed];
  }
  if (first === last) throw await taken(context, plan, attachment, first);
  throw new TscError(
    'network/exhausted',
    `cannot publish port ${plan.containerPort} of container ${attachment.name}: no port from ${first} to ${last} is free`,
  );
}

async function save(context: NetworkContext, attachment: Attachment): Promise<Attachment> {
  context.state.attachments.set(attachment.containerId, attachment);
  await context.records.saveAttachment(attachment);
  return attachment;
}

/** UDP has no end the kernel would notice: flows that began under other rules are forgotten (N12). */
async function flushFlows(
  context: NetworkContext,
  bound: readonly BoundPort[],
  addresses: readonly string[],
): Promise<void> {
  const ports = [
    ...new Set(bound.filter((port) => port.protocol === 'udp' && port.hostPort > 0).map((port) => port.hostPort)),
  ];
  if (ports.length > 0) await runNet(context.keeper, 'flush-flows', { addresses, udp_ports: ports });
}

/** Names visible, ports reachable. Nothing stays on failure. */
export async function publish(
  context: NetworkContext,
  containerId: string,
  requests: readonly PortRequest[],
  replaces?: string,
): Promise<readonly BoundPort[]> {
  const { replaces: _before, ...known } = context.state.attachment(containerId);
  const attachment: Attachment = { ...known, ...(replaces !== undefined && { replaces }) };
  const target = context.state.mainEndpoint(attachment.endpoints);
  const hostBinding = target && context.state.networks.get(target.networkId)?.hostBinding;
  const wanted = hostBinding
    ? requests.map((request) => (request.hostIp ? request : { ...request, hostIp: hostBinding }))
    : requests;
  const plans = planPorts(wanted, {
    host6: wanted.length > 0 && (await hasIpv6()),
    container: familiesOf(context, attachment.endpoints),
    routed: routedOf(context, attachment.endpoints),
  });
  if (plans.length > 0 && familiesOf(context, attachment.endpoints).length === 0) {
    throw new TscError(
      'network/unsupported',
      `cannot publish ports of container ${attachment.name}: none of its networks can be reached from outside`,
      {
        hint: 'attach it to a bridge network that is not internal and has its way out, or leave its ports out: what is on macvlan or ipvlan is reached at its own address',
      },
    );
  }
  const bound: BoundPort[] = [];
  const before: (Attachment | undefined)[] = [];
  try {
    for (const plan of plans) {
      const held = await holdPlan(context, attachment, plan);
      before.push(...serversOf(context.state, held));
      bound.push(...held);
      // Seen at once by whoever chooses a port meanwhile.
      context.state.attachments.set(containerId, { ...attachment, bound });
    }
    await save(context, { ...attachment, bound, active: true });
    if (bound.length > 0) await movePorts(context, bound, before);
    await flushFlows(context, bound, []);
    await publishZones(context, attachment);
  } catch (error) {
    context.state.attachments.set(containerId, { ...attachment, bound });
    await withdraw(context, containerId);
    throw error;
  }
  return bound;
}

/** The inverse; idempotent. New connections stop first, then the ports are free for others. */
export async function withdraw(context: NetworkContext, containerId: string): Promise<void> {
  const attachment = context.state.attachments.get(containerId);
  if (!attachment || (!attachment.active && attachment.bound.length === 0)) return;
  const { bound, replaces: _replaces, ...rest } = attachment;
  const before = serversOf(context.state, bound);
  await save(context, { ...rest, bound: [], active: false });
  try {
    await forgetPredecessor(context, containerId);
    if (bound.length > 0 && context.firewall.isApplied()) await movePorts(context, bound, before);
  } finally {
    // A broken firewall must not keep ports and names of a stopped container.
    await releaseAll(context, containerId, bound);
    await publishZones(context, attachment);
  }
  await flushFlows(
    context,
    bound,
    attachment.endpoints.flatMap(({ address, address6 }) => [address || [], address6 ?? []].flat()),
  );
}

/** Comes it back, it is no longer the older one. */
async function forgetPredecessor(context: NetworkContext, containerId: string): Promise<void> {
  for (const { replaces, ...rest } of [...context.state.attachments.values()])
    if (replaces === containerId) await save(context, rest);
}

/** Its readiness changed: ports that it shares may lead to another container now. Returns the attachment as it is then. */
export async function becomeReady(
  context: NetworkContext,
  attachment: Attachment,
  readiness: Readiness,
): Promise<Attachment> {
  const before = serversOf(context.state, attachment.bound);
  const changed = await save(context, { ...attachment, readiness });
  const now = serversOf(context.state, attachment.bound);
  if (now.some((server, index) => server?.containerId !== before[index]?.containerId)) {
    const moved = await movePorts(context, attachment.bound, before);
    await flushFlows(context, moved, []);
  }
  return changed;
}

/** The container's main endpoint changed: proxies and rules lead to the new one. */
export async function redirect(context: NetworkContext, attachment: Attachment): Promise<void> {
  if (attachment.bound.length === 0) return;
  const { ipv4 } = context.state.publishedTo(attachment.endpoints);
  for (const port of attachment.bound.filter(
    ({ hostIp, hostPort }) => hostPort > 0 && (!ipv4 || hostIp.includes(':')),
  )) {
    if (serverOf(context.state.attachments, port)?.containerId !== attachment.containerId) continue;
    const key = portKey(attachment.containerId, port);
    await context.keeper.serveProxy(key, proxyOf(context, attachment, port));
  }
  await applyFirewall(context);
}

/** Holds again what the record says is published (after a lost keeper). Ports lost meanwhile are given up and named. */
export async function holdAgain(context: NetworkContext, attachment: Attachment): Promise<readonly BoundPort[]> {
  const kept: BoundPort[] = [];
  for (const port of attachment.bound) {
    if (port.hostPort === 0) {
      kept.push(port);
      continue;
    }
    try {
      await hold(context, attachment, port);
      kept.push(port);
    } catch (error) {
      if (!isKind(error, 'in-use')) throw error;
    }
  }
  return kept;
}
