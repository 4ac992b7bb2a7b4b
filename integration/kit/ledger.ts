import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from '../../src/host/index.ts';

/** What belongs to one daemon instance on this machine, by kind; each list is sorted. */
export interface Ledger {
  readonly processes: readonly string[];
  readonly mounts: readonly string[];
  readonly namespaces: readonly string[];
  readonly links: readonly string[];
  readonly tables: readonly string[];
  readonly cgroups: readonly string[];
  readonly files: readonly string[];
}

/** Everything that carries the instance's name or lies in its directory. An instance that is gone has nothing left. */
export async function takeLedger(instance: string, directory: string): Promise<Ledger> {
  const cgroups = findCgroups('/sys/fs/cgroup', `tscompose-${instance}`);
  const processes = findProcesses(instance, directory);
  return {
    processes: processes.map(({ pid, command }) => `${pid} ${command}`),
    mounts: readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(directory))
      .sort(),
    namespaces: [...new Set(processes.map(({ pid }) => netNamespace(pid)))].filter(
      (name) => name !== '' && name !== netNamespace('self'),
    ),
    links: (await lines('/sbin/ip', ['-o', 'link']))
      .map((line) => line.split(': ')[1] ?? '')
      .filter((name) => name.startsWith(`${instance}-`) || name.startsWith(`${instance}v`))
      .sort(),
    tables: (await lines('/usr/sbin/nft', ['list', 'tables'])).filter((line) =>
      [instance, `${instance}_egress`].includes(line.split(' ')[2] ?? ''),
    ),
    cgroups,
    files: listFiles(directory),
  };
}

/** What a ledger holds, one line each; empty when nothing is left. */
export function leftovers(ledger: Ledger): string[] {
  return Object.entries(ledger).flatMap(([kind, items]: [string, readonly string[]]) =>
    items.map((item) => `${kind}: ${item}`),
  );
}

async function lines(file: string, args: readonly string[]): Promise<string[]> {
  return (await runProgram(file, args)).stdout.split('\n').filter((line) => line !== '');
}

function netNamespace(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return '';
  }
}

// By command line, cgroup and standard error: a container's process shows neither the instance nor the directory in its arguments,
// a port's proxy not even a cgroup.
function findProcesses(instance: string, directory: string): { readonly pid: string; readonly command: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
        const cgroup = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
        const ours =
          command.includes(directory) ||
          cgroup.includes(`tscompose-${instance}`) ||
          readlinkSync(`/proc/${pid}/fd/2`).startsWith(`${directory}/`);
        return ours ? [{ pid, command }] : [];
      } catch {
        // It ended while we looked.
        return [];
      }
    });
}

function findCgroups(root: string, name: string, depth = 3): string[] {
  const entries = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return entries.flatMap((entry) => {
    const path = join(root, entry.name);
    if (entry.name === name) return [path];
    try {
      return depth === 0 ? [] : findCgroups(path, name, depth - 1);
    } catch {
      return [];
    }
  });
}

function listFiles(directory: string): string[] {
  try {
    return readdirSync(directory, { recursive: true }).map(String).sort();
  } catch {
    return [];
  }
}
