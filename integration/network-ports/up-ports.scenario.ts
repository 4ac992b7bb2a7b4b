import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
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

it('the call refuses what is no port', async () => {
  for (const port of [{ HostPort: 70000 }, { HostPort: 80, Protocol: 'icmp' }, { HostPort: 80, HostIp: 'x' }]) {
    const answer = await daemon.call('POST', '/tscompose/ports/check', { Ports: [port] });
    expect([port, answer.status]).toEqual([port, 400]);
  }
  const free = await daemon.call('POST', '/tscompose/ports/check', { Ports: [{ HostPort: 0 }] });
  expect(free.json()).toEqual({ Conflicts: [] });
});
