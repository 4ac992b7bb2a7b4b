import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon, waitUntil } from '../kit/daemon.ts';
import { freePort } from '../kit/free-port.ts';
import { leftovers } from '../kit/ledger.ts';
import { settle, takeInventory } from '../stack-leftovers/inventory.ts';
import { type CliProject, cliProject } from '../stack-up/run-cli.ts';
import { killDaemon, randomFrom } from './faults.ts';

// `kill -9` of the daemon or of the command at any moment of `up`: what runs goes on, and the next `up` converges.
let daemon: TestDaemon;

// One for each test: the keeper waits longer before each further restart.
beforeEach(async () => {
  daemon = await startTestDaemon();
  await daemon.importBusybox();
  using first = cliProject(daemon.host, { 'compose.yaml': 'services: { one: { image: busybox } }' });
  await first.run(['up', '-d']);
  await first.run(['down', '-v']);
});

afterEach(async () => {
  expect(leftovers(await daemon.stop())).toEqual([]);
});

const SERVICES = ['api', 'cache', 'db', 'front', 'seed', 'worker'];

/** Six services in four layers; `turn` is in the environment of two, so that a further `up` replaces these. */
const compose = (port: number, turn: number) => `
x-sleeper: &sleeper { image: busybox, command: sleep 600, init: true }
services:
  front:
    image: busybox
    command: sh -c 'echo page > /var/www/index.html; exec httpd -f -p 80 -h /var/www'
    init: true
    ports: ["127.0.0.1:${port}:80"]
  db:
    <<: *sleeper
    volumes: ["data:/data"]
    healthcheck: { test: "true", interval: 0.1s }
  seed:
    image: busybox
    command: sh -c 'echo row >> /data/rows'
    volumes: ["data:/data"]
    depends_on: { db: { condition: service_healthy } }
  cache: { <<: *sleeper, environment: { TURN: "${turn}" } }
  api:
    <<: *sleeper
    environment: { TURN: "${turn}" }
    depends_on: { seed: { condition: service_completed_successfully }, cache: { condition: service_started } }
  worker: { <<: *sleeper, depends_on: [api, db] }
volumes: { data: }
`;

interface Row {
  readonly Names: readonly string[];
  readonly State: string;
}

/** Every container of the project, as the API lists them: nothing may hide behind the command's own view. */
async function containers(project: CliProject): Promise<string[]> {
  const filters = encodeURIComponent(JSON.stringify({ label: [`com.docker.compose.project=${project.name}`] }));
  const rows = (await daemon.call('GET', `/containers/json?all=1&filters=${filters}`)).json<readonly Row[]>();
  return rows.map(({ Names, State }) => `${Names[0]?.slice(project.name.length + 2)} ${State}`).sort();
}

const CONVERGED = SERVICES.map((name) => `${name}-1 ${name === 'seed' ? 'exited' : 'running'}`);

/** The page through the published port, many times, while something happens; every answer must be the page. */
async function pages(port: number, until: AbortSignal): Promise<{ readonly asked: number; readonly wrong: string[] }> {
  const wrong: string[] = [];
  let asked = 0;
  for (; asked < 500 && !until.aborted; asked += 1) {
    const text = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(3000) }).then(
      (answer) => answer.text(),
      (error: unknown) => String(error),
    );
    if (text !== 'page\n') wrong.push(text);
    await delay(5);
  }
  return { asked, wrong };
}

/** What somebody who wants the port hears, again and again. */
async function bindings(
  port: number,
  until: AbortSignal,
): Promise<{ readonly tried: number; readonly heard: string[] }> {
  const heard = new Set<string>();
  let tried = 0;
  for (; !until.aborted; tried += 1) {
    for (const address of ['127.0.0.1', '0.0.0.0']) {
      const server = createServer();
      const word = await new Promise<string>((done) => {
        server.once('error', (error: NodeJS.ErrnoException) => done(String(error.code)));
        server.listen(port, address, () => server.close(() => done('listening')));
      });
      heard.add(word);
    }
    await delay(2);
  }
  return { tried, heard: [...heard] };
}

/** One message: each line of the error is either progress, the summary of what is left, or one error with its hint. */
function expectOneMessage(stderr: string): void {
  expect(stderr.match(/^(tscompose|\S+:\d+:\d+: error): /gm) ?? [], stderr).toHaveLength(1);
  expect(stderr).not.toMatch(/internal error|\bat .*\.js:\d+/);
}

it('published ports and names of running services work while no daemon is there', async () => {
  const port = await freePort();
  using project = cliProject(daemon.host, { 'compose.yaml': compose(port, 0) });
  expect((await project.run(['up', '-d', 'front', 'cache'])).status).toBe(0);
  // One process inside asks for a name all the time, as the daemon cannot start new ones meanwhile.
  const asking = project.run([
    ...['exec', '-T', 'cache', 'sh', '-c'],
    'p() { ping -q -c 1 -W 2 front > /dev/null 2>&1; }; touch /tmp/begun; i=0; while test $i -lt 40; do p || echo wrong >> /tmp/wrong; i=$((i+1)); sleep 0.05; done; touch /tmp/done',
  ]);
  const inside = async (test: string) => (await project.run(['exec', '-T', 'cache', 'sh', '-c', test])).status === 0;
  await waitUntil(20_000, () => inside('test -e /tmp/begun'));
  const stop = new AbortController();
  const watching = pages(port, stop.signal);
  // N12: nobody gets the port meanwhile.
  const binding = bindings(port, stop.signal);
  await delay(100);
  for (let blow = 0; blow < 3; blow += 1) await killDaemon(daemon);
  await delay(200);
  stop.abort();
  const { asked, wrong } = await watching;
  expect(wrong).toEqual([]);
  expect(asked).toBeGreaterThan(20);
  const { tried, heard } = await binding;
  expect(heard).toEqual(['EADDRINUSE']);
  expect(tried).toBeGreaterThan(20);
  await asking;
  await waitUntil(20_000, () => inside('test -e /tmp/done'));
  expect(await inside('test -e /tmp/wrong')).toBe(false);
  await project.run(['down', '-v', '-t', '1']);
});

it('the daemon killed at any moment of up', async () => {
  const port = await freePort();
  using project = cliProject(daemon.host, { 'compose.yaml': compose(port, 0) });
  const before = await takeInventory(daemon);
  const random = randomFrom(2026);
  for (let round = 0; round < 6; round += 1) {
    const moment = Math.round(random() * 1200);
    project.write('compose.yaml', compose(port, round));
    const up = project.run(['up', '-d']);
    await delay(moment);
    await killDaemon(daemon);
    const cut = await up;
    if (cut.status !== 0) expectOneMessage(cut.stderr);
    const again = await project.run(['up', '-d']);
    expect(again.status, `round ${round}, killed after ${moment} ms\n${cut.stderr}\n${again.stderr}`).toBe(0);
    expect(await containers(project), `round ${round}, killed after ${moment} ms`).toEqual(CONVERGED);
    // Later rounds: every `up` starts from nothing.
    if (round >= 3) await project.run(['down', '-v', '-t', '1']);
  }
  await project.run(['down', '-v', '-t', '1']);
  expect(await settle(daemon, before)).toEqual(before);
});

it('the command killed at any moment of up, by -9 and by ctrl-C', async () => {
  const port = await freePort();
  using project = cliProject(daemon.host, { 'compose.yaml': compose(port, 0) });
  const before = await takeInventory(daemon);
  const random = randomFrom(7);
  for (let round = 0; round < 6; round += 1) {
    const signal = round % 2 === 0 ? 'SIGKILL' : 'SIGINT';
    const moment = Math.round(150 + random() * 900);
    project.write('compose.yaml', compose(port, round));
    const child = project.start(['up', '-d']);
    let stderr = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
    await delay(moment);
    child.kill(signal);
    const status = await ended;
    if (signal === 'SIGINT' && status !== 0) {
      // 130 by our own word, or by the signal before the program had begun.
      expect([130, null], stderr).toContain(status);
      if (status === 130) expectOneMessage(stderr);
    }
    const again = await project.run(['up', '-d']);
    expect(again.status, `round ${round}, ${signal} after ${moment} ms\n${stderr}\n${again.stderr}`).toBe(0);
    expect(await containers(project), `round ${round}, ${signal} after ${moment} ms`).toEqual(CONVERGED);
    if (round >= 3) await project.run(['down', '-v', '-t', '1']);
  }
  await project.run(['down', '-v', '-t', '1']);
  expect(await settle(daemon, before)).toEqual(before);
});
