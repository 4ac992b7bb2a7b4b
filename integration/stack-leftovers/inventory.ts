import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { runProgram } from '../../src/host/index.ts';
import type { TestDaemon } from '../kit/daemon.ts';

/** Everything on this machine that one daemon could have left behind, by kind; lists are sorted, process ids left out. */
export type Inventory = Readonly<Record<string, readonly string[]>>;

const NAMESPACES = ['net', 'mnt', 'pid', 'ipc', 'uts', 'cgroup'];

/** Milliseconds that looks at the firewall may still take once no container runs, and how long none must be seen: they are several programs, one after the other. */
const LAST_LOOK_MS = 10_000;
const QUIET_MS = 300;

/** What is there now, once the daemon has ended what it only runs beside containers. The keeper is a subreaper, so that every process of the daemon is below it, whoever died between. */
export async function takeInventory(daemon: TestDaemon): Promise<Inventory> {
  const looks = () =>
    processesBelow(daemon.keeperPid).some((pid) => / net watch-firewall |\/nft /.test(commandLine(pid)));
  const limit = performance.now() + LAST_LOOK_MS;
  for (let seen = performance.now(); performance.now() < Math.min(limit, seen + QUIET_MS); await delay(25))
    if (looks()) seen = performance.now();
  const pids = processesBelow(daemon.keeperPid);
  const daemonPid = String(await daemon.daemonPid());
  const own = pids.filter((pid) => pid !== daemonPid);
  return {
    processes: own.map(commandLine).sort(),
    strays: strayProcesses(daemon, pids),
    mounts: [...new Set(['self', '1', String(daemon.keeperPid), daemonPid])].flatMap((pid) => mountsOf(pid, daemon)),
    namespaces: namespacesOf([...pids, String(daemon.keeperPid)]),
    descriptors: descriptorsOf(String(daemon.keeperPid)),
    links: await hostLines(daemon, '/sbin/ip', ['-br', 'link']),
    routes: await hostLines(daemon, '/sbin/ip', ['route', 'show', 'table', 'all']),
    ruleset: await ruleset(daemon),
    otherRules: await hostLines(daemon, '/usr/sbin/nft', ['list', 'ruleset']),
    cgroups: cgroupsOf(daemon),
    listeners: await listeners(pids, String(daemon.keeperPid)),
    files: filesOf(daemon.directory),
  };
}

/** Waits until the inventory is as it was: the kernel takes namespaces apart some time after their last process. Returns the last one. */
export async function settle(daemon: TestDaemon, before: Inventory): Promise<Inventory> {
  let now = await takeInventory(daemon);
  for (let turn = 0; turn < 40 && JSON.stringify(now) !== JSON.stringify(before); turn += 1) {
    await delay(100);
    now = await takeInventory(daemon);
  }
  return now;
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // The process ended while we looked.
    return '';
  }
}

function linkOr(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

/** Process ids below one process, itself left out. */
export function processesBelow(root: number): string[] {
  const children = new Map<string, string[]>();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const parent = /^PPid:\s+(\d+)/m.exec(readOr(`/proc/${pid}/status`))?.[1];
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const collect = (pid: string): string[] => (children.get(pid) ?? []).flatMap((child) => [child, ...collect(child)]);
  return collect(String(root));
}

export function commandLine(pid: string): string {
  return readOr(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim() || `[${readOr(`/proc/${pid}/comm`).trim()}]`;
}

/** Processes that name the daemon's directory or live in its cgroups without being its own; the test's commands are none. */
function strayProcesses(daemon: TestDaemon, known: readonly string[]): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && !known.includes(name) && name !== String(daemon.keeperPid))
    .filter((pid) => {
      const text = readOr(`/proc/${pid}/cmdline`) + readOr(`/proc/${pid}/cgroup`);
      return text.includes(`${daemon.directory}/`) || text.includes(`tscompose-${daemon.instance}`);
    })
    .map(commandLine);
}

function mountsOf(pid: string, daemon: TestDaemon): string[] {
  return readOr(`/proc/${pid}/mountinfo`)
    .split('\n')
    .filter((line) => line.includes(daemon.directory))
    .map((line) => `${pid === 'self' || pid === '1' ? pid : 'daemon'}: ${line.split(' ').slice(3, 5).join(' on ')}`);
}

/** How many namespaces of each kind the processes have beyond the host's own. */
function namespacesOf(pids: readonly string[]): string[] {
  return NAMESPACES.map((kind) => {
    const host = linkOr(`/proc/self/ns/${kind}`);
    const names = new Set(pids.map((pid) => linkOr(`/proc/${pid}/ns/${kind}`)).filter((name) => name !== ''));
    names.delete(host);
    return `${kind}: ${names.size}`;
  });
}

/** Held sockets, namespaces and files of the keeper, without their numbers. */
function descriptorsOf(pid: string): string[] {
  const entries = readdirSync(`/proc/${pid}/fd`).map((fd) => linkOr(`/proc/${pid}/fd/${fd}`));
  return entries.map((name) => name.replace(/\[\d+\]/, '')).sort();
}

async function hostLines(daemon: TestDaemon, file: string, args: readonly string[]): Promise<string[]> {
  const { stdout } = await runProgram(file, args);
  const names = [`${daemon.instance}-`, `${daemon.instance}v`, `table inet ${daemon.instance} `];
  return stdout.split('\n').filter((line) => names.some((name) => line.includes(name)));
}

async function ruleset(daemon: TestDaemon): Promise<string[]> {
  const { stdout } = await runProgram('/usr/sbin/nft', ['list', 'table', 'inet', daemon.instance]);
  return stdout.split('\n').map((line) => line.replace(/counter packets \d+ bytes \d+/, 'counter'));
}

function cgroupsOf(daemon: TestDaemon): string[] {
  return ['', ...readdirSync('/sys/fs/cgroup')].flatMap((controller) =>
    filesOf(join('/sys/fs/cgroup', controller, `tscompose-${daemon.instance}`), 'directory').map(
      (name) => `${controller}: ${name}`,
    ),
  );
}

/** Sockets of any of the processes that wait for traffic from outside. */
async function listeners(pids: readonly string[], keeper: string): Promise<string[]> {
  const { stdout } = await runProgram('/usr/bin/ss', ['-Hlntup']);
  const ours = new Set([...pids, keeper]);
  return stdout
    .split('\n')
    .filter((line) => [...line.matchAll(/pid=(\d+)/g)].some(([, pid]) => ours.has(pid ?? '')))
    .map((line) => line.replace(/\s+/g, ' ').replace(/ users:.*/, ''))
    .sort();
}

function filesOf(directory: string, kind: 'directory' | 'any' = 'any'): string[] {
  try {
    return readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => kind === 'any' || entry.isDirectory())
      .map((entry) => `${entry.parentPath}/${entry.name}`)
      .sort();
  } catch {
    return [];
  }
}
