import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { spawnProgram } from '../../src/host/index.ts';
import { startTestDaemon, type TestDaemon, waitUntil } from '../kit/daemon.ts';
import { leftovers, takeLedger } from '../kit/ledger.ts';

async function startTicker(daemon: TestDaemon): Promise<void> {
  await daemon.importBusybox();
  const script = 'i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.05; done';
  await daemon.call('POST', '/containers/create?name=ticker', { Image: 'busybox', Cmd: ['sh', '-c', script] });
  expect((await daemon.call('POST', '/containers/ticker/start')).status).toBe(204);
}

async function state(daemon: TestDaemon) {
  const { State } = (await daemon.call('GET', '/containers/ticker/json')).json<{
    State: { Running: boolean; Pid: number };
  }>();
  return State;
}

/** Numbers of the ticks in the log; a lost line would be a gap. */
async function ticks(daemon: TestDaemon): Promise<number[]> {
  const log = (await daemon.call('GET', '/containers/ticker/logs?stdout=1')).body.toString('latin1');
  return [...log.matchAll(/tick (\d+)\n/g)].map((match) => Number(match[1]));
}

async function survives(daemon: TestDaemon, blow: () => Promise<void>): Promise<void> {
  const before = await state(daemon);
  const daemonBefore = await daemon.daemonPid();
  await blow();
  await waitUntil(20_000, () =>
    daemon.daemonPid().then(
      (pid) => pid !== daemonBefore,
      () => false,
    ),
  );
  expect(await state(daemon)).toMatchObject({ Running: true, Pid: before.Pid });
  const seen = (await ticks(daemon)).length;
  await waitUntil(20_000, async () => (await ticks(daemon)).length > seen + 3);
  const numbers = await ticks(daemon);
  expect(numbers).toEqual(numbers.map((_tick, index) => index));
}

describe('the daemon', () => {
  it('is killed and comes back: containers, logs and exit codes stay', async () => {
    const daemon = await startTestDaemon();
    try {
      await startTicker(daemon);
      await survives(daemon, async () => void process.kill(await daemon.daemonPid(), 'SIGKILL'));
      // Once more, to see that what was found again is whole; as Node ends when its heap is full.
      await survives(daemon, async () => void process.kill(await daemon.daemonPid(), 'SIGABRT'));
      const waiting = daemon.call('POST', '/containers/ticker/wait');
      expect((await daemon.call('POST', '/containers/ticker/kill?signal=KILL')).status).toBe(204);
      expect((await waiting).json()).toEqual({ StatusCode: 137 });
    } finally {
      expect(leftovers(await daemon.stop())).toEqual([]);
    }
  });

  it('learns the exit code of a container that ended while it was away', async () => {
    const daemon = await startTestDaemon();
    try {
      await daemon.importBusybox();
      await daemon.call('POST', '/containers/create?name=brief', {
        Image: 'busybox',
        Cmd: ['sh', '-c', 'sleep 0.4; echo last words; exit 42'],
      });
      await daemon.call('POST', '/containers/brief/start');
      const pid = await daemon.daemonPid();
      process.kill(pid, 'SIGSTOP');
      await delay(800);
      process.kill(pid, 'SIGKILL');
      await waitUntil(20_000, () =>
        daemon.daemonPid().then(
          (now) => now !== pid,
          () => false,
        ),
      );
      expect((await daemon.call('POST', '/containers/brief/wait')).json()).toEqual({ StatusCode: 42 });
      expect((await daemon.call('GET', '/containers/brief/logs?stdout=1')).text()).toContain('last words');
    } finally {
      expect(leftovers(await daemon.stop())).toEqual([]);
    }
  });

  it('leaves with its keeper after a while without work, and not before', async () => {
    const daemon = await startTestDaemon({ idleSeconds: 1 });
    await startTicker(daemon);
    await delay(2500);
    expect((await state(daemon)).Running).toBe(true);
    await daemon.call('DELETE', '/containers/ticker?force=1');
    await waitUntil(20_000, async () => (await takeLedger(daemon.instance, daemon.directory)).processes.length === 0);
    const { files: _files, ...rest } = await daemon.ledger();
    expect(leftovers({ ...rest, files: [] })).toEqual([]);
    rmSync(daemon.directory, { recursive: true });
  });

  it('starts in the foreground by tscomposed', async () => {
    const directory = mkdtempSync('/tmp/tsc-');
    const launcher = resolve(import.meta.dirname, '../../src/launch/tscomposed');
    const flags = [`--data-dir=${directory}/data`, `--run-dir=${directory}/run`, '--instance=tfg1', '--log-level=info'];
    const child = spawnProgram(launcher, flags, { stdio: ['ignore', 'ignore', 'pipe'] });
    let log = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      log += chunk.toString();
    });
    const ended = new Promise((done) => child.on('exit', done));
    await waitUntil(20_000, async () => log.includes('"serving"'));
    const answer = await new Promise<number>((done, failed) => {
      request({ socketPath: join(directory, 'run/tscompose.sock'), path: '/_ping' }, ({ statusCode = 0 }) =>
        done(statusCode),
      )
        .on('error', failed)
        .end();
    });
    expect(answer).toBe(200);
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
    rmSync(directory, { recursive: true });
    expect(leftovers(await takeLedger('tfg1', directory))).toEqual([]);
  });
});

describe('many connections', () => {
  it('that say nothing or stall do not keep others waiting', async () => {
    const daemon = await startTestDaemon();
    try {
      await daemon.importBusybox();
      await daemon.call('POST', '/containers/create?name=flood', { Image: 'busybox', Cmd: ['yes'] });
      await daemon.call('POST', '/containers/flood/start');
      // Followers that never read: the engine must hold them back or cut them off, not fill its memory.
      const stalled = Array.from({ length: 20 }, () => {
        const call = request({
          socketPath: daemon.socket,
          path: '/containers/flood/attach?stream=1&stdout=1',
          method: 'POST',
          headers: { Connection: 'Upgrade', Upgrade: 'tcp' },
        });
        call.on('upgrade', (_response, socket) => socket.pause());
        call.on('error', () => undefined);
        call.end();
        return call;
      });
      await delay(1500);
      const started = performance.now();
      expect((await daemon.call('GET', '/_ping')).status).toBe(200);
      expect(performance.now() - started).toBeLessThan(1000);
      const { readFileSync } = await import('node:fs');
      const rss = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${await daemon.daemonPid()}/status`, 'utf8'))?.[1];
      expect(Number(rss) / 1024).toBeLessThan(300);
      for (const call of stalled) call.destroy();
    } finally {
      expect(leftovers(await daemon.stop())).toEqual([]);
    }
  });
});
