import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon, waitUntil } from '../kit/daemon.ts';
import { leftovers } from '../kit/ledger.ts';
import { cliProject } from '../stack-up/run-cli.ts';
import { killDaemon } from './faults.ts';

// Services that end, badly or late, are told about in words and handled by their policy.
let daemon: TestDaemon;

beforeAll(async () => {
  daemon = await startTestDaemon();
  await daemon.importBusybox();
});

afterAll(async () => {
  expect(leftovers(await daemon.stop())).toEqual([]);
});

interface State {
  readonly State: { readonly Status: string; readonly ExitCode: number; readonly OOMKilled: boolean };
  readonly RestartCount: number;
}

/** Names of all containers of the daemon. */
const names = async () =>
  (await daemon.call('GET', '/containers/json?all=1'))
    .json<readonly { Names: string[] }[]>()
    .map(({ Names }) => Names[0]);

const inspect = async (name: string) => (await daemon.call('GET', `/containers/${name}/json`)).json<State>();

it('restart policies hold while the daemon is dead and after it', async () => {
  using project = cliProject(daemon.host, {
    'compose.yaml': `
services:
  always: { image: busybox, command: sh -c 'sleep 0.3; exit 1', restart: always }
  failing: { image: busybox, command: sh -c 'sleep 1; exit 3', restart: "on-failure:1" }
  well: { image: busybox, command: sh -c 'sleep 0.5', restart: on-failure }
  never: { image: busybox, command: sh -c 'sleep 0.5; exit 4' }
  stopped: { image: busybox, command: sleep 600, init: true, restart: unless-stopped }
`,
  });
  // Its status says whether one has already ended: that depends on the machine.
  await project.run(['up', '-d']);
  expect((await project.run(['stop', 'stopped'])).status).toBe(0);
  await killDaemon(daemon);
  await killDaemon(daemon);
  const of = (service: string) => inspect(`${project.name}-${service}-1`);
  const { RestartCount } = await of('always');
  await waitUntil(20_000, async () => (await of('always')).RestartCount > RestartCount);
  await waitUntil(20_000, async () => (await of('failing')).State.Status === 'exited');
  expect(await of('failing')).toMatchObject({ RestartCount: 1, State: { ExitCode: 3 } });
  expect(await of('well')).toMatchObject({ RestartCount: 0, State: { Status: 'exited', ExitCode: 0 } });
  expect(await of('never')).toMatchObject({ RestartCount: 0, State: { Status: 'exited', ExitCode: 4 } });
  expect((await of('stopped')).State.Status).toBe('exited');
  expect((await project.run(['down', '-t', '1'])).status).toBe(0);
});

it('memory that runs out is told in words', async () => {
  using project = cliProject(daemon.host, {
    'compose.yaml': `
services:
  hungry:
    image: busybox
    command: sh -c 'echo eating; x=0123456789abcdef; while true; do x=$$x$$x; done'
    mem_limit: 16m
  after:
    image: busybox
    command: sleep 600
    depends_on: { hungry: { condition: service_completed_successfully } }
`,
  });
  const up = await project.run(['up', '-d']);
  expect(up.status).toBe(1);
  expect(up.stderr).toMatch(/service hungry: container \S+ exited with code 137 \(killed: out of memory\)/);
  expect(up.stderr).toContain('eating');
  expect((await inspect(`${project.name}-hungry-1`)).State).toMatchObject({ OOMKilled: true, ExitCode: 137 });
  expect((await project.run(['ps', '-a'])).stdout).toMatch(/hungry.*Exited \(137\)/);
  await project.run(['down']);
});

it('the reason of a failure has the words of that run only', async () => {
  using project = cliProject(daemon.host, {
    'compose.yaml': `
services:
  once: { image: busybox, command: sh -c 'cat /state/said || echo first words > /state/said; cat /state/said; exit 5', volumes: ["state:/state"] }
volumes: { state: }
`,
  });
  // On a line of their own: the excerpt of the file shows the command too.
  expect((await project.run(['up', '-d'])).stderr).toMatch(/^ +first words$/m);
  await project.run(['run', '--rm', 'once', 'sh', '-c', 'echo second words > /state/said']);
  const again = await project.run(['up', '-d']);
  expect(again.status).toBe(1);
  expect(again.stderr).toMatch(/^ +second words$/m);
  expect(again.stderr).not.toMatch(/^ +first words$/m);
  await project.run(['down', '-v']);
});

it('attached, the last words of a service come before its exit', async () => {
  const services = Array.from(
    { length: 6 },
    (_, n) =>
      `  s${n}: { image: busybox, command: sh -c 'for i in 1 2 3 4 5 6 7 8 9; do echo line $$i; done; echo last' }\n`,
  );
  using project = cliProject(daemon.host, { 'compose.yaml': `services:\n${services.join('')}` });
  const lines = (await project.run(['up', '--no-color'])).stdout.split('\n');
  for (let n = 0; n < 6; n += 1) {
    const own = lines.filter((line) => line.startsWith(`s${n}-1`)).map((line) => line.replace(/^\S+\s+\|?\s*/, ''));
    expect(own.slice(-2)).toEqual(['last', 'exited with code 0']);
  }
  await project.run(['down']);
});

it.each([
  ['missing', 127, /no-such-program/],
  ['not executable', 126, /\/etc\/hosts/],
])('run of a program that is %s ends with the status that a shell gives', async (_, status, words) => {
  using project = cliProject(daemon.host, { 'compose.yaml': 'services: { one: { image: busybox } }' });
  const program = status === 127 ? 'no-such-program' : '/etc/hosts';
  const ran = await project.run(['run', '--rm', 'one', program]);
  expect(ran.status).toBe(status);
  expect(ran.stderr).toMatch(words);
  expect(await names()).toEqual([]);
  await project.run(['down']);
});

it('a process that ignores the request to stop is killed after its grace', async () => {
  using project = cliProject(daemon.host, {
    'compose.yaml': `
services:
  deaf:
    image: busybox
    command: sh -c 'trap "" TERM; echo deaf; while true; do sleep 0.1; done'
    stop_grace_period: 1s
  own:
    image: busybox
    command: sh -c 'trap "exit 7" USR1; while true; do sleep 0.1; done'
    stop_signal: SIGUSR1
`,
  });
  expect((await project.run(['up', '-d'])).status).toBe(0);
  const begin = performance.now();
  expect((await project.run(['stop'])).status).toBe(0);
  expect(performance.now() - begin).toBeGreaterThan(1000);
  expect((await inspect(`${project.name}-deaf-1`)).State).toMatchObject({ Status: 'exited', ExitCode: 137 });
  expect((await inspect(`${project.name}-own-1`)).State).toMatchObject({ Status: 'exited', ExitCode: 7 });
  expect((await project.run(['up', '-d'])).status).toBe(0);
  expect((await project.run(['down'])).status).toBe(0);
});

it('twenty services come and go together', async () => {
  const services = Array.from(
    { length: 20 },
    (_, n) => `  s${n}: { image: busybox, command: sleep 600, init: true }\n`,
  );
  using project = cliProject(daemon.host, { 'compose.yaml': `services:\n${services.join('')}` });
  const up = await project.run(['up', '-d']);
  expect(up.status, up.stderr).toBe(0);
  expect((await project.run(['ps', '-q'])).stdout.trim().split('\n')).toHaveLength(20);
  const down = await project.run(['down', '-v']);
  expect(down.status, down.stderr).toBe(0);
  expect(down.stderr.match(/Removed/g)).toHaveLength(21);
  expect(await names()).toEqual([]);
});

it('a UDP port that is taken, and a port that two services want', async () => {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  const compose = (ports: string) => `
services:
  one: { image: busybox, command: sleep 600, init: true, ports: [${ports}] }
  two: { image: busybox, command: sleep 600, init: true, ports: [${ports}], depends_on: [one] }
`;
  using project = cliProject(daemon.host, { 'compose.yaml': compose(`"127.0.0.1:${port}:7/udp"`) });
  const taken = await project.run(['up', '-d', 'one']);
  expect(taken.status).toBe(1);
  expect(taken.stderr).toMatch(new RegExp(`service one: .*:${port}/udp is already used by`));
  expect(taken.stderr).toContain('publish another one');
  socket.close();
  await once(socket, 'close');
  // The port is free now, but one service would find the other in its way.
  const clash = await project.run(['up', '-d']);
  expect(clash.status).toBe(1);
  expect(clash.stderr).toMatch(new RegExp(`service one: 127.0.0.1:${port}/udp is wanted as well by`));
  expect((await project.run(['up', '-d', 'one'])).status).toBe(0);
  expect((await project.run(['down', '-v'])).status).toBe(0);
});

it('a build step that fails names file and line, and nothing is half made', async () => {
  using project = cliProject(daemon.host, {
    'compose.yaml': 'services:\n  web: { build: . }\n  db: { image: busybox, command: sleep 600, init: true }\n',
    Dockerfile: 'FROM busybox\n\n# the third\nRUN echo before; \\\n    exit 9\n',
  });
  const { status, stderr } = await project.run(['up', '-d']);
  expect(status).toBe(1);
  expect(stderr).toMatch(/Dockerfile:4/);
  expect(stderr).toContain('before');
  const { stdout } = await project.run(['ps', '-a', '-q']);
  if (stdout !== '') expect(stderr).toContain('left as it is');
  expect(await names()).toEqual([]);
});
