import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { leftovers } from '../kit/ledger.ts';
import { peer, runPeer } from '../kit/peers.ts';
import { type CliProject, cliProject } from '../stack-up/run-cli.ts';

// Both commands on one project: neither replaces what the other made, and both give a service the same hash.
const found = await peer('docker-compose-2');
const program = 'path' in found ? found.path : '';
let daemon: TestDaemon;

beforeAll(async () => {
  expect(program, 'the client is needed for this duty').not.toBe('');
  daemon = await startTestDaemon();
  await daemon.importBusybox();
});

afterAll(async () => {
  expect(leftovers(await daemon.stop())).toEqual([]);
});

const ids = async () =>
  (await daemon.call('GET', '/containers/json?all=1'))
    .json<readonly { readonly Id: string }[]>()
    .map(({ Id }) => Id)
    .sort();

async function theirs(project: CliProject, ...args: string[]): Promise<string> {
  const home = join(project.folder, 'home');
  mkdirSync(home, { recursive: true });
  const result = await runPeer(program, ['-p', project.name, ...args], {
    host: daemon.host,
    home,
    cwd: project.folder,
    timeoutMs: 60_000,
  });
  expect(`${result.status} ${result.stderr}`, args.join(' ')).toMatch(/^0 /);
  return result.stdout;
}

async function ours(project: CliProject, ...args: string[]): Promise<string> {
  const result = await project.run(args);
  expect(`${result.status} ${result.stderr}`, args.join(' ')).toMatch(/^0 /);
  return result.stdout;
}

function stack(): CliProject {
  const project = cliProject(daemon.host, {});
  copyFileSync(join(import.meta.dirname, 'compose.yaml'), join(project.folder, 'compose.yaml'));
  // Hashed with the id of the container it refers to.
  project.write(
    'compose.override.yaml',
    `services:
  beside: { image: busybox, command: sleep 600, stop_signal: SIGKILL, network_mode: "service:writer" }
`,
  );
  return project;
}

it('gives every service the same hash', async () => {
  using project = stack();
  expect(await ours(project, 'config', '--hash', '*')).toBe(await theirs(project, 'config', '--hash', '*'));
});

it('what tscompose made, docker compose leaves as it is', async () => {
  using project = stack();
  await ours(project, 'up', '-d');
  const before = await ids();
  await theirs(project, 'up', '-d');
  expect(await ids()).toEqual(before);
  await ours(project, 'down', '-v', '-t', '0');
  expect(await ids()).toEqual([]);
});

it('what docker compose made, tscompose leaves as it is', async () => {
  using project = stack();
  await theirs(project, 'up', '-d');
  const before = await ids();
  await ours(project, 'up', '-d');
  expect(await ids()).toEqual(before);
  await theirs(project, 'down', '-v', '-t', '0');
  expect(await ids()).toEqual([]);
});

it('prints for a service with an env file the hash that containers of docker compose carry, which its own print is not', async () => {
  using project = stack();
  project.write('filed.env', 'A=1\n');
  project.write(
    'compose.override.yaml',
    'services: {filed: {image: busybox, command: sleep 600, stop_signal: SIGKILL, env_file: filed.env}}\n',
  );
  await theirs(project, 'create', 'filed');
  const made = (await daemon.call('GET', '/containers/json?all=1')).json<
    readonly { readonly Labels: Readonly<Record<string, string>> }[]
  >();
  const labels = made.map(({ Labels }) => Labels['com.docker.compose.config-hash']);
  const [, printed = ''] = (await ours(project, 'config', '--hash', 'filed')).trim().split(' ');
  expect(labels).toEqual([printed]);
  expect(await theirs(project, 'config', '--hash', 'filed')).not.toContain(printed);
  await theirs(project, 'down', '-v', '-t', '0');
});
