import { afterAll, beforeAll, expect, it } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { freePort } from '../kit/free-port.ts';
import { leftovers } from '../kit/ledger.ts';
import { cliProject } from '../stack-up/run-cli.ts';

let daemon: TestDaemon;

beforeAll(async () => {
  daemon = await startTestDaemon();
  await daemon.importBusybox();
});
afterAll(async () => {
  expect(leftovers(await daemon.stop())).toEqual([]);
});

/** Addresses on which somebody holds the TCP port, as the kernel lists them. */
async function listeners(port: number): Promise<readonly string[]> {
  const { stdout } = await runProgram('/usr/bin/ss', ['-Hltn', `sport = :${port}`]);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(/\s+/)[3]?.replace(/:\d+$/, '') ?? '')
    .sort();
}

const IS_ALL = ['0.0.0.0', '[::]'];
const IS_LOOPBACK = ['127.0.0.1', '[::1]'];

it('publishes on this machine only with --loopback or the setting, on all addresses else, and warns of databases', async () => {
  const [web, db] = [await freePort(), await freePort()];
  const compose = `
services:
  web: {image: busybox, command: httpd -f -p 80, init: true, ports: ["${web}:80"]}
  db: {image: busybox, command: sleep 1000, init: true, ports: ["${db}:5432"]}
`;
  using project = cliProject(daemon.host, { 'compose.yaml': compose });
  const up = async (...flags: string[]): Promise<string> => {
    const { status, stderr } = await project.run(['up', '-d', '-t', '0', ...flags]);
    expect(status, stderr).toBe(0);
    return stderr;
  };
  const open = await up();
  expect(open).toContain(`published on all addresses of this machine: db (PostgreSQL, ${db});`);
  expect(open).toMatch(new RegExp(`http://web\\.[a-z0-9-]+\\.localhost:${web}\n`));
  expect([await listeners(web), await listeners(db)]).toEqual([IS_ALL, IS_ALL]);
  expect(await up()).not.toContain('all addresses');

  expect(await up('--loopback')).not.toContain('all addresses');
  expect([await listeners(web), await listeners(db)]).toEqual([IS_LOOPBACK, IS_LOOPBACK]);
  for (const address of ['127.0.0.1', '[::1]']) expect((await fetch(`http://${address}:${web}/`)).status).toBe(404);

  // The setting of the project says the same as the flag: nothing changes.
  project.write('compose.yaml', `x-tscompose: {publish: loopback}\n${compose}`);
  expect(await up()).toContain('is up to date, nothing to do');
  project.write('compose.yaml', `x-tscompose: {publish: lan}\n${compose}`);
  const wrong = await project.run(['up', '-d']);
  expect([wrong.status === 0, wrong.stderr]).toEqual([
    false,
    expect.stringMatching(/compose.yaml:1:24.*all or loopback/s),
  ]);
  project.write('compose.yaml', compose);
  expect((await project.run(['down', '-t', '0'])).status).toBe(0);
});
