import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { freePort } from '../kit/free-port.ts';
import { leftovers } from '../kit/ledger.ts';
import { killDaemon } from '../stack-faults/faults.ts';
import { type CliProject, cliProject } from '../stack-up/run-cli.ts';
import { commandLine, processesBelow, settle, takeInventory } from './inventory.ts';

// `tscompose down -v` leaves the machine as it was before `up`, whatever happened between the two.
let daemon: TestDaemon;

beforeAll(async () => {
  daemon = await startTestDaemon();
  await daemon.importBusybox();
  // The firewall's table belongs to the daemon, not to a project: it comes with the first network and goes with the daemon.
  using first = cliProject(daemon.host, { 'compose.yaml': 'services: { one: { image: busybox } }' });
  expect((await first.run(['up', '-d'])).status).toBe(0);
  expect((await first.run(['down', '-v'])).status).toBe(0);
});

afterAll(async () => {
  expect(leftovers(await daemon.stop())).toEqual([]);
});

const compose = (web: number, echo: number) => `
services:
  web:
    image: busybox
    command: sh -c 'echo page > /var/www/index.html; exec httpd -f -p 80 -h /var/www'
    init: true
    networks: [front, back]
    ports: ["127.0.0.1:${web}:80", "[::1]:${web}:80"]
    healthcheck: { test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1/"], interval: 0.3s }
    depends_on: { db: { condition: service_healthy }, seed: { condition: service_completed_successfully } }
  echo:
    image: busybox
    command: sleep 600
    init: true
    networks: [front]
    ports: ["127.0.0.1:${echo}:7/udp"]
    tmpfs: [/scratch]
  db:
    image: busybox
    command: sh -c 'touch /data/ready /nameless/file; exec sleep 600'
    init: true
    networks: [back]
    volumes: ["data:/data", "/nameless"]
    healthcheck: { test: test -e /data/ready, interval: 0.2s }
    restart: always
    stop_grace_period: 1s
  seed:
    image: busybox
    command: sh -c 'date >> /data/seeds'
    volumes: ["data:/data"]
    network_mode: none
volumes: { data: }
networks: { front: , back: { internal: true } }
`;

async function page(port: number, host: string): Promise<string> {
  return (await fetch(`http://${host}:${port}/`, { signal: AbortSignal.timeout(5000) })).text();
}

/** Whether somebody holds the UDP port; that packets arrive is shown by network-reach. */
async function isHeld(port: number): Promise<boolean> {
  const socket = createSocket('udp4');
  try {
    return await new Promise<boolean>((resolve) => {
      socket.once('error', () => resolve(true));
      socket.bind(port, '127.0.0.1', () => resolve(false));
    });
  } finally {
    socket.close();
  }
}

/** Uses all that a stack can leave something of: ports, exec sessions that never end, one-off runs that stay. */
async function useIt(project: CliProject, web: number, echo: number): Promise<void> {
  const up = await project.run(['up', '-d', '--wait']);
  expect(up.status, up.stderr).toBe(0);
  expect(await page(web, '127.0.0.1')).toBe('page\n');
  expect(await page(web, '[::1]')).toBe('page\n');
  expect(await isHeld(echo)).toBe(true);
  expect((await project.run(['exec', '-d', 'web', 'sleep', '500'])).status).toBe(0);
  expect((await project.run(['exec', '-T', 'db', 'sh', '-c', 'sleep 500 & echo left'])).stdout).toBe('left\n');
  expect((await project.run(['run', '--rm', '-T', 'db', 'echo', 'once'])).stdout).toBe('once\n');
  expect((await project.run(['run', '-d', 'web', 'sleep', '500'])).status).toBe(0);
}

/** Process id of the monitor of a container. */
async function monitorOf(name: string): Promise<number> {
  const { Id } = (await daemon.call('GET', `/containers/${name}/json`)).json<{ Id: string }>();
  const found = processesBelow(daemon.keeperPid).find((pid) => {
    const words = commandLine(pid);
    return words.includes(' monitor ') && words.includes(Id.slice(0, 20));
  });
  expect(found).toBeDefined();
  return Number(found);
}

it('down -v leaves the machine as it was', async () => {
  const [web, echo] = [await freePort(), await freePort()];
  using project = cliProject(daemon.host, { 'compose.yaml': compose(web, echo) });
  const before = await takeInventory(daemon);
  await useIt(project, web, echo);
  const down = await project.run(['down', '-v']);
  expect(down.status, down.stderr).toBe(0);
  expect(await settle(daemon, before)).toEqual(before);
});

it('also after a recreation took over a volume without a name; one that the user named in 64 digits stays', async () => {
  const chosen = createHash('sha256').update(daemon.instance).digest('hex');
  const stack = (mode: string) => `
services:
  one:
    image: busybox
    command: sh -c 'echo ${mode} >> /nameless/file; cat /nameless/file; exec sleep 600'
    init: true
    volumes: [/nameless, "chosen:/chosen"]
volumes: { chosen: { external: true, name: ${chosen} } }
`;
  using project = cliProject(daemon.host, { 'compose.yaml': stack('first') });
  await daemon.call('POST', '/volumes/create', { Name: chosen });
  const before = await takeInventory(daemon);
  expect((await project.run(['up', '-d'])).status).toBe(0);
  project.write('compose.yaml', stack('second'));
  expect((await project.run(['up', '-d'])).status).toBe(0);
  expect((await project.run(['logs', '--no-log-prefix'])).stdout).toBe('first\nsecond\n');
  const down = await project.run(['down', '-v']);
  expect(down.status, down.stderr).toBe(0);
  expect(await settle(daemon, before)).toEqual(before);
  expect((await daemon.call('DELETE', `/volumes/${chosen}`)).status).toBe(204);
});

it('also after the daemon and monitors were killed', async () => {
  const [web, echo] = [await freePort(), await freePort()];
  using project = cliProject(daemon.host, { 'compose.yaml': compose(web, echo) });
  const before = await takeInventory(daemon);
  await useIt(project, web, echo);
  process.kill(await monitorOf(`${project.name}-echo-1`), 'SIGKILL');
  process.kill(await monitorOf(`${project.name}-db-1`), 'SIGKILL');
  await killDaemon(daemon);
  process.kill(await monitorOf(`${project.name}-web-1`), 'SIGKILL');
  const down = await project.run(['down', '-v']);
  expect(down.status, down.stderr).toBe(0);
  expect(await settle(daemon, before)).toEqual(before);
});

it('also after the daemon was killed in the middle of down', async () => {
  const [web, echo] = [await freePort(), await freePort()];
  using project = cliProject(daemon.host, { 'compose.yaml': compose(web, echo) });
  const before = await takeInventory(daemon);
  await useIt(project, web, echo);
  const down = project.run(['down', '-v']);
  await delay(400);
  await killDaemon(daemon);
  await down;
  const again = await project.run(['down', '-v']);
  expect(again.status, again.stderr).toBe(0);
  expect(await settle(daemon, before)).toEqual(before);
});
