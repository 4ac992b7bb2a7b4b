import { expect, it } from 'vitest';
import { loadProject, memoryReader, type Project } from '../compose/index.ts';
import { published } from './published.ts';
import { databaseWarning, webAddresses } from './view/reached-ports.ts';

const load = async (text: string): Promise<Project> => {
  const reader = memoryReader({ '/p/compose.yaml': text });
  return (await loadProject({ currentDirectory: '/p', environment: {}, reader })).project;
};
const STACK = `
services:
  db: {image: "postgres:17", ports: ["5432:5432", "127.0.0.1:6543:5432"]}
  web: {image: "nginx:1", ports: ["8080:80", "443", "192.0.2.1:81:80"]}
`;
const portsOf = (project: Project, name: string) =>
  project.services
    .get(name)
    ?.ports.map(({ hostIp = '', published: port = '', target }) => `${hostIp}:${port}:${target}`);

it('publishes as the file says unless loopback is asked for', async () => {
  const plain = await load(STACK);
  expect(await published(plain)).toBe(plain);
  const asked = await published(plain, 'loopback');
  const six = portsOf(asked, 'db')?.includes('::1:5432:5432') ? ['::1'] : [];
  expect(portsOf(asked, 'db')).toEqual([
    ...['127.0.0.1', ...six].map((address) => `${address}:5432:5432`),
    '127.0.0.1:6543:5432',
  ]);
  // The number of the second is the engine's choice: one for each address would be two.
  expect(portsOf(asked, 'web')?.filter((port) => /:443$|^192/.test(port))).toEqual([
    '127.0.0.1::443',
    '192.0.2.1:81:80',
  ]);
});

it('follows the setting of the project, and refuses what it does not know', async () => {
  const own = await published(await load(`x-tscompose: {publish: loopback}\n${STACK}`));
  expect(portsOf(own, 'db')?.[0]).toBe('127.0.0.1:5432:5432');
  for (const wrong of ['{publish: nowhere}', '{publsh: all}', 'loopback'])
    await expect(load(`x-tscompose: ${wrong}\n${STACK}`)).rejects.toThrow(/compose.yaml:1:\d+/);
});

it('warns in one line of databases that everyone reaches, unless x-lint says no', async () => {
  const started = new Set(['db', 'web']);
  const project = await load(STACK);
  expect(databaseWarning(project, started)).toMatch(
    /^published on all addresses of this machine: db \(PostgreSQL, 5432\);/,
  );
  expect(databaseWarning(project, new Set(['web']))).toBeUndefined();
  expect(databaseWarning(await published(project, 'loopback'), started)).toBeUndefined();
  for (const levels of ['{exposed-database: off}', '[exposed-database]'])
    expect(databaseWarning(await load(`x-lint: ${levels}\n${STACK}`), started)).toBeUndefined();
});

it('names the addresses of web ports, each once', () => {
  const container = (service: string, ports: readonly [number, number, string][], oneoff = false) => ({
    service,
    oneoff,
    state: 'running' as const,
    ports: ports.map(([containerPort, hostPort, hostAddress]) => ({
      containerPort,
      hostPort,
      hostAddress,
      protocol: 'tcp',
    })),
  });
  const containers = [
    container('web_ui', [
      [80, 8080, '0.0.0.0'],
      [80, 8080, '::'],
      [443, 8443, '127.0.0.1'],
      [80, 81, '192.0.2.1'],
    ]),
    container('db', [[5432, 5432, '0.0.0.0']]),
    container('web_ui', [[80, 9999, '']], true),
  ];
  expect(webAddresses('shop', containers, new Set(['web_ui', 'db']))).toEqual([
    'http://web-ui.shop.localhost:8080',
    'https://web-ui.shop.localhost:8443',
  ]);
});
