import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestEngine } from '../kit/engine.ts';
import { isAlive, killIfThere, until } from '../kit/keeper.ts';
import { leftovers } from '../kit/ledger.ts';
import { runAgainAndAgain } from './many-runs.ts';

let test: TestEngine;
beforeAll(async () => {
  test = await TestEngine.start();
});
afterAll(async () => {
  expect(leftovers(await test.stop())).toEqual([]);
});

it('forty short runs of one container lose no output and no exit code, and leave nothing', () => runAgainAndAgain(40));

it('thirty containers that hear nothing are stopped together, in about the time of one', async () => {
  const names = Array.from({ length: 30 }, (_, n) => `deaf-${n}`);
  const { containers } = test.engine;
  for (const name of names) {
    await test.create(name, ['sh', '-c', 'trap "" TERM; while :; do sleep 100; done']);
    await containers.start(name);
  }
  const started = performance.now();
  await Promise.all(names.map((name) => containers.stop(name, { timeoutSeconds: 2 })));
  // One after the other would take a minute.
  expect(performance.now() - started).toBeLessThan(15_000);
  for (const name of names) await containers.remove(name, {});
});

it('process 1 takes the others of its container along; another one that is killed takes nobody', async () => {
  const { containers } = test.engine;
  await test.create('family', ['sh', '-c', 'sleep 7001 & sleep 7002 & wait; sleep 7003']);
  await containers.start('family');
  const pids = async (): Promise<Map<string, number>> => {
    const { titles, processes } = await containers.top('family', []);
    const [pid, command] = [titles.indexOf('PID'), titles.length - 1];
    return new Map(processes.map((row) => [row[command] ?? '', Number(row[pid])]));
  };
  await until('both', async () => (await pids()).size === 3);
  const family = await pids();
  killIfThere(family.get('sleep 7001') ?? 0);
  await until('one less', async () => (await pids()).size === 2);
  expect((await containers.inspect('family')).state.status).toBe('running');
  const ended = containers.wait('family', 'next-exit');
  killIfThere((await containers.inspect('family')).state.pid);
  expect(await ended).toMatchObject({ exitCode: 137 });
  expect(await isAlive(family.get('sleep 7002') ?? 0)).toBe(false);
  await containers.remove('family', {});
});
