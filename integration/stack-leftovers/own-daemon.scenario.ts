import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { waitUntil } from '../kit/daemon.ts';
import { freePort } from '../kit/free-port.ts';
import { leftovers, takeLedger } from '../kit/ledger.ts';

// The command with no daemon there: it starts one, several at once start one only, and the machine is as it was afterwards.
const COMMAND = resolve(import.meta.dirname, '../../src/launch/tscompose');
const INSTANCE = 'tldown';

const KEEPER = / keeper --run-dir /;

const COMPOSE = (port: number) => `
services:
  web:
    build: .
    command: httpd -f -p 80 -h /www
    init: true
    ports: ["127.0.0.1:${port}:80", "[::1]:${port}:80"]
    volumes: ["data:/data"]
volumes: { data: }
`;
const DOCKERFILE = `FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN mkdir /www && echo page > /www/index.html
`;

it('starts its daemon, and leaves nothing once that has gone', async () => {
  const directory = mkdtempSync('/tmp/tsc-');
  const folder = join(directory, 'project');
  const run = (name: string, ...words: string[]) =>
    runProgram(COMMAND, ['--project-directory', folder, '-f', join(folder, 'compose.yaml'), '-p', name, ...words], {
      environment: {
        PATH: process.env['PATH'] ?? '',
        HOME: directory,
        TSCOMPOSE_RUN_DIR: join(directory, 'run'),
        TSCOMPOSE_DATA_DIR: join(directory, 'data'),
        TSCOMPOSE_INSTANCE: INSTANCE,
        TSCOMPOSE_IDLE_EXIT: '1',
      },
    });
  try {
    mkdirSync(folder);
    copyFileSync('/bin/busybox', join(folder, 'busybox'));
    writeFileSync(join(folder, 'Dockerfile'), DOCKERFILE);
    const port = await freePort();
    writeFileSync(join(folder, 'compose.yaml'), COMPOSE(port));

    // Two commands find no daemon at the same moment: both are served, by one.
    const [up, list] = await Promise.all([run('own', 'up', '-d'), run('own', 'ps')]);
    expect(up.status, up.stderr).toBe(0);
    expect(list.status, list.stderr).toBe(0);
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('page\n');
    const { processes } = await takeLedger(INSTANCE, directory);
    expect(processes.filter((line) => / --daemon /.test(line) && !line.includes(' keeper '))).toHaveLength(1);

    // It does not leave while a container runs, and the state outlives it.
    expect((await run('own', 'exec', '-T', 'web', 'sh', '-c', 'echo kept > /data/file')).status).toBe(0);
    const down = await run('own', 'down');
    expect(down.status, down.stderr).toBe(0);
    await waitUntil(20_000, async () => {
      const left = await takeLedger(INSTANCE, directory);
      return leftovers({ ...left, files: [] }).length === 0;
    });
    const again = await run('own', 'up', '-d');
    expect(again.status, again.stderr).toBe(0);
    expect(again.stderr).not.toContain('Building');
    expect((await run('own', 'exec', '-T', 'web', 'cat', '/data/file')).stdout).toBe('kept\n');

    // A keeper that was killed is replaced without any command: names and ports that it held come back.
    const keeper = async () =>
      Number(
        /\d+/.exec((await takeLedger(INSTANCE, directory)).processes.find((line) => KEEPER.test(line)) ?? '')?.[0],
      );
    const first = await keeper();
    process.kill(first, 'SIGKILL');
    await waitUntil(20_000, async () => ![first, Number.NaN].includes(await keeper()));
    await waitUntil(20_000, async () => (await fetch(`http://[::1]:${port}/`).catch(() => undefined))?.ok === true);
    expect((await run('own', 'exec', '-T', 'web', 'nslookup', 'web')).stdout).toContain('Name:');

    const end = await run('own', 'down', '-v', '--rmi', 'all');
    expect(end.status, end.stderr).toBe(0);
    await waitUntil(20_000, async () => {
      const left = await takeLedger(INSTANCE, directory);
      return leftovers({ ...left, files: [] }).length === 0;
    });
    const { files } = await takeLedger(INSTANCE, directory);
    expect(
      files.filter((path) => /^data\/(containers|endpoints|volumes|images\/blobs\/sha256|layers\/[^/]*)\/./.test(path)),
    ).toEqual([]);
  } finally {
    await run('own', 'down', '-v');
    await waitUntil(20_000, async () => (await takeLedger(INSTANCE, directory)).processes.length === 0);
    rmSync(directory, { recursive: true, force: true });
  }
});
