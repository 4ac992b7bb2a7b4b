import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine } from '../kit/engine.ts';
import { until } from '../kit/keeper.ts';
import { leftovers } from '../kit/ledger.ts';

let test: TestEngine;
beforeAll(async () => {
  test = await TestEngine.start();
});
afterAll(async () => {
  expect(leftovers(await test.stop())).toEqual([]);
});

const state = async (name: string) => (await test.engine.containers.inspect(name)).state;

/** What a daemon that was killed does when the keeper starts it again: the old engine does nothing more. */
async function restartEngine(meanwhile: () => Promise<unknown> = async () => undefined): Promise<void> {
  await test.engine.detach();
  await meanwhile();
  await test.open();
}

const monitorOf = (id: string) => Number(/PPid:\s+(\d+)/.exec(readFileSync(`/proc/${id}/status`, 'utf8'))?.[1]);

describe('a restarted engine', () => {
  it('finds running containers again, with log, exec and exit code', async () => {
    await test.create('lives', [
      'sh',
      '-c',
      'i=0; while test ! -e /stop; do echo $i; i=$((i+1)); sleep 0.05; done; exit 6',
    ]);
    await test.engine.containers.start('lives');
    const { pid } = await state('lives');
    await restartEngine();
    expect(await state('lives')).toMatchObject({ status: 'running', pid });
    expect((await test.exec('lives', ['echo', 'hello'])).stdout).toBe('hello\n');
    const ended = test.engine.containers.wait('lives', 'next-exit');
    await test.exec('lives', ['touch', '/stop']);
    expect((await ended).exitCode).toBe(6);
    const numbers: number[] = [];
    for await (const frame of await test.engine.containers.logs('lives', { stdout: true, stderr: true }))
      numbers.push(Number(frame.data.toString()));
    expect(numbers).toEqual(numbers.map((_, index) => index));
  });

  it('takes over the exit that happened while it was away, and restarts by policy', async () => {
    await test.create('leaves', ['sh', '-c', 'while test ! -e /tmp/stop; do sleep 0.02; done; exit 8']);
    await test.create('returns', ['sh', '-c', 'sleep 0.3; exit 1'], {
      host: { restartPolicy: { name: 'on-failure', maximumRetries: 5 } },
    });
    for (const name of ['leaves', 'returns']) await test.engine.containers.start(name);
    const { pid } = await state('leaves');
    await restartEngine(async () => {
      process.kill(pid, 'SIGKILL');
      await until('the end of the first process', () => !exists(pid));
    });
    expect(await state('leaves')).toMatchObject({ status: 'exited', exitCode: 137 });
    await until('a restart', async () => (await state('returns')).restartCount > 0);
    await test.engine.containers.remove('returns', { force: true });
  });

  it('leaves alone what a user stopped, until the machine starts again', async () => {
    for (const name of ['always', 'unless-stopped'] as const) {
      await test.create(name, ['sleep', '1000'], { host: { restartPolicy: { name, maximumRetries: 0 } } });
      await test.engine.containers.start(name);
      await test.engine.containers.stop(name, { timeoutSeconds: 0 });
    }
    await restartEngine();
    expect((await state('always')).status).toBe('exited');
    // What a reboot leaves of /run.
    await restartEngine(async () => rmSync(join(test.directory, 'run/c'), { recursive: true }));
    await until('the start', async () => (await state('always')).status === 'running');
    expect((await state('unless-stopped')).status).toBe('exited');
    for (const name of ['always', 'unless-stopped']) await test.engine.containers.remove(name, { force: true });
  });

  it('ends what has lost its monitor, and says so', async () => {
    await test.create('orphan', ['sleep', '1000']);
    await test.engine.containers.start('orphan');
    const { pid } = await state('orphan');
    await restartEngine(async () => process.kill(monitorOf(String(pid)), 'SIGKILL'));
    expect(await state('orphan')).toMatchObject({ status: 'exited', exitCode: 255, error: 'monitor lost' });
    expect(exists(pid)).toBe(false);
    await test.engine.containers.start('orphan');
    await test.engine.containers.remove('orphan', { force: true });
  });

  it('notices the loss of a monitor while it runs', async () => {
    await test.create('bereft', ['sleep', '1000']);
    await test.engine.containers.start('bereft');
    const { pid } = await state('bereft');
    const ended = test.engine.containers.wait('bereft', 'next-exit');
    process.kill(monitorOf(String(pid)), 'SIGKILL');
    expect(await ended).toEqual({ exitCode: 255, error: 'monitor lost' });
    expect(exists(pid)).toBe(false);
  });

  it('goes on with health checks', async () => {
    await test.create('probed', ['sleep', '1000'], {
      config: { healthcheck: { test: ['CMD', 'test', '!', '-e', '/sick'], intervalNs: 2e8, retries: 1 } },
    });
    await test.engine.containers.start('probed');
    await until('health', async () => (await state('probed')).health?.status === 'healthy');
    await restartEngine();
    await test.exec('probed', ['touch', '/sick']);
    await until('sickness', async () => (await state('probed')).health?.status === 'unhealthy');
  });
});

it('an engine with another keeper takes running containers over, their network included', async () => {
  await test.create('stays', ['sleep', '1000'], { host: { networkMode: 'bridge' } });
  await test.engine.containers.start('stays');
  const address = (await test.exec('stays', ['ip', '-4', 'addr', 'show', 'eth0'])).stdout;
  const { pid } = await state('stays');
  await test.loseKeeper();
  expect(await state('stays')).toMatchObject({ status: 'running', pid });
  expect((await test.exec('stays', ['ip', '-4', 'addr', 'show', 'eth0'])).stdout).toBe(address);
  await test.engine.containers.stop('stays', { timeoutSeconds: 0 });
  expect((await state('stays')).exitCode).toBe(137);
  await test.engine.containers.start('stays');
  expect((await state('stays')).status).toBe('running');
});

function exists(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
