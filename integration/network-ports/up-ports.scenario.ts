import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { freePort } from '../kit/free-port.ts';
import { cliProject } from '../stack-up/run-cli.ts';

let daemon: TestDaemon;

beforeAll(async () => {
  daemon = await startTestDaemon();
  await daemon.importBusybox();
});
afterAll(async () => {
  await daemon.stop();
});

it('up makes and starts nothing when a port of any service is taken, and says whose it is', async () => {
  const servers = [createServer(), createServer()];
  for (const server of servers) await once(server.listen(0, '127.0.0.1'), 'listening');
  const [first, second] = servers.map((server) => (server.address() as { port: number }).port);
  using project = cliProject(daemon.host, {
    'compose.yaml': `
services:
  db: { image: busybox, command: sleep 600, init: true }
  web:
    image: busybox
    command: sleep 600
    init: true
    depends_on: [db]
    ports: ["127.0.0.1:${first}:80", "127.0.0.1:${second}:81"]
`,
  });
  try {
    const up = await project.run(['up', '-d']);
    expect(up.status).toBe(1);
    for (const port of [first, second])
      expect(up.stderr).toContain(
        `service web: 127.0.0.1:${port}/tcp is already used by node (process ${process.pid})`,
      );
    expect(up.stderr).toContain('nothing was started');
    const list = async (path: string) => (await daemon.call('GET', path)).json<{ Name?: string }[]>();
    expect(await list('/v1.51/containers/json?all=1')).toEqual([]);
    expect((await list('/v1.51/networks')).filter(({ Name }) => Name?.startsWith(project.name))).toEqual([]);
  } finally {
    for (const server of servers) server.close();
  }
});

/** A service with these ports, in a file of its own. */
const service = (name: string, ports: string, rest = '') =>
  `  ${name}: { image: busybox, command: sleep 600, init: true, ports: [${ports}]${rest} }\n`;

it('a stopped container of the project is started with its own port or refused by name, one of another project is not in the way', async () => {
  const port = await freePort();
  const file = { 'compose.yaml': `services:\n${service('web', `"127.0.0.1:${port}:80"`)}` };
  using first = cliProject(daemon.host, file);
  using second = cliProject(daemon.host, file);
  try {
    expect(await first.run(['up', '-d'])).toMatchObject({ status: 0 });
    expect(await first.run(['stop', '-t', '0'])).toMatchObject({ status: 0 });
    expect(await second.run(['up', '-d'])).toMatchObject({ status: 0 });
    for (const verb of [['up', '-d'], ['start']]) {
      const refused = await first.run(verb);
      expect([verb, refused.status]).toEqual([verb, 1]);
      expect(refused.stderr).toContain(
        `service web: 127.0.0.1:${port}/tcp is already used by container ${second.name}-web-1`,
      );
    }
    expect(await second.run(['stop', '-t', '0'])).toMatchObject({ status: 0 });
    expect(await first.run(['up', '-d'])).toMatchObject({ status: 0 });
  } finally {
    for (const project of [first, second]) await project.run(['down', '-t', '0']);
  }
});

it('what a container of the same project keeps is in its way, and what a replaced one has is not', async () => {
  const port = await freePort();
  const web = service('web', `"127.0.0.1:${port}:80"`);
  using project = cliProject(daemon.host, { 'compose.yaml': `services:\n${web}` });
  try {
    expect(await project.run(['up', '-d'])).toMatchObject({ status: 0 });
    project.write('compose.yaml', `services:\n${service('web', `"127.0.0.1:${port}:81"`)}`);
    expect(await project.run(['up', '-d'])).toMatchObject({ status: 0 });
    const scaled = await project.run(['up', '-d', '--scale', 'web=2']);
    expect(scaled.status).toBe(1);
    expect(scaled.stderr).toContain(`127.0.0.1:${port}/tcp is already used by container ${project.name}-web-1`);
  } finally {
    await project.run(['down', '-t', '0']);
  }
});

it('two services of one file that want one port are refused before anything is made', async () => {
  const port = await freePort();
  using project = cliProject(daemon.host, {
    'compose.yaml': `services:\n${service('a', `"${port}:80"`)}${service('b', `"127.0.0.1:${port}:80"`)}`,
  });
  const up = await project.run(['up', '-d']);
  expect(up.status).toBe(1);
  expect(up.stderr).toContain(`service b: 127.0.0.1:${port}/tcp is wanted as well by container ${project.name}-a-1`);
  expect((await daemon.call('GET', '/v1.51/containers/json?all=1')).json()).toEqual([]);
});

it('ports without an address are looked for where the network binds them, ranges port by port', async () => {
  const server = createServer();
  await once(server.listen(0, '127.0.0.3'), 'listening');
  const { port } = server.address() as { port: number };
  const bound = (address: string, ports: string) => `services:
${service('web', ports)}networks:
  default: { driver_opts: { com.docker.network.bridge.host_binding_ipv4: ${address} } }
`;
  using project = cliProject(daemon.host, { 'compose.yaml': bound('127.0.0.3', `"${port}:80"`) });
  try {
    const who = `node (process ${process.pid})`;
    expect((await project.run(['up', '-d'])).stderr).toContain(
      `service web: 127.0.0.3:${port}/tcp is already used by ${who}`,
    );
    const check = async (HostIp: string, Protocol: string, LastPort?: number) =>
      (await daemon.call('POST', '/tscompose/ports/check', { Ports: [{ HostIp, HostPort: port, LastPort, Protocol }] }))
        .json<{ Conflicts: object[] }>()
        .Conflicts.map((conflict) => ({ ...conflict }));
    expect(await check('', 'tcp')).toMatchObject([{ HostIp: '0.0.0.0', Holder: who }]);
    expect(await check('', 'udp')).toEqual([]);
    expect(await check('::', 'tcp')).toEqual([]);
    expect(await check('127.0.0.4', 'tcp')).toEqual([]);
    expect(await check('127.0.0.3', 'tcp', port)).toMatchObject([{ HostPort: port, Holder: who }]);
    const next = createServer();
    // Whoever has it already does as well.
    await once(next.listen(port + 1, '127.0.0.3'), 'listening').catch(() => undefined);
    expect(await check('127.0.0.3', 'tcp', port + 1)).toMatchObject([
      { HostPort: port, LastPort: port + 1, Holder: who },
    ]);
    next.close();
    project.write('compose.yaml', bound('127.0.0.4', `"${port}:80"`));
    expect(await project.run(['up', '-d'])).toMatchObject({ status: 0 });
  } finally {
    server.close();
    await project.run(['down', '-t', '0']);
  }
});

it('the call refuses what is no port', async () => {
  for (const port of [{ HostPort: 70000 }, { HostPort: 80, Protocol: 'icmp' }, { HostPort: 80, HostIp: 'x' }]) {
    const answer = await daemon.call('POST', '/tscompose/ports/check', { Ports: [port] });
    expect([port, answer.status]).toEqual([port, 400]);
  }
  const free = await daemon.call('POST', '/tscompose/ports/check', { Ports: [{ HostPort: 0 }] });
  expect(free.json()).toEqual({ Conflicts: [] });
});
