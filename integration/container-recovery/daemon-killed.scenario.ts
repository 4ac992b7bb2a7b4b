import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
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

interface Inspect {
  readonly Id: string;
  readonly State: { readonly Status: string; readonly Pid: number; readonly ExitCode: number };
  readonly RestartCount: number;
}

async function create(name: string, command: string[], host: object = {}): Promise<void> {
  const body = { Image: 'busybox', Cmd: command, HostConfig: host };
  const answer = await daemon.call('POST', `/containers/create?name=${name}`, body);
  expect(answer.status, answer.text()).toBe(201);
}

const start = async (name: string) => daemon.call('POST', `/containers/${name}/start`);
const inspect = async (name: string) => (await daemon.call('GET', `/containers/${name}/json`)).json<Inspect>();

/** Kills the daemon and waits for the one the keeper starts in its place. */
async function killDaemon(): Promise<void> {
  const pid = await daemon.daemonPid();
  process.kill(pid, 'SIGKILL');
  await until('another daemon', async () => {
    try {
      return (await daemon.daemonPid()) !== pid;
    } catch {
      return false;
    }
  });
}

/** The first line a server says. */
function greeting(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('data', (data) => {
      resolve(data.toString());
      socket.destroy();
    });
    socket.once('error', reject);
    socket.setTimeout(2000, () => socket.destroy(new Error('silence')));
  });
}

it('containers, published ports, logs and exit codes survive kill -9 of the daemon', async () => {
  const port = 20_000 + (process.pid % 10_000);
  await create('server', ['sh', '-c', 'while true; do echo hello | nc -l -p 80; done'], {
    PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: String(port) }] },
  });
  expect((await start('server')).status).toBe(204);
  await until('the server', () =>
    greeting(port).then(
      (text) => text === 'hello\n',
      () => false,
    ),
  );
  const before = await inspect('server');
  await create('counter', ['sh', '-c', 'i=0; while test $i -lt 60; do echo $i; i=$((i+1)); sleep 0.05; done; exit 9']);
  await start('counter');
  const killed = killDaemon();
  await delay(30);
  // Nobody manages anything now, and the port answers.
  expect(await greeting(port)).toBe('hello\n');
  await killed;
  expect((await inspect('server')).State).toMatchObject({ Status: 'running', Pid: before.State.Pid });
  await until('the server again', () =>
    greeting(port).then(
      (text) => text === 'hello\n',
      () => false,
    ),
  );
  const waited = await daemon.call('POST', '/containers/counter/wait');
  expect(waited.json()).toMatchObject({ StatusCode: 9 });
  const { body } = await daemon.call('GET', '/containers/counter/logs?stdout=1&stderr=1');
  const lines = body.toString('latin1').match(/\d+(?=\n)/g) ?? [];
  expect(lines.map(Number)).toEqual(Array.from({ length: 60 }, (_, index) => index));
});

it('a start that the kill interrupts ends as one that happened or did not', async () => {
  for (const wait of [0, 5, 12, 20, 35, 60]) {
    const name = `cut${wait}`;
    await create(name, ['sleep', '1000']);
    const starting = start(name).catch(() => undefined);
    await delay(wait);
    await killDaemon();
    await starting;
    const { State } = await inspect(name);
    expect(['created', 'running', 'exited']).toContain(State.Status);
    const again = await start(name);
    expect([204, 304], again.text()).toContain(again.status);
    expect((await inspect(name)).State.Status).toBe('running');
    expect((await daemon.call('DELETE', `/containers/${name}?force=1`)).status).toBe(204);
  }
});

it('a restart policy goes on after the kill', async () => {
  await create('loops', ['sh', '-c', 'sleep 0.2; exit 1'], { RestartPolicy: { Name: 'always' } });
  await start('loops');
  await killDaemon();
  const { RestartCount } = await inspect('loops');
  await until('a further run', async () => (await inspect('loops')).RestartCount > RestartCount);
});
