import type { ContainerDetails, EngineClient, PortConflict } from '../client/index.ts';
import { TscError } from '../core/index.ts';
import type { ObservedState } from './observed-state.ts';
import type { Plan } from './plan.ts';
import { createdBy, findRivals, type PortDemand, type PortRivalry, portsToTake, startsOf } from './port-demand.ts';

/**
 * Refuses a plan whose ports are taken by others, or wanted twice within it, before anything of it is done. What containers have
 * that the plan stops is about to become free. Throws stack/conflict naming every such port and who has it.
 */
export async function checkPorts(client: EngineClient, plan: Plan, have: ObservedState): Promise<void> {
  const wanted = portsToTake(plan, have.networks, await startedAsTheyAre(client, plan, have));
  if (wanted.length === 0) return;
  const rivalries = findRivals(plan, wanted);
  const conflicts = await client.findPortConflicts(wanted, idsOfThoseThatMakeWay(plan, have));
  const found = [
    ...rivalries.map((rivalry) => ({ service: rivalry.demand.service, line: describeRivalry(rivalry) })),
    ...conflicts.map((conflict) => describeConflict(conflict, wanted)),
  ];
  const [first] = found;
  if (!first) return;
  throw new TscError('stack/conflict', `cannot publish: ${found.map(({ line }) => line).join('; ')}`, {
    hint: 'nothing was started; stop who has the port, or publish another one',
    subject: ['services', first.service, 'ports'],
  });
}

/** Containers that are started and not made by the plan, by name: only the engine knows their ports. */
async function startedAsTheyAre(
  client: EngineClient,
  plan: Plan,
  have: ObservedState,
): Promise<ReadonlyMap<string, ContainerDetails>> {
  const created = createdBy(plan);
  const names = startsOf(plan).flatMap(({ name }) => (created.has(name) ? [] : [name]));
  const kept = have.containers.filter(({ name }) => names.includes(name));
  return new Map(
    await Promise.all(kept.map(async ({ id, name }) => [name, await client.inspectContainer(id)] as const)),
  );
}

/** Those that are stopped or removed, and those whose end is waited for. */
function idsOfThoseThatMakeWay({ operations }: Plan, { containers }: ObservedState): readonly string[] {
  const names = new Set(
    operations.flatMap((operation) => {
      if (operation.kind === 'stop-container' || operation.kind === 'remove-container') return [operation.name];
      const isEnd = operation.kind === 'wait' && operation.condition === 'service_completed_successfully';
      return isEnd ? operation.containers : [];
    }),
  );
  return containers.flatMap(({ id, name }) => (names.has(name) ? [id] : []));
}

function formatPlace(address: string, first: number, last: number, protocol: string): string {
  const host = address.includes(':') && !address.startsWith('[') ? `[${address}]` : address;
  return `${host}:${first}${last > first ? `-${last}` : ''}/${protocol}`;
}

function describeRivalry({ demand, rivals }: PortRivalry): string {
  const { service, container, first, last, protocol } = demand;
  const others = rivals.map((rival) =>
    rival.container === container ? `its own container port ${rival.containerPort}` : `container ${rival.container}`,
  );
  const place = formatPlace(demand.hostAddress || '0.0.0.0', first, last, protocol);
  const too = last > first ? 'has fewer ports than want one, with' : 'is wanted as well by';
  return `service ${service}: ${place} ${too} ${[...new Set(others)].join(', ')}`;
}

function describeConflict(
  { hostAddress, hostPort, lastPort = hostPort, protocol, holder }: PortConflict,
  wanted: readonly PortDemand[],
) {
  const service =
    wanted.find((port) => port.first === hostPort && port.last === lastPort && port.protocol === protocol)?.service ??
    '';
  const place = formatPlace(hostAddress, hostPort, lastPort, protocol);
  const who = holder ?? 'another program of this host';
  const line = lastPort > hostPort ? `has no free port, the first is used by ${who}` : `is already used by ${who}`;
  return { service, line: `service ${service}: ${place} ${line}` };
}
