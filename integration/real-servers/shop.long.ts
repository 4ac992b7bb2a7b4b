import { afterAll, beforeAll, expect, it } from 'vitest';
import { waitUntil } from '../kit/daemon.ts';
import { Example } from '../kit/example.ts';
import { freePort } from '../kit/free-port.ts';

// PostgreSQL, a replicated application and nginx from Debian packages, used as their owner would: examples/shop.
const MINUTES = 60_000;
const PASSWORD = 'it costs $ 5';
const port = await freePort();
const shop = new Example('shop', { SHOP_PORT: String(port), SHOP_PASSWORD: PASSWORD });
const { tscompose } = shop;

const query = async (sql: string) =>
  (await tscompose('exec', '-T', '-e', `PGPASSWORD=${PASSWORD}`, 'db', 'psql', '-U', 'postgres', '-Atc', sql)).trim();

async function visit(): Promise<{ readonly count: number; readonly copy: string }> {
  const answer = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(15_000) });
  const text = await answer.text();
  const [, count, copy] = /^visit (\d+) seen by (\w+)\n$/.exec(text) ?? expect.fail(`${answer.status} ${text}`);
  return { count: Number(count), copy: copy ?? '' };
}

beforeAll(async () => {
  await shop.script('base-image.ts');
  await tscompose('up', '-d', '--wait');
}, 10 * MINUTES);

afterAll(() => shop.remove(), MINUTES);

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
  const server = await shop.processOf(/ postgres -c listen_addresses/);
  process.kill(server, 'SIGKILL');
  await waitUntil(
    30_000,
    async () => ![server, Number.NaN].includes(await shop.processOf(/ postgres -c listen_addresses/)),
  );
  await tscompose('up', '-d', '--wait');
  expect((await visit()).count).toBe(count + 1);
  expect(await tscompose('logs', 'db')).toContain('database system was not properly shut down; automatic recovery');
});

it('answers every visitor while the daemon is killed again and again', { timeout: 2 * MINUTES }, async () => {
  const first = (await visit()).count;
  let visits = 0;
  for (let round = 0; round < 5; round += 1) {
    const daemon = await shop.processOf(/ --daemon /);
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
  const { status } = await shop.run(Example.COMMAND, [
    ...['exec', '-T', 'proxy', 'curl', '-sS', '--max-time', '2', 'http://db:5432/'],
  ]);
  // 6: the name is not known on the other network.
  expect(status).toBe(6);
  expect(await tscompose('exec', '-T', 'db', 'cat', '/proc/net/route')).not.toMatch(/^eth\d+\t00000000\t/m);
});
