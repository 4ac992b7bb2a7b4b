import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { cgroupDirectories } from '../kit/bundle.ts';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { until } from '../kit/keeper.ts';
import { leftovers } from '../kit/ledger.ts';

/**
 * F17: the daemon lives in a pid namespace of the test, where the next process id is decided: a stranger gets the one that
 * an exec, a container or a monitor had, before the daemon hears of their end. Nothing may happen to it.
 */
let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await startTestDaemon({ ownPids: true });
  await daemon.importBusybox();
});
afterAll(async () => {
  expect(leftovers(await daemon.stop())).toEqual([]);
});

interface Inspect {
  readonly Id: string;
  readonly State: { readonly Status: string; readonly Pid: number; readonly ExitCode: number; readonly Error: string };
}
interface ExecInspect {
  readonly Running: boolean;
  readonly Pid: number;
  readonly ExitCode: number | null;
}

const inspect = async (name: string) => (await daemon.call('GET', `/containers/${name}/json`)).json<Inspect>();
const inspectExec = async (id: string) => (await daemon.call('GET', `/exec/${id}/json`)).json<ExecInspect>();

/** A script among the daemon's processes. */
async function inside(script: string): Promise<string> {
  const place = ['--target', String(daemon.keeperPid), '--pid', '--mount'];
  const { status, stdout, stderr } = await runProgram('/usr/bin/nsenter', [...place, '/bin/bash', '-c', script]);
  if (status !== 0) throw new Error(`${script}: ${stderr}`);
  return stdout.trim();
}

const signal = (name: 'KILL' | 'STOP' | 'CONT', pid: number) => inside(`kill -${name} ${pid}`);
const parentOf = async (pid: number) => Number(await inside(`awk '/^PPid:/ { print $2 }' /proc/${pid}/status`));
/** What runs under that number: `sleep` is the stranger. */
const nameOf = (pid: number) => inside(`cat /proc/${pid}/comm 2>/dev/null || echo nobody`);

/** Kills the process and gives its number to a stranger. */
async function recycle(pid: number): Promise<void> {
  await inside(`
    kill -KILL ${pid} 2>/dev/null
    while [ -e /proc/${pid} ]; do :; done
    while :; do
      echo ${pid - 1} >/proc/sys/kernel/ns_last_pid
      sleep 100000 </dev/null >/dev/null 2>&1 &
      [ $! = ${pid} ] && break
      kill -KILL $!
    done`);
  expect(await nameOf(pid)).toBe('sleep');
}

async function start(name: string): Promise<{ id: string; pid: number; monitor: number }> {
  const body = { Image: 'busybox', Cmd: ['tail', '-f', '/dev/null'], HostConfig: { NetworkMode: 'none' } };
  expect((await daemon.call('POST', `/containers/create?name=${name}`, body)).status).toBe(201);
  expect((await daemon.call('POST', `/containers/${name}/start`)).status).toBe(204);
  const { Id, State } = await inspect(name);
  return { id: Id, pid: State.Pid, monitor: await parentOf(State.Pid) };
}

async function exec(name: string): Promise<{ id: string; pid: number; monitor: number }> {
  const { Id } = (await daemon.call('POST', `/containers/${name}/exec`, { Cmd: ['tail', '-f', '/dev/null'] })).json<{
    Id: string;
  }>();
  expect((await daemon.call('POST', `/exec/${Id}/start`, { Detach: true })).status).toBe(200);
  const { Pid } = await inspectExec(Id);
  return { id: Id, pid: Pid, monitor: await parentOf(Pid) };
}

/** While the daemon can notice nothing. */
async function unnoticed(happens: () => Promise<void>, then: 'CONT' | 'KILL'): Promise<void> {
  const pid = await daemon.daemonPid();
  await signal('STOP', pid);
  await happens();
  await signal(then, pid);
  if (then === 'KILL')
    await until('another daemon', () =>
      daemon.daemonPid().then(
        (now) => now !== pid,
        () => false,
      ),
    );
}

const remove = async (name: string) =>
  expect((await daemon.call('DELETE', `/containers/${name}?force=1`)).status).toBe(204);

describe('an exec', () => {
  let container: Awaited<ReturnType<typeof start>>;
  beforeEach(async () => {
    container = await start('host');
    return () => remove('host');
  });

  it('that ended: neither resize nor stop nor remove reach the stranger with its number', async () => {
    const one = await exec('host');
    await recycle(one.pid);
    await until('its end', async () => !(await inspectExec(one.id)).Running);
    expect(await inspectExec(one.id)).toMatchObject({ Pid: 0, ExitCode: 137 });
    expect((await daemon.call('POST', `/exec/${one.id}/resize?h=10&w=10`)).status).toBeGreaterThanOrEqual(400);
    expect((await daemon.call('POST', '/containers/host/stop?t=0')).status).toBe(204);
    expect(await nameOf(one.pid)).toBe('sleep');
    await signal('KILL', one.pid);
  });

  it('whose monitor was lost: the stranger lives, also as a process of the same container', async () => {
    const one = await exec('host');
    await unnoticed(async () => {
      await signal('KILL', one.monitor);
      await recycle(one.pid);
      for (const group of cgroupDirectories(`/tscompose-${daemon.instance}/${container.id}`))
        await inside(`echo ${one.pid} >${group}/cgroup.procs`);
    }, 'CONT');
    await until('its end', async () => !(await inspectExec(one.id)).Running);
    expect((await inspectExec(one.id)).ExitCode).toBe(255);
    expect(daemon.log()).toContain('the monitor of an exec was lost');
    expect(await nameOf(one.pid)).toBe('sleep');
    await signal('KILL', one.pid);
  });

  it('whose monitor was lost while there was no daemon: it is ended, a stranger with its number is not', async () => {
    const ended = await exec('host');
    const left = await exec('host');
    await unnoticed(async () => {
      await signal('KILL', ended.monitor);
      await signal('KILL', left.monitor);
      await recycle(ended.pid);
    }, 'KILL');
    await until('the end of what was left', async () => (await nameOf(left.pid)) === 'nobody');
    expect(await nameOf(ended.pid)).toBe('sleep');
    expect((await inspect('host')).State).toMatchObject({ Status: 'running', Pid: container.pid });
    await signal('KILL', ended.pid);
  });
});

describe('the monitor of a container', () => {
  it('that was killed: the container is ended and told, the stranger with the number of the monitor lives', async () => {
    const one = await start('lost');
    await unnoticed(() => recycle(one.monitor), 'CONT');
    await until('its end', async () => (await inspect('lost')).State.Status === 'exited');
    expect((await inspect('lost')).State).toMatchObject({ Pid: 0, ExitCode: 255, Error: 'monitor lost' });
    expect(await nameOf(one.pid)).toBe('nobody');
    expect((await daemon.call('POST', '/containers/lost/kill')).status).toBe(409);
    expect((await daemon.call('POST', '/containers/lost/stop')).status).toBe(304);
    await remove('lost');
    expect(await nameOf(one.monitor)).toBe('sleep');
    await signal('KILL', one.monitor);
  });

  it('that was killed while there was no daemon: found by the next one, and both numbers are spared', async () => {
    const running = await start('running');
    const dead = await start('dead');
    await unnoticed(async () => {
      await recycle(running.monitor);
      await recycle(dead.monitor);
      await recycle(dead.pid);
    }, 'KILL');
    for (const name of ['running', 'dead'])
      expect((await inspect(name)).State).toMatchObject({ Status: 'exited', ExitCode: 255, Error: 'monitor lost' });
    expect(await nameOf(running.pid)).toBe('nobody');
    expect((await daemon.call('GET', '/containers/dead/archive?path=/etc')).status).toBe(200);
    expect((await daemon.call('POST', '/containers/dead/start')).status).toBe(204);
    await remove('running');
    await remove('dead');
    for (const pid of [running.monitor, dead.monitor, dead.pid]) {
      expect(await nameOf(pid)).toBe('sleep');
      await signal('KILL', pid);
    }
  });
});
