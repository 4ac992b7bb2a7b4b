import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { startTestDaemon, type TestDaemon, waitUntil } from '../kit/daemon.ts';
import { isAlive } from '../kit/keeper.ts';
import { leftovers } from '../kit/ledger.ts';

/** Who is killed, in what, and how long after that began. */
interface Blow {
  readonly who: 'daemon' | 'keeper';
  /** In the midst of work, while everything is removed, or once more while the daemon recovers from the blow before. */
  readonly during: 'work' | 'down' | 'recovery';
  readonly afterMs: number;
}

const BLOWS = [
  { who: 'daemon', during: 'work' },
  { who: 'daemon', during: 'recovery' },
  { who: 'daemon', during: 'down' },
  { who: 'keeper', during: 'work' },
  { who: 'daemon', during: 'work' },
  { who: 'keeper', during: 'down' },
] as const;

const NETWORKS = ['one', 'two', 'three'];
/** Twice the time that each takes on an idle machine. */
const LENGTH_MS = { work: 600, down: 400, recovery: 500 } as const;

/** `count` blows of every kind, spread evenly over what they fall into; the seed moves them a little. */
function blows(count: number, seed: number): readonly Blow[] {
  const part = (index: number) => (index + ((seed * 7919) % 1000) / 1000) / count;
  return Array.from({ length: count }, (_, index) => {
    const blow = BLOWS[index % BLOWS.length] ?? BLOWS[0];
    return { ...blow, afterMs: Math.round(part(index) * LENGTH_MS[blow.during]) };
  });
}

/** Makes network namespaces with links all the time and lets them go: the kernel takes away those of others late. */
const CHURN = `while :; do
  unshare --net sh -c 'ip link add a type veth peer name b; ip link add c type bridge; ip link set b master c; ip link set c up'
done`;

export interface TakesBlowsOptions {
  readonly count: number;
  readonly timeout: number;
  /** How many make and remove network namespaces beside it. */
  readonly churners?: number;
}

/** A scenario of its own daemon that takes `count` blows, one after the other. */
export function takesBlows({ count, timeout, churners = 0 }: TakesBlowsOptions): void {
  let daemon: TestDaemon;
  let churn: readonly ChildProcess[] = [];
  beforeAll(async () => {
    daemon = await startTestDaemon();
    await daemon.importBusybox();
    churn = Array.from({ length: churners }, () => spawn('/bin/sh', ['-c', CHURN], { stdio: 'ignore' }));
  });
  afterAll(async () => {
    for (const each of churn) each.kill('SIGKILL');
    expect(leftovers(await daemon.stop())).toEqual([]);
  });
  it('leaves nothing of networks, whenever daemon or keeper are killed', { timeout }, async () => {
    for (const blow of blows(count, Date.now())) expect([blow, await strike(daemon, blow)]).toEqual([blow, []]);
  });
}

/**
 * Networks and containers with published ports made and taken away, until the blow falls; then daemon (and keeper) come back and
 * everything is removed. Returns what is left of it in the kernel.
 */
async function strike(daemon: TestDaemon, { who, during, afterMs }: Blow): Promise<readonly string[]> {
  const over = new AbortController();
  const work = keepBusy(daemon, over.signal);
  if (during === 'work') await delay(afterMs);
  else {
    await delay(LENGTH_MS.work / 3);
    over.abort();
    await work;
  }
  const down = during === 'down' ? removeAll(daemon).catch(() => undefined) : undefined;
  if (down) await delay(afterMs);
  const victim = who === 'keeper' ? daemon.keeperPid : await daemon.daemonPid();
  await kill(victim);
  over.abort();
  await Promise.all([work, down]);
  if (during === 'recovery') {
    const successor = await childOf(daemon.keeperPid);
    await delay(afterMs);
    await kill(successor);
  }
  await daemon.revive();
  await removeAll(daemon);
  return remains(daemon);
}

async function kill(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL');
  await waitUntil(20_000, async () => !(await isAlive(pid)));
}

/** The daemon that the keeper has started again, which does not answer yet. */
async function childOf(keeper: number): Promise<number> {
  let found = 0;
  await waitUntil(20_000, async () => {
    const children = await readFile(`/proc/${keeper}/task/${keeper}/children`, 'utf8');
    for (const pid of children.split(' ').filter((text) => text !== '')) {
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      // A child that is still a copy of the keeper has its command, which ends with the daemon's.
      if (command.includes('\0--daemon\0') && !command.includes('\0keeper\0')) found = Number(pid);
    }
    return found > 0;
  });
  return found;
}

/** Rounds of work; calls that the blow cuts short or that fail for what it left are none of this test's business. */
async function keepBusy(daemon: TestDaemon, signal: AbortSignal): Promise<void> {
  const ask = (method: string, path: string, body?: object) =>
    signal.aborted ? Promise.resolve() : daemon.call(method, path, body).catch(() => undefined);
  while (!signal.aborted) {
    await Promise.all(NETWORKS.map((Name) => ask('POST', '/networks/create', { Name, EnableIPv6: true })));
    await Promise.all(
      NETWORKS.map(async (network, index) => {
        const container = `c-${network}`;
        await ask('POST', `/containers/create?name=${container}`, {
          Image: 'busybox:latest',
          Cmd: ['sleep', '1000'],
          ExposedPorts: { '80/tcp': {}, '53/udp': {} },
          HostConfig: { NetworkMode: network, PublishAllPorts: true, Init: true },
        });
        await ask('POST', `/containers/${container}/start`);
        const other = NETWORKS[(index + 1) % NETWORKS.length];
        await ask('POST', `/networks/${other}/connect`, { Container: container });
        await ask('POST', `/networks/${other}/disconnect`, { Container: container });
        await ask('DELETE', `/containers/${container}?force=1`);
        await ask('DELETE', `/networks/${network}`);
      }),
    );
  }
}

/** What a `down` does. Every answer counts now. */
async function removeAll(daemon: TestDaemon): Promise<void> {
  const containers = (await daemon.call('GET', '/containers/json?all=1')).json<readonly { Id: string }[]>();
  const networks = (await daemon.call('GET', '/networks?filters={"type":["custom"]}')).json<
    readonly { Id: string }[]
  >();
  const expectGone = async (path: string): Promise<void> => {
    const answer = await daemon.call('DELETE', path);
    if (answer.status !== 204) throw new Error(`DELETE ${path}: ${answer.status} ${answer.text()}`);
  };
  await all(containers.map(({ Id }) => expectGone(`/containers/${Id}?force=1`)));
  await all(networks.map(({ Id }) => expectGone(`/networks/${Id}`)));
}

/** Waits for all of them, also when one fails. */
async function all(calls: readonly Promise<void>[]): Promise<void> {
  await Promise.allSettled(calls);
  await Promise.all(calls);
}

/** Links, firewall elements of ports and networks, containers' processes and cgroups, records; the kernel takes links apart in its own time. */
async function remains(daemon: TestDaemon): Promise<readonly string[]> {
  let left: readonly string[] = [];
  const look = async (): Promise<boolean> => {
    const ledger = await daemon.ledger();
    const records = ledger.files.filter((file) => /\/(networks|endpoints|containers)\/[0-9a-f]{64}/.test(file));
    const custom = (await daemon.call('GET', '/networks')).json<
      readonly { Id: string; Driver: string; Name: string }[]
    >();
    const kept = custom.map(({ Id }) => Id);
    const parts = {
      links: ledger.links.filter((name) => !name.endsWith('-default0')),
      namespaces: [],
      mounts: ledger.mounts,
      processes: ledger.processes.filter((line) => !/ keeper --run-dir | --daemon | names$/.test(line)),
      cgroups: [],
      tables: await elements(daemon.instance),
      files: records.filter((file) => !kept.some((id) => file.includes(id))),
    };
    left = leftovers(parts);
    return left.length === 0;
  };
  // One worker of the kernel takes the namespaces of the whole machine apart, one after the other.
  await waitUntil(60_000, look).catch(() => undefined);
  return left;
}

/** Elements of the instance's table that belong to a network or a port; the default bridge's own are left out. */
async function elements(instance: string): Promise<readonly string[]> {
  const { status, stdout } = await runProgram('/usr/sbin/nft', ['-j', 'list', 'table', 'inet', instance]);
  if (status !== 0) return [];
  const items: readonly { set?: Listed; map?: Listed }[] = JSON.parse(stdout).nftables;
  return items.flatMap(({ set, map }) => {
    const listed = set ?? map;
    const values = (listed?.elem ?? []).map((element) => JSON.stringify(element));
    // Every network is an element of `within`; a port alone makes one of any other map.
    const isOfNetworks = !map || map.name === 'within';
    return values.length > 1 || !isOfNetworks ? values.map((value) => `${listed?.name} ${value}`) : [];
  });
}

interface Listed {
  readonly name: string;
  readonly elem?: readonly unknown[];
}
