import { afterAll, beforeAll, expect, it } from 'vitest';
import { createNetworkService, type KeeperPort } from '../../src/engine/network/index.ts';
import { newObjectId } from '../../src/host/index.ts';
import { until } from '../kit/keeper.ts';
import { INSTANCE, World } from '../network-reach/world.ts';

const NETWORKS = 100;
const ENDPOINTS = 300;
const PORTS = 100;
/** Sets that have one element for each network of these. */
const PER_NETWORK = ['bridges', 'members', 'subnets', 'within', 'masqueraded'];

/** What one act asks of the keeper: calls, and bytes of firewall script. */
interface Cost {
  readonly calls: number;
  readonly script: number;
}

let world: World;
let spent: { calls: number; script: number };

beforeAll(async () => {
  world = await World.make();
  spent = { calls: 0, script: 0 };
  const keeper = new Proxy(world.link as KeeperPort, {
    get(target, key) {
      const member: unknown = Reflect.get(target, key);
      if (typeof member !== 'function') return member;
      return (...args: readonly unknown[]): unknown => {
        const [request] = args as readonly { readonly file?: string; readonly stdin?: string }[];
        spent.calls++;
        if (request?.file !== undefined) spent.script += request.stdin?.length ?? 0;
        return Reflect.apply(member, target, args);
      };
    },
  });
  world.service = createNetworkService({ keeper, instance: INSTANCE, dataDirectory: world.directory });
  await world.service.recover();
});
afterAll(() => world.close());

async function costOf(act: () => Promise<unknown>): Promise<Cost> {
  spent = { calls: 0, script: 0 };
  await act();
  return spent;
}

const average = (costs: readonly Cost[]): Cost => ({
  calls: costs.reduce((sum, { calls }) => sum + calls, 0) / costs.length,
  script: costs.reduce((sum, { script }) => sum + script, 0) / costs.length,
});

/** The last ten cost what the first ten did: as many calls, and a firewall script longer by some digits at most. */
function expectConstant(costs: readonly Cost[]): void {
  // The very first also makes the table.
  const first = average(costs.slice(1, 11));
  const last = average(costs.slice(-10));
  expect(last.calls).toBe(first.calls);
  expect(last.script).toBeLessThan(first.script * 1.2 + 1);
}

async function elementsOf(set: string): Promise<number> {
  const kind = ['everywhere', 'within'].includes(set) ? 'map' : 'set';
  const listed = JSON.parse(await world.host.run('/usr/sbin/nft', '-j', 'list', kind, 'inet', INSTANCE, set));
  return (listed.nftables[1][kind].elem ?? []).length;
}

async function links(): Promise<{ readonly bridges: number; readonly ports: number }> {
  const all: readonly { ifname: string }[] = JSON.parse(await world.host.run('/usr/sbin/ip', '-j', 'link'));
  return {
    bridges: all.filter(({ ifname }) => ifname.startsWith(`${INSTANCE}-`)).length,
    ports: all.filter(({ ifname }) => ifname.startsWith(`${INSTANCE}v`)).length,
  };
}

it(`makes ${NETWORKS} networks with ${ENDPOINTS} endpoints and takes them away, each at the same cost`, {
  timeout: 120_000,
}, async () => {
  const { service } = world;
  const ids = Array.from({ length: ENDPOINTS }, () => newObjectId());
  const networks = Array.from({ length: NETWORKS }, (_, index) => `many${index}`);
  const created: Cost[] = [];
  const opened: Cost[] = [];
  for (const name of networks) created.push(await costOf(() => service.create({ name })));
  for (const [index, containerId] of ids.entries()) {
    const endpoints = [{ network: networks[index % NETWORKS] ?? '' }];
    const ports = index < PORTS ? [{ containerPort: 80, protocol: 'tcp', hostPort: 20_000 + index } as const] : [];
    await service.prepare({ containerId, name: `c${index}`, endpoints });
    opened.push(await costOf(() => service.openSandbox(containerId)));
    await service.publish(containerId, ports);
  }
  expectConstant(created);
  // The first container of a network puts its bridge behind the firewall.
  expectConstant(opened.slice(0, NETWORKS));
  expectConstant(opened.slice(NETWORKS));
  expect(await links()).toEqual({ bridges: NETWORKS, ports: ENDPOINTS });
  for (const set of PER_NETWORK) expect([set, await elementsOf(set)]).toEqual([set, NETWORKS + 1]);
  expect(await elementsOf('everywhere')).toBe(PORTS);

  const released: Cost[] = [];
  for (const containerId of ids.slice(PORTS)) released.push(await costOf(() => service.release(containerId)));
  expectConstant(released);
  await Promise.all(ids.slice(0, PORTS).map((containerId) => service.release(containerId)));
  expect(await elementsOf('everywhere')).toBe(0);
  // A down asks for all at once: one of them starts, the others go together.
  const removed = await costOf(() => Promise.all(networks.map((name) => service.remove(name))));
  expect(removed.calls).toBeLessThanOrEqual(NETWORKS + 4);
  await service.dismantle();
  await until('the end of every link', async () => {
    const { bridges, ports } = await links();
    return bridges + ports === 0;
  });
  expect(await world.host.run('/usr/sbin/nft', 'list', 'tables')).not.toContain(INSTANCE);
});
