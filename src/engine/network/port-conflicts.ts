import { isKind } from '../../core/index.ts';
import { newObjectId } from '../../host/index.ts';
import type { NetworkContext } from './context.ts';
import { hasIpv6, runNet } from './host-network.ts';
import type { PortConflict, PortRequest, Protocol } from './network.ts';
import { findHolder, planPorts } from './port-map.ts';

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

/** See {@link NetworkService.findPortConflicts}. */
export async function findPortConflicts(
  context: NetworkContext,
  requests: readonly PortRequest[],
  except: readonly string[],
): Promise<readonly PortConflict[]> {
  const conflicts: PortConflict[] = [];
  for (const plan of planPorts(requests, { host6: await hasIpv6(), container: [4, 6] })) {
    if (plan.ephemeral) continue;
    const { protocol } = plan;
    const hostPort = plan.candidates.first;
    for (const hostIp of plan.hostIps) {
      const ours = findHolder(context.state.heldPorts(), protocol, hostIp, hostPort);
      if (ours ? except.includes(ours.containerId) : await isFree(context, protocol, hostIp, hostPort)) continue;
      const holder = ours ? `container ${ours.containerName}` : await programAt(context, protocol, [hostIp], hostPort);
      conflicts.push({ hostIp, hostPort, protocol, ...(holder !== undefined && { holder }) });
      break;
    }
  }
  return conflicts;
}
