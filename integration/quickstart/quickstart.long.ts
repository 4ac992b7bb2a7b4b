import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runProgram, spawnProgram } from '../../src/host/index.ts';
import { waitUntil } from '../kit/daemon.ts';
import { Example } from '../kit/example.ts';
import { freePort } from '../kit/free-port.ts';
import { takeLedger } from '../kit/ledger.ts';
import { type PeerName, peer } from '../kit/peers.ts';

// The first hour of a new user, on an instance of its own: `npm start`, other clients on the same file, edits under watch, the end.
const MINUTES = 60_000;
const port = await freePort();
const example = new Example('quickstart', { QUICKSTART_PORT: String(port) });
const { tscompose, folder } = example;

const start = () => example.script('quickstart/start.ts');
const page = async (path = '') =>
  (await fetch(`http://127.0.0.1:${port}/${path}`, { signal: AbortSignal.timeout(15_000) })).text();

afterAll(() => example.remove(), MINUTES);

describe('the quickstart', () => {
  it('comes up from nothing and proves itself', { timeout: 10 * MINUTES }, async () => {
    const output = await start();
    expect(output).toContain('went web → queue → worker → database');
    expect(output).toContain(`The stack is up: http://127.0.0.1:${port}/`);
    expect(await page()).toContain('<title>');
  });

  it('is up to date the second time', { timeout: 2 * MINUTES }, async () => {
    await start();
    expect(await tscompose('up', '-d')).toMatch(/up to date, nothing to do/);
  });

  it('keeps its data over down and up', { timeout: 2 * MINUTES }, async () => {
    const before = await page('jobs');
    expect(JSON.parse(before).length).toBeGreaterThan(0);
    await tscompose('down');
    await tscompose('up', '-d', '--wait');
    expect(await page('jobs')).toBe(before);
  });

  it('shows edits under up --watch', { timeout: 5 * MINUTES }, async () => {
    const child = spawnProgram(Example.COMMAND, ['up', '--watch'], {
      cwd: folder,
      env: example.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const containerOf = async (service: string) => (await tscompose('ps', '-q', service)).trim();
    const edit = (path: string, from: string, to: string) => {
      const file = join(folder, path);
      writeFileSync(file, readFileSync(file, 'utf8').replace(from, to));
    };
    const shows = (text: string) =>
      waitUntil(MINUTES, async () => output.includes(text)).catch(() => expect(output).toContain(text));
    try {
      await shows('Watching');
      const web = await containerOf('web');
      edit('web/page/index.html', '<title>', '<title>edited ');
      await waitUntil(20_000, async () => (await page()).includes('<title>edited '));
      expect(await containerOf('web')).toBe(web);

      edit('worker/worker.py', 'waiting for jobs', 'waiting for edited jobs');
      await shows('waiting for edited jobs');

      const worker = await containerOf('worker');
      edit('worker/Dockerfile', 'USER nobody', 'ENV EDITED=yes\nUSER nobody');
      await waitUntil(2 * MINUTES, async () => ((await containerOf('worker')) || worker) !== worker);
      await waitUntil(
        20_000,
        async () =>
          (await example.run(Example.COMMAND, ['exec', '-T', 'worker', 'printenv', 'EDITED'])).stdout === 'yes\n',
      );
    } finally {
      child.kill('SIGINT');
      await new Promise((done) => child.on('close', done));
    }
  });

  it.each<PeerName>(['docker-compose-2', 'docker-compose-1'])(
    'runs under %s from the same file',
    { timeout: 5 * MINUTES },
    async (name) => {
      const found = await peer(name);
      if ('reason' in found) return;
      await tscompose('down');
      // docker-compose 1.29 would call the docker command for builds and exec.
      const alone = { DOCKER_BUILDKIT: '0', COMPOSE_DOCKER_CLI_BUILD: '0', COMPOSE_INTERACTIVE_NO_CLI: '1' };
      const compose = (...args: string[]) =>
        example.succeed(found.path, ['-f', 'compose.yaml', '-p', 'quickstart', ...args], {
          DOCKER_HOST: `unix://${example.socket}`,
          ...alone,
        });
      await compose('up', '-d');
      await waitUntil(30_000, async () => (await page('health').catch(() => '')).includes('true'));
      expect(await compose('ps')).toMatch(/quickstart[-_]web[-_]1/);
      expect(await compose('exec', '-T', 'db', 'redis-cli', 'ping')).toContain('PONG');
      expect(await compose('logs', 'worker')).toContain('waiting for');
      await compose('down');
    },
  );

  it('leaves nothing of the project behind', { timeout: 2 * MINUTES }, async () => {
    await tscompose('up', '-d', '--wait');
    await tscompose('down', '-v');
    const docker = async (path: string) =>
      JSON.parse(
        (await runProgram('/usr/bin/curl', ['-sS', '--unix-socket', example.socket, `http://d${path}`])).stdout,
      );
    expect(await docker('/containers/json?all=1')).toEqual([]);
    expect((await docker('/volumes')).Volumes).toEqual([]);
    expect((await docker('/networks')).map((network: { Name: string }) => network.Name).sort()).toEqual([
      'bridge',
      'host',
      'none',
    ]);
    const ledger = await takeLedger(example.instance, example.directory);
    expect(ledger.processes.filter((line) => !/ keeper --run-dir | --daemon | names$/.test(line))).toEqual([]);
    expect(ledger.mounts).toEqual([]);
    expect(ledger.links.filter((name) => !name.endsWith('-default0'))).toEqual([]);
    expect(ledger.cgroups.filter((path) => /[0-9a-f]{64}/.test(path))).toEqual([]);
  });
});
