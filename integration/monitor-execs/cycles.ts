import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { startTestDaemon } from '../kit/daemon.ts';
import { until } from '../kit/keeper.ts';
import { leftovers } from '../kit/ledger.ts';

const INTERVAL_NS = 20_000_000;
const AT_ONCE = 10;

/** Processes below these, whatever their state. */
function family(root: number): { pid: number; state: string }[] {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const [, state = '', parent = ''] = /^.*\) (\w) (\d+) /s.exec(readFileSync(`/proc/${name}/stat`, 'utf8')) ?? [];
        return [{ pid: Number(name), state, parent: Number(parent) }];
      } catch {
        return []; // Ended while we looked.
      }
    });
  const found: typeof all = [];
  for (let level = [root]; level.length > 0; ) {
    const children = all.filter(({ parent }) => level.includes(parent));
    found.push(...children);
    level = children.map(({ pid }) => pid);
  }
  return found;
}

/**
 * F26: execs whose children outlive them and are nobody's, and probes that are cut off with children of their own, so
 * many of each. Neither below the keeper nor in the container may a zombie or a process stay.
 */
export async function forkAndForget(count: number): Promise<void> {
  const daemon = await startTestDaemon();
  await daemon.importBusybox();
  const probe = {
    Test: ['CMD-SHELL', 'sleep 100 & sleep 100'],
    Interval: INTERVAL_NS,
    Timeout: INTERVAL_NS,
    Retries: 1,
  };
  const host = { Init: true, NetworkMode: 'none' };
  for (const [name, more] of [
    ['execs', {}],
    ['probes', { Healthcheck: probe }],
  ] as const) {
    const body = { Image: 'busybox', Cmd: ['sleep', '100000'], HostConfig: host, ...more };
    expect((await daemon.call('POST', `/containers/create?name=${name}`, body)).status).toBe(201);
    expect((await daemon.call('POST', `/containers/${name}/start`)).status).toBe(204);
  }
  const exec = async (): Promise<number> => {
    const script = '(sh -c "sleep 0.01 & exit" &); (usleep 10000 &); exit 0';
    const made = await daemon.call('POST', '/containers/execs/exec', { Cmd: ['sh', '-c', script], AttachStdout: true });
    return (await daemon.call('POST', `/exec/${made.json<{ Id: string }>().Id}/start`, { Detach: false })).status;
  };
  for (let done = 0; done < count; done += AT_ONCE)
    expect(new Set(await Promise.all(Array.from({ length: AT_ONCE }, exec)))).toEqual(new Set([200]));
  await until(
    'the probes',
    async () => {
      const { State } = (await daemon.call('GET', '/containers/probes/json')).json<{
        State: { Health: { FailingStreak: number } };
      }>();
      return State.Health.FailingStreak >= count;
    },
    count * 1000,
  );
  expect((await daemon.call('DELETE', '/containers/probes?force=1')).status).toBe(204);
  // The keeper's daemon and name server, one monitor, the container's init and its process.
  const settled = () => {
    const all = family(daemon.keeperPid);
    return all.every(({ state }) => state !== 'Z') && all.filter(({ pid }) => isOf(pid, 'sleep')).length === 1;
  };
  await until('the end of all children', settled, 20_000);
  await until('their files to go', () => readdirSync(join(daemon.directory, 'run/e')).length === 0);
  expect(leftovers(await daemon.stop())).toEqual([]);
}

function isOf(pid: number, program: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith(`${program}\0`);
  } catch {
    return false;
  }
}
