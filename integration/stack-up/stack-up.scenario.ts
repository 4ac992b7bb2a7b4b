import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { cliProject } from './run-cli.ts';

// One stack through its whole life with the real command on the real engine.
let daemon: TestDaemon;

beforeAll(async () => {
  daemon = await startTestDaemon();
  await daemon.importBusybox();
});

afterAll(async () => {
  await daemon.stop();
});

const COMPOSE = `
services:
  web:
    image: busybox
    command: sh -c 'echo "web sees $$MODE"; exec sleep 600'
    init: true
    environment: { MODE: one }
    depends_on:
      db: { condition: service_healthy }
      seed: { condition: service_completed_successfully }
  db:
    image: busybox
    command: sh -c 'touch /tmp/ready; exec sleep 600'
    init: true
    healthcheck: { test: [CMD, test, -e, /tmp/ready], interval: 0.2s }
    volumes: ["data:/data"]
  seed:
    image: busybox
    command: sh -c 'date >> /data/seeds'
    volumes: ["data:/data"]
volumes: { data: }
`;

it('comes up in order, stays, changes one service, keeps data, and goes without a trace', async () => {
  using project = cliProject(daemon.host, { 'compose.yaml': COMPOSE });
  const ids = async () => (await project.run(['ps', '-q', 'web', 'db'])).stdout.trim().split('\n');

  const first = await project.run(['up', '-d']);
  expect(first.status, first.stderr).toBe(0);
  expect((await project.run(['exec', '-T', 'web', 'sh', '-c', 'echo $MODE; exit 7'])).stdout).toBe('one\n');
  expect((await project.run(['exec', '-T', 'web', 'ping', '-c', '1', '-w', '5', 'db'])).status).toBe(0);
  expect((await project.run(['exec', '-T', 'web', 'false'])).status).toBe(1);
  expect((await project.run(['logs', 'web'])).stdout).toBe('web-1  | web sees one\n');

  const [db, web] = await ids();
  const second = await project.run(['up', '-d', 'db']);
  expect(second.stderr).toContain('is up to date, nothing to do');
  expect(await ids()).toEqual([db, web]);

  project.write('compose.yaml', COMPOSE.replace('MODE: one', 'MODE: two'));
  const changed = await project.run(['up', '-d']);
  expect(changed.stderr).toContain('Recreated (environment.MODE changed)');
  const [sameDb, newWeb] = await ids();
  expect(sameDb).toBe(db);
  expect(newWeb).not.toBe(web);

  const oneOff = await project.run(
    ['run', '--rm', '-T', 'db', 'sh', '-c', 'cat; wc -l < /data/seeds; exit 4'],
    'typed\n',
  );
  expect([oneOff.stdout, oneOff.status]).toEqual(['typed\n2\n', 4]);

  expect((await project.run(['down'])).status).toBe(0);
  expect((await project.run(['ps', '-a', '-q'])).stdout).toBe('');
  expect((await project.run(['up', '-d', '--wait', 'db'])).status).toBe(0);
  const kept = await project.run(['exec', '-T', 'db', 'wc', '-l', '/data/seeds']);
  expect(kept.stdout.trim()).toBe('2 /data/seeds');
  expect((await project.run(['down', '-v'])).status).toBe(0);
  expect((await daemon.call('GET', '/volumes')).json()['Volumes'] ?? []).toEqual([]);
});

it('lets two commands at once end in one right state', async () => {
  using project = cliProject(daemon.host, {
    'compose.yaml': 'services:\n  web:\n    image: busybox\n    command: sleep 600\n    init: true\n',
  });
  const both = await Promise.all([project.run(['up', '-d']), project.run(['up', '-d'])]);
  expect(both.map(({ status }) => status)).toEqual([0, 0]);
  expect((await project.run(['ps', '-q'])).stdout.trim().split('\n')).toHaveLength(1);
  await project.run(['down']);
});

it('shows output with names, stops on an interrupt, and returns the status of a chosen service', async () => {
  using project = cliProject(daemon.host, {
    'compose.yaml': `
services:
  web:
    image: busybox
    command: sh -c 'trap "echo bye; exit 0" TERM; echo hello; while true; do sleep 0.1; done'
  test:
    image: busybox
    command: sh -c 'echo testing; exit 5'
    depends_on: [web]
    profiles: [ci]
`,
  });
  const child = project.start(['up']);
  let text = '';
  const seen = Promise.withResolvers<void>();
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    if (text.includes('hello')) seen.resolve();
  });
  await seen.promise;
  child.kill('SIGINT');
  const status = await new Promise((resolve) => child.on('close', resolve));
  expect(status).toBe(130);
  expect(text).toContain('web-1  | hello\n');
  expect(text).toContain('web-1  | bye\n');

  const tested = await project.run(['--profile', 'ci', 'up', '--exit-code-from', 'test']);
  expect(tested.status, tested.stderr).toBe(5);
  expect(tested.stdout).toContain('test-1  | testing');
  await project.run(['--profile', 'ci', 'down', '-t', '1']);
});
