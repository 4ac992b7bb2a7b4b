import { isKind } from '../../core/index.ts';
import { applyFirewall } from './bridges.ts';
import type { NetworkContext } from './context.ts';
import type { PortHold } from './keeper-port.ts';
import type { BoundPort } from './network.ts';
import { portKey } from './port-map.ts';
import type { Attachment } from './records.ts';
import { serverOf } from './shared-ports.ts';

/**
 * Where a proxy carries what arrives at the socket that reserves a port; null when the kernel rewrites all of it. It cannot
 * rewrite what comes from ::1, nor IPv6 for a container that has none.
 */
export function proxyOf({ state }: NetworkContext, { endpoints }: Attachment, port: BoundPort): PortHold['proxy'] {
  const { ipv4, ipv6 } = state.publishedTo(endpoints);
  if (port.protocol === 'sctp') return null;
  const isSix = port.hostIp.includes(':');
  const rewritten = isSix ? ipv6 && !['::', '::1'].includes(port.hostIp) : ipv4;
  const address = ipv4 ?? ipv6;
  return rewritten || !address ? null : { address, port: port.containerPort };
}

/** Who each of these ports leads to now. */
export function serversOf(
  { attachments }: NetworkContext['state'],
  ports: readonly BoundPort[],
): readonly (Attachment | undefined)[] {
  return ports.map((port) => serverOf(attachments, port));
}

/**
 * Brings the kernel to who holds these ports now; `before` is whom they led to. Returns those that have moved from one container
 * to another: in the kernel by one change of an element, so that connections of before go on.
 */
export async function movePorts(
  context: NetworkContext,
  ports: readonly BoundPort[],
  before: readonly (Attachment | undefined)[],
): Promise<readonly BoundPort[]> {
  await applyFirewall(context);
  const now = serversOf(context.state, ports);
  const moved: BoundPort[] = [];
  for (const [index, port] of ports.entries()) {
    const [from, to] = [before[index], now[index]];
    if (!from || !to || from.containerId === to.containerId) continue;
    moved.push(port);
    if (proxyOf(context, from, port)) await serve(context, from, port, null);
    const proxy = proxyOf(context, to, port);
    if (proxy) await serve(context, to, port, proxy);
  }
  return moved;
}

async function serve({ keeper }: NetworkContext, holder: Attachment, port: BoundPort, proxy: PortHold['proxy']) {
  await keeper.serveProxy(portKey(holder.containerId, port), proxy).catch((error: unknown) => {
    // Let go meanwhile: there is nothing to serve.
    if (!isKind(error, 'not-found')) throw error;
  });
}
