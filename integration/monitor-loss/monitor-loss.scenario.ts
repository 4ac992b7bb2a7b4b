import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EngineEvent } from '../../src/engine/index.ts';
import { TestEngine } from '../kit/engine.ts';
import { isAlive, killIfThere, TestKeeper, until } from '../kit/keeper.ts';
import { leftovers } from '../kit/ledger.ts';
import { MonitorCase } from '../kit/monitor-case.ts';

const parentOf = async (pid: number) =>
  Number(/PPid:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''))?.[1] ?? 0);

/** The host's pid of a process with these words in its command line. */
async function findProcess(...words: string[]): Promise<number> {
  for (const name of (await readdir('/proc')).filter((each) => /^\d+$/.test(each))) {
    const line = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
    if (words.every((word) => line.split('\0').includes(word))) return Number(name);
  }
  return 0;
}

describe('a monitor that is killed', () => {
  let test: TestEngine;
  beforeAll(async () => {
    test = await TestEngine.start();
  });
  afterAll(async () => {
    expect(leftovers(await test.stop())).toEqual([]);
  });
  const state = async (name: string) => (await test.engine.containers.inspect(name)).state;

  it('is noticed: all of the container is killed, exit 255 is recorded and told, and the restart policy applies', async () => {
    const events: EngineEvent[] = [];
    const silence = test.engine.events.listen((event) => void events.push(event));
    await test.create('kept', ['sh', '-c', 'sleep 4711 & exec sleep 4712'], {
      host: { restartPolicy: { name: 'always', maximumRetries: 0 } },
    });
    await test.engine.containers.start('kept');
    const first = await state('kept');
    await until('its second process', async () => (await findProcess('sleep', '4711')) > 0);
    const second = await findProcess('sleep', '4711');
    const ended = test.engine.containers.wait('kept', 'next-exit');
    killIfThere(await parentOf(first.pid));
    expect(await ended).toEqual({ exitCode: 255, error: 'monitor lost' });
    expect(await isAlive(first.pid)).toBe(false);
    expect(await isAlive(second)).toBe(false);
    await until('another run', async () => {
      const now = await state('kept');
      return now.status === 'running' && now.pid !== first.pid;
    });
    expect((await state('kept')).restartCount).toBe(1);
    expect(events.some(({ action, actor }) => action === 'die' && actor.attributes['exitCode'] === '255')).toBe(true);
    silence();
    await test.engine.containers.remove('kept', { force: true });
  });

  it('of an exec takes nothing along but the exec', async () => {
    await test.create('host', ['sleep', '1000']);
    await test.engine.containers.start('host');
    const before = await state('host');
    const id = await test.engine.exec.create('host', { command: ['sleep', '4713'], attachStdout: true });
    await test.engine.exec.startDetached(id);
    const { pid } = test.engine.exec.inspect(id);
    killIfThere(await parentOf(pid));
    expect(await test.engine.exec.wait(id)).toBe(255);
    expect(await state('host')).toMatchObject({ status: 'running', pid: before.pid });
    expect((await test.exec('host', ['echo', 'fine'])).stdout).toBe('fine\n');
    await until('the end of what the exec ran', async () => !(await isAlive(pid)));
    await test.engine.containers.remove('host', { force: true });
  });
});

describe('a monitor of an exec that nobody starts', () => {
  it('leaves by itself, also without a daemon', async () => {
    const keeper = await TestKeeper.start();
    const base = await mkdtemp(join(tmpdir(), 'tsc-mloss-'));
    try {
      const link = await keeper.link();
      const script = join(base, 'process');
      await writeFile(script, 'exit 3');
      const options = { kind: 'exec', process: script, log: null };
      const one = await new MonitorCase(link, base, 'one').spawn('', { ...options, start_within: 200 });
      const connection = await one.connect();
      await expect(connection.exit).rejects.toMatchObject({ code: 'monitor/unavailable' });
      await until('its end', async () => !(await isAlive(one.pid)));
      // One that is started in time has all the time it wants.
      const two = await new MonitorCase(link, base, 'two').spawn('', { ...options, start_within: 1000 });
      await writeFile(script, 'sleep 1.5; exit 4');
      await using second = await two.connect();
      await second.start();
      expect((await second.exit).exitCode).toBe(4);
    } finally {
      await keeper.stop();
      await rm(base, { recursive: true, force: true });
    }
  });
});
