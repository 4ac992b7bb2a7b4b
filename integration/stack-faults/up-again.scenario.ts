import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { freePort } from '../kit/free-port.ts';
import { leftovers } from '../kit/ledger.ts';
import { type CliProject, cliProject } from '../stack-up/run-cli.ts';

// Another `up` touches what changed, says why, and nothing else.
let daemon: TestDaemon;
let project: CliProject;
let port: number;

beforeAll(async () => {
  daemon = await startTestDaemon();
  await daemon.importBusybox();
});

afterAll(async () => {
  project[Symbol.dispose]();
  expect(leftovers(await daemon.stop())).toEqual([]);
});

const compose = () => `
services:
  web:
    image: busybox
    command: sleep 600
    init: true
    environment: { MODE: one }
    ports: ["127.0.0.1:${port}:80"]
    healthcheck: { test: "true", interval: 0.2s }
    volumes: ["data:/data"]
    labels: { tier: front }
  db: { image: busybox, command: sleep 600, init: true, volumes: ["data:/data"] }
volumes: { data: , other: }
`;

/** Container id by name. */
async function ids(): Promise<Record<string, string>> {
  const rows = (await daemon.call('GET', '/containers/json?all=1')).json<readonly { Names: string[]; Id: string }[]>();
  return Object.fromEntries(rows.map(({ Names, Id }) => [Names[0]?.slice(project.name.length + 2) ?? '', Id]));
}

beforeEach(async () => {
  if (project) {
    await project.run(['down', '-v', '-t', '1']);
    project[Symbol.dispose]();
  }
  port = await freePort();
  project = cliProject(daemon.host, { 'compose.yaml': compose() });
  const up = await project.run(['up', '-d']);
  expect(up.status, up.stderr).toBe(0);
});

it('says that there is nothing to do, and does nothing', async () => {
  const before = await ids();
  const again = await project.run(['up', '-d']);
  expect(again).toEqual({
    status: 0,
    stdout: '',
    stderr: ` ${project.name} is up to date, nothing to do (2 running)\n`,
  });
  // The order of keys and a comment mean nothing.
  project.write(
    'compose.yaml',
    `# a comment\n${compose().replace('image: busybox\n    command: sleep 600', 'command: [sleep, "600"]\n    image: busybox')}`,
  );
  expect((await project.run(['up', '-d'])).stderr).toContain('nothing to do');
  expect(await ids()).toEqual(before);
});

it('replaces the one service that changed, for each kind of change in turn', async () => {
  const other = await freePort();
  const changes: readonly (readonly [from: string, to: string, cause: RegExp])[] = [
    ['MODE: one', 'MODE: two', /Container \S+-web-1 {2}Recreated \(environment\.MODE changed\)/],
    ['test: "true"', 'test: "exit 0"', /Recreated \(healthcheck\S* changed\)/],
    [`${port}:80`, `${other}:80`, /Recreated \(.*ports.*\)/],
    ['"data:/data"]\n    labels', '"data:/data", "other:/other"]\n    labels', /Recreated \(.*(mounts|volumes).*\)/],
    ['tier: front', 'tier: back', /Recreated \(labels\.tier changed\)/],
    [
      'command: sleep 600\n    init: true\n    env',
      'command: sleep 500\n    init: true\n    env',
      /Recreated \(command changed\)/,
    ],
  ];
  let text = compose();
  for (const [from, to, cause] of changes) {
    expect(text).toContain(from);
    text = text.replace(from, to);
    project.write('compose.yaml', text);
    const before = await ids();
    const { status, stderr } = await project.run(['up', '-d', '-t', '1']);
    expect(status, stderr).toBe(0);
    expect(stderr).toMatch(cause);
    const after = await ids();
    expect(after['db-1']).toBe(before['db-1']);
    expect(after['web-1']).not.toBe(before['web-1']);
    expect(Object.keys(after).sort()).toEqual(['db-1', 'web-1']);
    expect((await project.run(['up', '-d'])).stderr).toContain('nothing to do');
  }
});

it('scales up and down without touching those that stay', async () => {
  const before = await ids();
  expect((await project.run(['up', '-d', '--scale', 'db=3'])).status).toBe(0);
  const three = await ids();
  expect(Object.keys(three).sort()).toEqual(['db-1', 'db-2', 'db-3', 'web-1']);
  expect(three).toMatchObject(before);
  const names = await project.run(['exec', '-T', 'web', 'nslookup', 'db', '127.0.0.11']);
  expect(new Set(names.stdout.match(/^Address: \d+\.\d+\.\d+\.\d+$/gm)).size, names.stdout).toBe(3);
  const one = await project.run(['up', '-d', '-t', '1']);
  expect(one.stderr).toContain('(scale to 1)');
  expect(await ids()).toEqual(before);
  const clash = await project.run(['up', '-d', '--scale', 'web=2']);
  expect(clash.status).toBe(1);
  expect(clash.stderr).toContain(String(port));
  expect(clash.stderr).toContain('hint:');
});

it('keeps the running container when its successor cannot be created', async () => {
  const before = await ids();
  project.write(
    'compose.yaml',
    compose().replace(
      'image: busybox\n    command: sleep 600\n    init: true\n    env',
      'image: 127.0.0.1:9/none\n    command: sleep 600\n    init: true\n    env',
    ),
  );
  const failed = await project.run(['up', '-d']);
  expect(failed.status).toBe(1);
  expect(failed.stderr).toContain('service web: cannot pull image 127.0.0.1:9/none');
  expect(await ids()).toEqual(before);
  expect((await project.run(['exec', '-T', 'web', 'true'])).status).toBe(0);
});

it('starts again what was stopped or has gone, as it was', async () => {
  const before = await ids();
  await project.run(['stop', '-t', '1', 'db']);
  expect((await project.run(['up', '-d'])).stderr).toContain('db-1  Started');
  expect(await ids()).toEqual(before);
  await daemon.call('DELETE', `/containers/${before['db-1']}?force=1`);
  expect((await project.run(['up', '-d'])).stderr).toContain('db-1  Created');
  expect((await ids())['web-1']).toBe(before['web-1']);
});
