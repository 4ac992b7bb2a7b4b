import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { leftovers } from '../kit/ledger.ts';
import { Place } from '../network-reach/world.ts';
import { cliProject } from '../stack-up/run-cli.ts';
import { NAME_SERVER } from './name-server.ts';

const IP = '/usr/sbin/ip';
const HOST = '192.0.2.1';
const NEIGHBOUR = '192.0.2.2';
const KNOWN = { 'api.example.com': [NEIGHBOUR], 'evil.example.net': [NEIGHBOUR] };

let host: Place;
let neighbour: Place;
let daemon: TestDaemon;
const servers: ChildProcess[] = [];

beforeAll(async () => {
  [host, neighbour] = await Promise.all([Place.make(), Place.make()]);
  await host.run(IP, 'link', 'add', 'lan0', 'type', 'veth', 'peer', 'name', 'lan0', 'netns', String(neighbour.pid));
  for (const [place, address] of [
    [host, HOST],
    [neighbour, NEIGHBOUR],
  ] as const) {
    await place.run(IP, 'addr', 'add', `${address}/24`, 'dev', 'lan0');
    await place.run(IP, 'link', 'set', 'lan0', 'up');
  }
  const greet =
    "require('node:net').createServer((s) => s.on('error', () => {}).end('hello')).listen(7000, () => console.log('ready'))";
  for (const script of [[NAME_SERVER, JSON.stringify(KNOWN)], [greet]]) {
    const server = spawn('/usr/bin/nsenter', [`--net=${neighbour.path}`, process.execPath, '-e', ...script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    servers.push(server);
    await once(server.stdout, 'data');
  }
  daemon = await startTestDaemon({ networkNamespace: host.path });
  await daemon.importBusybox();
});
afterAll(async () => {
  const left = leftovers(await daemon.stop());
  for (const server of servers) server.kill('SIGKILL');
  for (const place of [host, neighbour]) place.close();
  expect(left).toEqual([]);
});

const compose = (egress: string) => `
services:
  app: {image: busybox, command: sleep 1000, init: true, dns: ${NEIGHBOUR}${egress}}
`;
const tables = () => host.run('/usr/sbin/nft', 'list', 'tables');

it('limits a service by x-egress, tells what it refused, and replaces the container when the list changes', async () => {
  using project = cliProject(daemon.host, { 'compose.yaml': compose(', x-egress: ["api.example.com:7000"]') });
  const up = async (): Promise<string> => {
    const { status, stderr } = await project.run(['up', '-d', '-t', '0']);
    expect(status, stderr).toBe(0);
    return stderr;
  };
  const inside = async (...command: string[]) => {
    const { stdout, stderr } = await project.run(['exec', '-T', 'app', ...command]);
    return stdout + stderr;
  };
  const call = () => inside('nc', '-w', '3', NEIGHBOUR, '7000');
  await up();
  expect(await call()).not.toContain('hello');
  expect(await inside('nslookup', 'api.example.com')).toContain(NEIGHBOUR);
  expect(await call()).toBe('hello');
  expect(await inside('nslookup', 'evil.example.net')).toContain('REFUSED');
  const since = Math.floor(Date.now() / 1000) - 60;
  const filters = encodeURIComponent(JSON.stringify({ event: ['egress_denied'] }));
  const events = await daemon.call('GET', `/events?since=${since}&until=${since + 62}&filters=${filters}`);
  const told = events
    .text()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).Actor.Attributes.host);
  expect(told).toEqual(['evil.example.net']);

  expect(await up()).toContain('is up to date, nothing to do');
  expect((await project.run(['config'])).stdout).toMatch(/x-egress:\n\s+- api.example.com:7000/);

  project.write('compose.yaml', compose(`, x-egress: ["${NEIGHBOUR}/32:7001"]`));
  expect(await up()).toContain('Recreated (x-egress changed)');
  expect(await inside('nslookup', 'api.example.com')).toContain('REFUSED');
  expect(await call()).not.toContain('hello');

  // A daemon that comes back finds the rules as they were.
  const before = await daemon.daemonPid();
  process.kill(before, 'SIGKILL');
  await daemon.revive();
  expect(await call()).not.toContain('hello');

  project.write('compose.yaml', compose(''));
  expect(await up()).toContain('Recreated (x-egress changed)');
  expect(await call()).toBe('hello');
  expect(await tables()).not.toContain('egress');
  expect((await project.run(['down', '-t', '0'])).status).toBe(0);
});

it('says where an entry is wrong, and refuses a list that could not hold', async () => {
  using project = cliProject(daemon.host, { 'compose.yaml': compose(', x-egress: ["http://example.com/"]') });
  const wrong = await project.run(['up', '-d']);
  expect([wrong.status === 0, wrong.stderr]).toEqual([
    false,
    expect.stringMatching(/compose\.yaml:3:\d+.*neither a name nor an address/s),
  ]);
  project.write(
    'compose.yaml',
    compose(', x-egress: ["example.com"], network_mode: host').replace(`dns: ${NEIGHBOUR}, `, ''),
  );
  const onHost = await project.run(['up', '-d']);
  expect([onHost.status === 0, onHost.stderr]).toEqual([false, expect.stringContaining('no network of its own')]);
});
