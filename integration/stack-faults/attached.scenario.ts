import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { leftovers } from '../kit/ledger.ts';
import { openTerminal, type TerminalSession } from '../kit/terminal.ts';
import { type CliProject, cliProject } from '../stack-up/run-cli.ts';
import { killDaemon } from './faults.ts';

// `up` on a terminal: output with names, ctrl-C once asks, twice kills; the death of the daemon is ridden through.
let daemon: TestDaemon;

beforeAll(async () => {
  daemon = await startTestDaemon();
  await daemon.importBusybox();
});

afterAll(async () => {
  expect(leftovers(await daemon.stop())).toEqual([]);
});

const COMMAND = resolve(import.meta.dirname, '../../src/launch/tscompose');
const CTRL_C = '\u0003';

function onTerminal(project: CliProject, ...words: string[]): TerminalSession {
  const environment = { HOME: project.folder, DOCKER_HOST: daemon.host, COMPOSE_PROJECT_NAME: project.name };
  return openTerminal([COMMAND, ...words], { environment, cwd: project.folder, rows: 40, columns: 120 });
}

const ESCAPE = '\u001b';
/** What is shown, without colours and cursor movements. */
const plain = (text: string) => text.replace(new RegExp(`${ESCAPE}\\[[0-9;?]*[A-Za-z]`, 'g'), '').replaceAll('\r', '');

const states = async (project: CliProject) => (await project.run(['ps', '-a', '--format', 'json'])).stdout;

const TALKERS = `
services:
  polite:
    image: busybox
    command: sh -c 'trap "echo bye; exit 0" TERM; echo hello; while true; do sleep 0.1; done'
  deaf:
    image: busybox
    command: sh -c 'trap "echo no" TERM; echo hello; while true; do sleep 0.1; done'
    stop_grace_period: 60s
`;

it('ctrl-C asks, a second one kills', async () => {
  using project = cliProject(daemon.host, { 'compose.yaml': TALKERS });
  const terminal = onTerminal(project, 'up');
  await terminal.waitFor(/polite-1 .*hello/, 20_000);
  await terminal.waitFor(/deaf-1 .*hello/);
  // Names are coloured on a terminal, one colour for each.
  expect(terminal.shown()).toMatch(new RegExp(`${ESCAPE}\\[\\d+m[^\\n]*polite-1`));
  terminal.type(CTRL_C);
  await terminal.waitFor(/polite-1 .*bye/);
  await terminal.waitFor(/deaf-1 .*no/);
  terminal.type(CTRL_C);
  expect(await terminal.ended).toBe(130);
  const text = plain(terminal.shown());
  expect(text).toMatch(/polite-1 +\| hello/);
  expect(text).toContain('Stopping');
  expect(text).toContain('Killing');
  expect(await states(project)).not.toContain('running');
  await project.run(['down']);
});

it('ctrl-C while services still come up ends with what was done', async () => {
  using project = cliProject(daemon.host, {
    'compose.yaml': `
services:
  slow: { image: busybox, command: sleep 600, init: true, healthcheck: { test: "exit 1", interval: 0.2s, retries: 100, start_period: 60s } }
  late: { image: busybox, command: sleep 600, init: true, depends_on: { slow: { condition: service_healthy } } }
`,
  });
  const terminal = onTerminal(project, 'up');
  await terminal.waitFor(/Waiting until healthy/, 20_000);
  terminal.type(CTRL_C);
  expect(await terminal.ended, plain(terminal.shown())).toBe(130);
  expect(plain(terminal.shown())).toMatch(/tscompose: (interrupted|waiting for \S+ was cancelled)/);
  expect(plain(terminal.shown())).toContain('left as it is');
  expect((await project.run(['down', '-v'])).status).toBe(0);
});

it('goes on showing output when the daemon is killed and comes back', async () => {
  using project = cliProject(daemon.host, {
    'compose.yaml': `
services:
  ticker:
    image: busybox
    command: sh -c 'trap "exit 0" TERM; i=0; while true; do echo tick $$i; i=$$((i+1)); sleep 0.05; done'
  brief: { image: busybox, command: sh -c 'sleep 3; echo over; exit 0' }
`,
  });
  const terminal = onTerminal(project, 'up');
  await terminal.waitFor(/tick 5\b/, 20_000);
  await killDaemon(daemon);
  const seen = Math.max(...[...terminal.shown().matchAll(/tick (\d+)/g)].map(([, number]) => Number(number)));
  await terminal.waitFor(new RegExp(`tick ${seen + 20}\\b`), 20_000);
  await terminal.waitFor(/brief-1 .*over/);
  await terminal.waitFor(/brief-1 .*exited with code 0/);
  terminal.type(CTRL_C);
  expect(await terminal.ended).toBe(130);
  const ticks = [...plain(terminal.shown()).matchAll(/tick (\d+)/g)].map(([, number]) => Number(number));
  expect(ticks).toEqual(ticks.map((_tick, index) => index));
  expect(await states(project)).not.toContain('running');
  await project.run(['down']);
});

it('logs -f goes on as well', async () => {
  using project = cliProject(daemon.host, {
    'compose.yaml': `services:\n  ticker: { image: busybox, init: true, command: sh -c 'i=0; while true; do echo tick $$i; i=$$((i+1)); sleep 0.05; done' }\n`,
  });
  expect((await project.run(['up', '-d'])).status).toBe(0);
  const terminal = onTerminal(project, 'logs', '-f');
  await terminal.waitFor(/tick 5\b/);
  await killDaemon(daemon);
  await terminal.waitFor(/tick 60\b/, 20_000);
  terminal.type(CTRL_C);
  await terminal.ended;
  const ticks = [...plain(terminal.shown()).matchAll(/tick (\d+)/g)].map(([, number]) => Number(number));
  expect(ticks).toEqual(ticks.map((_tick, index) => index));
  await project.run(['down', '-t', '1']);
});

it('a second ctrl-C leaves what would take long, and gives the terminal back', async () => {
  using project = cliProject(daemon.host, {
    'compose.yaml': `services:\n  deaf: { image: busybox, command: sh -c 'trap "" TERM; while true; do sleep 0.1; done', stop_grace_period: 60s }\n`,
  });
  expect((await project.run(['up', '-d'])).status).toBe(0);
  const terminal = onTerminal(project, 'down');
  await terminal.waitFor(/Stopping/, 20_000);
  terminal.type(CTRL_C);
  // Two signals at one moment are one.
  await delay(300);
  terminal.type(CTRL_C);
  expect(await terminal.ended).toBe(130);
  expect(terminal.shown().lastIndexOf(`${ESCAPE}[?25h`)).toBeGreaterThan(
    terminal.shown().lastIndexOf(`${ESCAPE}[?25l`),
  );
  expect((await project.run(['kill'])).status).toBe(0);
  expect((await project.run(['down', '-v', '-t', '1'])).status).toBe(0);
});
