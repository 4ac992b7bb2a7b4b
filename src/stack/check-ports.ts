import type { EngineClient, PortConflict, PortPublication } from '../client/index.ts';
import { TscError } from '../core/index.ts';
import type { ObservedState } from './observed-state.ts';
import type { Plan } from './plan.ts';

/** A fixed host port that a service is about to take. */
interface Wanted extends PortPublication {
  readonly service: string;
}

/** The fixed host ports of the containers that the plan creates and starts. Pure. */
export function portsToTake({ operations }: Plan): readonly Wanted[] {
  const started = new Set(
    operations.flatMap((operation) => (operation.kind === 'start-container' ? operation.name : [])),
  );
  return operations.flatMap((operation) => {
    if (operation.kind !== 'create-container' || !started.has(operation.name)) return [];
    if (operation.spec.networkMode === 'host') return [];
    const fixed = operation.spec.ports.filter(({ hostPort }) => /^[1-9]\d*$/.test(hostPort ?? ''));
    return fixed.map((port) => ({ ...port, service: operation.service }));
  });
}

/**
 * Refuses a plan whose ports are taken by others, before anything of it is done. What the project's own containers have may be
 * about to become free. Throws stack/conflict naming every such port and who has it.
 */
export async function checkPorts(client: EngineClient, plan: Plan, have: ObservedState): Promise<void> {
  const wanted = portsToTake(plan);
  if (wanted.length === 0) return;
  const own = have.containers.map(({ id }) => id);
  const conflicts = await client.findPortConflicts(wanted, own);
  if (conflicts.length === 0) return;
  const [first] = conflicts;
  const serviceOf = ({ hostPort, protocol }: Pick<PortConflict, 'hostPort' | 'protocol'>) =>
    wanted.find((port) => Number(port.hostPort) === hostPort && port.protocol === protocol)?.service;
  const lines = conflicts.map(({ hostAddress, hostPort, protocol, holder }) => {
    const service = serviceOf({ hostPort, protocol });
    const address = hostAddress.includes(':') ? `[${hostAddress}]` : hostAddress;
    return `service ${service}: ${address}:${hostPort}/${protocol} is already used by ${holder ?? 'another program of this host'}`;
  });
  throw new TscError('stack/conflict', `cannot publish: ${lines.join('; ')}`, {
    hint: 'nothing was started; stop who has the port, or publish another one',
    ...(first && { subject: ['services', serviceOf(first) ?? '', 'ports'] }),
  });
}
