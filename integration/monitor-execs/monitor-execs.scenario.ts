import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { until } from '../kit/keeper.ts';
import { leftovers } from '../kit/ledger.ts';

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await startTestDaemon();
  await daemon.importBusybox();
});
afterAll(async () => {
  expect(leftovers(await daemon.stop())).toEqual([]);
});

/** Processes below the keeper, as `state name`. */
function below(parent: number): { readonly pid: number; readonly state: string; readonly name: string }[] {
  const found = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      if (Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]) !== parent) continue;
      found.push({
        pid: Number(pid),
        state: /^State:\s+(\w)/m.exec(status)?.[1] ?? '',
        name: /^Name:\s+(.*)/m.exec(status)?.[1] ?? '',
      });
    } catch {
      // Ended while we looked.
    }
  }
  return found;
}

const monitors = () => below(daemon.keeperPid).filter(({ name }) => name === 'tsc-monitor');
const zombies = () =>
  [daemon.keeperPid, ...monitors().map(({ pid }) => pid)].flatMap(below).filter(({ state }) => state === 'Z');
const execDirectories = () => readdirSync(join(daemon.directory, 'run/e'));

async function run(name: string): Promise<void> {
  const created = await daemon.call('POST', `/containers/create?name=${name}`, {
    Image: 'busybox',
    Cmd: ['sleep', '1000'],
  });
  expect(created.status, created.text()).toBe(201);
  expect((await daemon.call('POST', `/containers/${name}/start`)).status).toBe(204);
}

async function exec(name: string, command: readonly string[]): Promise<{ status: number; text: string; id: string }> {
  const made = await daemon.call('POST', `/containers/${name}/exec`, { Cmd: command, AttachStdout: true });
  if (made.status !== 201) return { status: made.status, text: made.text(), id: '' };
  const { Id } = made.json<{ Id: string }>();
  const answer = await daemon.call('POST', `/exec/${Id}/start`, { Detach: false });
  return { status: answer.status, text: answer.text(), id: Id };
}

describe('many execs', () => {
  it('200 at once all run, and leave neither monitor nor zombie nor file', async () => {
    await run('busy');
    const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => exec('busy', ['echo', `answer ${n}`])));
    for (const [n, answer] of answers.entries()) {
      expect(answer.status, answer.text).toBe(200);
      expect(answer.text).toContain(`answer ${n}\n`);
    }
    await until('the end of their monitors', () => monitors().length === 1, 20_000);
    await until('their files to go', () => execDirectories().length === 0);
    expect(zombies()).toEqual([]);
    await daemon.call('DELETE', '/containers/busy?force=1');
  });

  it('into a container that dies meanwhile all settle and leave nothing', async () => {
    for (let round = 0; round < 5; round++) {
      await run('dying');
      const execs = Array.from({ length: 20 }, () => exec('dying', ['sleep', '1000']));
      await new Promise((resolve) => setTimeout(resolve, round * 25));
      await daemon.call('POST', '/containers/dying/kill');
      for (const answer of await Promise.all(execs)) expect([200, 400, 404, 409, 500]).toContain(answer.status);
      expect((await daemon.call('DELETE', '/containers/dying?force=1')).status).toBe(204);
      await until('the end of all monitors', () => monitors().length === 0, 20_000);
      await until('all files to go', () => execDirectories().length === 0);
      expect(zombies()).toEqual([]);
    }
  });
});
