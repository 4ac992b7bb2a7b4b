import { randomBytes } from 'node:crypto';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { waitUntil } from '../kit/daemon.ts';
import { leftovers, takeLedger } from '../kit/ledger.ts';

// PostgreSQL, a replicated application and nginx from Debian packages, used as their owner would: examples/shop.
const ROOT = resolve(import.meta.dirname, '../..');
const MINUTES = 60_000;
const PASSWORD = 'it costs $ 5';
const directory = mkdtempSync('/tmp/tsc-');
const folder = join(directory, 'shop');
const instance = `t${randomBytes(3).toString('hex').slice(0, 5)}`;
let port = 0;

const environment = () => ({
  PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: directory,
  LANG: 'C.UTF-8',
  TSCOMPOSE_RUN_DIR: join(directory, 'run'),
  TSCOMPOSE_DATA_DIR: join(directory, 'data'),
  TSCOMPOSE_INSTANCE: instance,
  SHOP_PORT: String(port),
  SHOP_PASSWORD: PASSWORD,
});

async function succeed(file: string, ...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await runProgram(file, args, { cwd: folder, environment: environment() });
  expect(status, `${file} ${args.join(' ')}\n${stdout}\n${stderr}`).toBe(0);
  return stdout + stderr;
}

const tscompose = (...args: string[]) => succeed(join(ROOT, 'src/launch/tscompose'), ...args);
const query = async (sql: string) =>
  (await tscompose('exec', '-T', '-e', `PGPASSWORD=${PASSWORD}`, 'db', 'psql', '-U', 'postgres', '-Atc', sql)).trim();

async function visit(): Promise<{ readonly count: number; readonly copy: string }> {
  const answer = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(15_000) });
  const text = await answer.text();
  const [, count, copy] = /^visit (\d+) seen by (\w+)\n$/.exec(text) ?? expect.fail(`${answer.status} ${text}`);
  return { count: Number(count), copy: copy ?? '' };
}

const processOf = async (pattern: RegExp) =>
  Number.parseInt((await takeLedger(instance, directory)).processes.find((line) => pattern.test(line)) ?? '', 10);

function freePort(): Promise<number> {
  const { promise, resolve: done } = Promise.withResolvers<number>();
  const server = createServer().listen(0, '127.0.0.1', () => {
    const address = server.address();
    server.close(() => done(typeof address === 'object' && address ? address.port : 0));
  });
  return promise;
}

beforeAll(async () => {
  port = await freePort();
  cpSync(join(ROOT, 'examples/shop'), folder, { recursive: true });
  await succeed(join(ROOT, 'src/launch/node'), join(ROOT, 'examples/base-image.ts'));
  await tscompose('up', '-d', '--wait');
}, 10 * MINUTES);

afterAll(async () => {
  await tscompose('down', '-v');
  const keeper = await processOf(/ keeper --run-dir /);
  if (keeper) process.kill(keeper, 'SIGTERM');
  await waitUntil(
    20_000,
    async () => leftovers({ ...(await takeLedger(instance, directory)), files: [] }).length === 0,
  );
  rmSync(directory, { recursive: true, force: true });
}, MINUTES);

it('serves through nginx, both copies and the database', { timeout: MINUTES }, async () => {
  const { count } = await visit();
  expect(await query('SELECT count(*) FROM visits')).toBe(String(count));
  const copies = new Set<string>();
  await waitUntil(30_000, async () => copies.add((await visit()).copy).size === 2);
});

it('keeps what was committed over down and up', { timeout: 2 * MINUTES }, async () => {
  const { count } = await visit();
  await tscompose('down');
  await tscompose('up', '-d', '--wait');
  expect((await visit()).count).toBe(count + 1);
});

it('keeps what was committed when the database is killed, which comes back by its policy', {
  timeout: 2 * MINUTES,
}, async () => {
  const { count } = await visit();
  const server = await processOf(/ postgres -c listen_addresses/);
  process.kill(server, 'SIGKILL');
  await waitUntil(30_000, async () => ![server, Number.NaN].includes(await processOf(/ postgres -c listen_addresses/)));
  await tscompose('up', '-d', '--wait');
  expect((await visit()).count).toBe(count + 1);
  expect(await tscompose('logs', 'db')).toContain('database system was not properly shut down; automatic recovery');
});

it('answers every visitor while the daemon is killed again and again', { timeout: 2 * MINUTES }, async () => {
  const first = (await visit()).count;
  let visits = 0;
  for (let round = 0; round < 5; round += 1) {
    const daemon = await processOf(/ --daemon /);
    process.kill(daemon, 'SIGKILL');
    for (let n = 0; n < 20; n += 1, visits += 1) await visit();
    await tscompose('ps');
  }
  expect((await visit()).count).toBe(first + visits + 1);
});

it('takes a copy more and a copy less without losing a visitor', { timeout: 2 * MINUTES }, async () => {
  await tscompose('up', '-d', '--wait', '--scale', 'app=3');
  const copies = new Set<string>();
  await waitUntil(30_000, async () => copies.add((await visit()).copy).size === 3);
  await tscompose('up', '-d', '--wait', '--scale', 'app=2');
  expect((await tscompose('ps', '-q', 'app')).trim().split('\n')).toHaveLength(2);
  await waitUntil(30_000, async () => (await visit().catch(() => ({ copy: '' }))).copy !== '');
});

it('keeps the database from the proxy and from the way out', { timeout: MINUTES }, async () => {
  const { status } = await runProgram(
    join(ROOT, 'src/launch/tscompose'),
    ['exec', '-T', 'proxy', 'curl', '-sS', '--max-time', '2', 'http://db:5432/'],
    { cwd: folder, environment: environment() },
  );
  // 6: the name is not known on the other network.
  expect(status).toBe(6);
  expect(await tscompose('exec', '-T', 'db', 'cat', '/proc/net/route')).not.toMatch(/^eth\d+\t00000000\t/m);
});
