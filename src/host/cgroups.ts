import { readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isErrno, pathExists, readTextIfExists } from './files.ts';

/** Where the hierarchies are mounted: `''` is the unified one (v2, also beside v1 on hybrid hosts). */
let hierarchies: Promise<ReadonlyMap<string, string>> | undefined;

async function findHierarchies(): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const line of (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')) {
    const [left = '', right = ''] = line.split(' - ');
    const place = left.split(' ')[4] ?? '';
    const [type, , options = ''] = right.split(' ');
    if (!place.startsWith('/sys/fs/cgroup')) continue;
    if (type === 'cgroup2') found.set('', place);
    if (type === 'cgroup') for (const controller of options.split(',')) found.set(controller, place);
  }
  return found;
}

/** Mount point of each cgroup controller; the key `''` is the unified hierarchy. Read once. */
export function cgroupHierarchies(): Promise<ReadonlyMap<string, string>> {
  hierarchies ??= findHierarchies();
  return hierarchies;
}

/** `2` when every controller is on the unified hierarchy, else `1`. */
export async function cgroupVersion(): Promise<'1' | '2'> {
  return (await cgroupHierarchies()).has('memory') ? '1' : '2';
}

/** A file of a cgroup; the v1 controller where there is one, else the unified hierarchy. Undefined when absent. */
export async function readCgroupFile(
  path: string,
  file: { readonly v1: readonly [controller: string, name: string]; readonly v2: string },
): Promise<string | undefined> {
  const mounts = await cgroupHierarchies();
  const [controller, name] = file.v1;
  const v1 = mounts.get(controller);
  const full = v1 ? join(v1, path, name) : join(mounts.get('') ?? '/sys/fs/cgroup', path, file.v2);
  try {
    return await readTextIfExists(full);
  } catch (error) {
    // The cgroup is going away under us.
    if (isErrno(error, 'ENODEV', 'EOPNOTSUPP')) return undefined;
    throw error;
  }
}

/** The groups a container has made below its own, deepest first. */
async function groupsBelow(directory: string): Promise<string[]> {
  const groups: string[] = [];
  try {
    for (const entry of await readdir(directory, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue;
      const below = join(directory, entry.name);
      groups.push(...(await groupsBelow(below)), below);
    }
  } catch (error) {
    // It goes away while we read.
    if (!isErrno(error, 'ENOENT', 'ENODEV')) throw error;
  }
  return groups;
}

/** Processes in a cgroup and below it, from whatever hierarchy has it. */
export async function cgroupProcesses(path: string): Promise<number[]> {
  const mounts = await cgroupHierarchies();
  const pids = new Set<number>();
  for (const place of new Set([mounts.get('pids'), mounts.get('')])) {
    if (place === undefined) continue;
    const own = join(place, path);
    for (const group of [own, ...(await groupsBelow(own))]) {
      const text = (await readTextIfExists(join(group, 'cgroup.procs')).catch(ignoreGone)) ?? '';
      for (const line of text.split('\n')) if (line !== '') pids.add(Number(line));
    }
  }
  return [...pids];
}

/** A group that goes away under us; one in threaded mode lists no processes. */
function ignoreGone(error: unknown): undefined {
  if (!isErrno(error, 'ENODEV', 'EOPNOTSUPP')) throw error;
}

/** Stops or continues all processes of a cgroup; false when the cgroup is not there. */
export async function freezeCgroup(path: string, frozen: boolean): Promise<boolean> {
  const mounts = await cgroupHierarchies();
  const v1 = mounts.get('freezer');
  const [file, value] = v1
    ? [join(v1, path, 'freezer.state'), frozen ? 'FROZEN' : 'THAWED']
    : [join(mounts.get('') ?? '/sys/fs/cgroup', path, 'cgroup.freeze'), frozen ? '1' : '0'];
  if (!(await pathExists(file))) return false;
  await writeFile(file, value);
  return true;
}

const KILL_ROUNDS = 200;
const KILL_PAUSE_MS = 25;
const FREEZE_LOOKS = 4;

/** Kills every process of a cgroup and removes it with what is below; true when nothing is left. Absent is fine. */
export async function killCgroup(path: string): Promise<boolean> {
  const mounts = await cgroupHierarchies();
  const unified = mounts.get('');
  await freezeCgroup(path, false);
  const byGroup = unified !== undefined && (await writeIfExists(join(unified, path, 'cgroup.kill'), '1'));
  for (let round = 0; round < KILL_ROUNDS && (await cgroupProcesses(path)).length > 0; round += 1) {
    if (!byGroup) await killFrozen(path, mounts.get('freezer'));
    await delay(KILL_PAUSE_MS);
  }
  for (const place of new Set(mounts.values()))
    for (const group of await groupsBelow(join(place, path))) await removeEmpty(group);
  return removeCgroup(path);
}

/**
 * Without the kernel's own way each is killed by its number. None of them can end meanwhile, and leave its number to a
 * stranger, while all are frozen; what does not freeze waits in the kernel and keeps its number as well.
 */
async function killFrozen(path: string, freezer: string | undefined): Promise<void> {
  await freezeCgroup(path, true);
  for (let look = 0; freezer !== undefined && look < FREEZE_LOOKS; look += 1) {
    const state = await readTextIfExists(join(freezer, path, 'freezer.state'));
    if (state === undefined || state.startsWith('FROZEN')) break;
    await delay(KILL_PAUSE_MS);
  }
  for (const pid of await cgroupProcesses(path)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if (!isErrno(error, 'ESRCH')) throw error;
    }
  }
  await freezeCgroup(path, false);
}

/** Removes a cgroup's directories where they are empty; true when none is left. */
export async function removeCgroup(path: string): Promise<boolean> {
  let gone = true;
  for (const place of new Set((await cgroupHierarchies()).values()))
    gone = (await removeEmpty(join(place, path))) && gone;
  return gone;
}

async function writeIfExists(path: string, text: string): Promise<boolean> {
  try {
    await writeFile(path, text, { flag: 'r+' });
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENODEV')) return false;
    throw error;
  }
}

async function removeEmpty(directory: string): Promise<boolean> {
  try {
    await rmdir(directory);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return true;
    if (isErrno(error, 'EBUSY', 'ENOTEMPTY')) return false;
    throw error;
  }
}

/** Writes a limit into the file of a cgroup's controller. */
export async function writeCgroupFile(
  path: string,
  file: { readonly v1: readonly [controller: string, name: string]; readonly v2: string },
  value: { readonly v1: string; readonly v2: string },
): Promise<void> {
  const mounts = await cgroupHierarchies();
  const [controller, name] = file.v1;
  const v1 = mounts.get(controller);
  if (v1) await writeFile(join(v1, path, name), value.v1);
  else await writeFile(join(mounts.get('') ?? '/sys/fs/cgroup', path, file.v2), value.v2);
}
