import { isKind } from '../../core/index.ts';
import { newObjectId } from '../../host/index.ts';
import type { NetworkContext } from './context.ts';
import { hasIpv6, runNet } from './host-network.ts';
import type { PortConflict, PortRequest, Protocol } from './network.ts';
import { findHolder, type PortPlan, planPorts, TRIES } from './port-map.ts';

/** `nginx (process 123)` of the programs whose sockets are in the way. */
export async function programAt(
  { keeper }: NetworkContext,
  protocol: Protocol,
  hostIps: readonly string[],
  port: number,
): Promise<string | undefined> {
  const answers = await Promise.all(
    hostIps.map(async (address) => {
      const answer = await runNet(keeper, 'port-holders', { protocol, address, port });
      // Our own binary's answer.
      return (answer as { holders: { pid: number; name: string }[] }).holders;
    }),
  );
  const named = answers.flat().map(({ pid, name }) => `${name} (process ${pid})`);
  return named.length > 0 ? [...new Set(named)].join(', ') : undefined;
}

/** Whether the kernel gives the port away now; it is let go at once. */
async function isFree({ keeper }: NetworkContext, protocol: Protocol, address: string, port: number): Promise<boolean> {
  const key = `try/${newObjectId()}`;
  try {
    await keeper.holdPort({ key, protocol, address, port, proxy: null });
  } catch (error) {
    // Any other trouble is told where the port is really published.
    return !isKind(error, 'in-use');
  }
  await keeper.releasePort(key);
  return true;
}

/** The first of these addresses whose port is taken, containers in `except` apart; undefined when none is. */
async function takenAddress(
  context: NetworkContext,
  { protocol, hostIps }: Pick<PortPlan, 'protocol' | 'hostIps'>,
  port: number,
  except: readonly string[],
): Promise<string | undefined> {
  const held = context.state.heldPorts();
  const others = held.filter(({ containerId }) => !except.includes(containerId));
  for (const hostIp of hostIps) {
    if (findHolder(others, protocol, hostIp, port)) return hostIp;
    // What is about to make way holds the socket still: the kernel cannot tell who else is there.
    if (findHolder(held, protocol, hostIp, port)) continue;
    if (!(await isFree(context, protocol, hostIp, port))) return hostIp;
  }
  return undefined;
}

async function holderOf(
  context: NetworkContext,
  { hostIp, hostPort, protocol }: Pick<PortConflict, 'hostIp' | 'hostPort' | 'protocol'>,
  except: readonly string[],
): Promise<string | undefined> {
  const others = context.state.heldPorts().filter(({ containerId }) => !except.includes(containerId));
  const ours = findHolder(others, protocol, hostIp, hostPort);
  return ours ? `container ${ours.containerName}` : programAt(context, protocol, [hostIp], hostPort);
}

/** What is in the way of one publication: for a range, at the first port of it. */
async function conflictOf(
  context: NetworkContext,
  plan: PortPlan,
  except: readonly string[],
): Promise<PortConflict | undefined> {
  const { first, last } = plan.candidates;
  const hostIp = await takenAddress(context, plan, first, except);
  if (hostIp === undefined) return undefined;
  for (let port = first + 1; port <= last && port < first + TRIES; port++)
    if ((await takenAddress(context, plan, port, except)) === undefined) return undefined;
  const place = { hostIp, hostPort: first, protocol: plan.protocol };
  const holder = await holderOf(context, place, except);
  return { ...place, ...(last > first && { lastPort: last }), ...(holder !== undefined && { holder }) };
}

/** See {@link NetworkService.findPortConflicts}. */
export async function findPortConflicts(
  context: NetworkContext,
  requests: readonly PortRequest[],
  except: readonly string[],
): Promise<readonly PortConflict[]> {
  const fixed = requests.filter(({ hostPort }) => hostPort);
  const conflicts: PortConflict[] = [];
  for (const plan of planPorts(fixed, { host6: await hasIpv6(), container: [4, 6] })) {
    const conflict = await conflictOf(context, plan, except);
    if (conflict) conflicts.push(conflict);
  }
  return conflicts;
}
