import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { spawnProgram } from '../../src/host/index.ts';
import { HANG } from '../kit/bundle.ts';
import { TestEngine } from '../kit/engine.ts';
import { until } from '../kit/keeper.ts';
import { leftovers } from '../kit/ledger.ts';

/** Processes that SIGKILL does not reach: they read from a file system that does not answer. */
let test: TestEngine;
let place: string;
let said = '';
let fileSystem: ReturnType<typeof spawnProgram>;
beforeAll(async () => {
  test = await TestEngine.start();
  place = join(test.directory, 'hang');
  mkdirSync(place);
  fileSystem = spawnProgram(HANG, [place], { stdio: ['pipe', 'pipe', 'inherit'] });
  fileSystem.stdout?.on('data', (text: Buffer) => (said += text.toString()));
  await until('the file system', () => said.includes('mounted'));
});
afterAll(async () => {
  fileSystem.stdin?.end();
  await once(fileSystem, 'close');
  expect(leftovers(await test.stop())).toEqual([]);
});

const statusOf = async (name: string) => (await test.engine.containers.inspect(name)).state;

/** Its first process waits in the kernel. */
async function stuck(name: string, host: object = {}): Promise<number> {
  const before = said.length;
  await test.create(name, ['cat', `/hang/${name}`], { host: { binds: [`${place}:/hang`], ...host } });
  await test.engine.containers.start(name);
  await until('a process in the kernel', () => said.includes('held', before));
  return (await statusOf(name)).pid;
}

const failure = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no failure',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );

it('stop, kill and remove say so, others are served, and all is cleaned when they can be killed', async () => {
  const { containers } = test.engine;
  const pids = [
    await stuck('stopped'),
    await stuck('killed'),
    await stuck('removed', { restartPolicy: { name: 'always', maximumRetries: 0 } }),
  ];
  const failures = Promise.all([
    failure(containers.stop('stopped', { timeoutSeconds: 1 })),
    failure(containers.kill('killed', 'KILL')),
    failure(containers.remove('removed', { force: true })),
  ]);
  const started = Date.now();
  expect(await test.run('another', ['echo', 'served'])).toMatchObject({ exitCode: 0, stdout: 'served\n' });
  await containers.remove('another', {});
  expect(await failures).toEqual(
    ['stopped', 'killed', 'removed'].map((name) => `container ${name} does not end after SIGKILL`),
  );
  expect(Date.now() - started).toBeLessThan(25_000);
  for (const pid of pids) expect(readFileSync(`/proc/${pid}/stat`, 'utf8')).toMatch(/\) D /);

  expect(await statusOf('stopped')).toMatchObject({ status: 'running' });
  expect(await statusOf('killed')).toMatchObject({ status: 'running' });
  expect(await statusOf('removed')).toMatchObject({ status: 'removing' });
  expect(await failure(containers.start('removed'))).toContain('is being removed');
  const gone = containers.wait('removed', 'removed');
  fileSystem.kill('SIGUSR1');
  await gone;
  expect(await failure(statusOf('removed'))).toContain('no such container');
  for (const name of ['stopped', 'killed']) {
    await until(`the end of ${name}`, async () => (await statusOf(name)).status === 'exited');
    expect(await statusOf(name)).toMatchObject({ exitCode: 137 });
    await containers.remove(name, {});
  }
}, 60_000);

it('a daemon that starts meanwhile goes on, and what was to be removed goes when it can', async () => {
  await stuck('lost');
  expect(await failure(test.engine.containers.remove('lost', { force: true }))).toContain('does not end after SIGKILL');
  await test.engine.detach();
  await test.open();
  expect(await statusOf('lost')).toMatchObject({ status: 'removing' });
  expect(await test.run('other', ['echo', 'served'])).toMatchObject({ exitCode: 0, stdout: 'served\n' });
  await test.engine.containers.remove('other', {});
  const gone = test.engine.containers.wait('lost', 'removed');
  fileSystem.kill('SIGUSR1');
  await gone;
  expect(await test.engine.containers.list({ all: true })).toEqual([]);
});
