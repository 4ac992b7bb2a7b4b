import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { startTestDaemon, type TestDaemon, waitUntil } from '../kit/daemon.ts';
import { leftovers } from '../kit/ledger.ts';
import { peer, runPeer } from '../kit/peers.ts';
import { openTerminal } from '../kit/terminal.ts';

const CLIENTS = [
  ['2.40', await peer('docker-compose-2')],
  ['1.29', await peer('docker-compose-1')],
] as const;

describe.each(CLIENTS)('unmodified docker-compose %s', (version, found) => {
  const program = 'path' in found ? found.path : '';
  let daemon: TestDaemon;
  let home: string;
  const compose = async (...args: string[]) => {
    const result = await runPeer(program, args, {
      host: daemon.host,
      home,
      cwd: join(home, 'stack'),
      timeoutMs: 60_000,
    });
    expect(`${result.status} ${result.stderr}`, args.join(' ')).toMatch(/^0 /);
    return result.stdout;
  };

  beforeAll(async () => {
    expect(program, 'the client is needed for this duty').not.toBe('');
    home = mkdtempSync('/tmp/tsc-home-');
    mkdirSync(join(home, 'stack'));
    copyFileSync(join(import.meta.dirname, 'compose.yaml'), join(home, 'stack/docker-compose.yml'));
    daemon = await startTestDaemon();
    await daemon.importBusybox();
  });

  afterAll(async () => {
    const left = await daemon.stop();
    rmSync(home, { recursive: true });
    expect(leftovers(left)).toEqual([]);
  });

  it('brings a stack up, shows it, and serves it', async () => {
    await compose('up', '-d');
    expect(await compose('ps')).toMatch(/web/);
    const address = (await compose('port', 'web', '80')).trim();
    let page = '';
    await waitUntil(20_000, async () => {
      page = (await runProgram('/usr/bin/curl', ['-s', `http://${address}/`])).stdout;
      return page === 'served\n';
    });
    expect(await compose('logs', 'writer')).toMatch(/written/);
    await waitUntil(20_000, async () => (await compose('ps')).includes('healthy'));
  });

  it('changes nothing the second time', async () => {
    const ids = await compose('ps', '-q');
    await compose('up', '-d');
    expect(await compose('ps', '-q')).toBe(ids);
  });

  it('reaches services by name and runs commands in them, with and without a terminal', async () => {
    // Debian's static busybox crashes in wget: the name is looked up by nslookup, and nc speaks HTTP.
    const fetch =
      "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 $(nslookup -type=a web | sed -n 's/^Address: //p' | head -n 1) 80";
    expect(await compose('exec', '-T', 'writer', 'sh', '-c', fetch)).toMatch(/served\n$/);
    const terminal = openTerminal([program, 'exec', 'web', 'sh', '-c', 'stty size; tty; exit 6'], {
      environment: { DOCKER_HOST: daemon.host, HOME: home, PWD: join(home, 'stack') },
      rows: 30,
      columns: 90,
      cwd: join(home, 'stack'),
    });
    expect([await terminal.ended, terminal.shown()]).toEqual([6, expect.stringContaining('/dev/pts/')]);
  });

  it('stops, starts, and takes everything down', async () => {
    await compose('stop', '-t', '1');
    await compose('start');
    await compose('restart', '-t', '1', 'web');
    await compose('down', '-v', '-t', '1');
    expect((await daemon.call('GET', '/containers/json?all=1')).json()).toEqual([]);
    expect((await daemon.call('GET', '/volumes')).json<{ Volumes: object[] }>().Volumes).toEqual([]);
    const networks = (await daemon.call('GET', '/networks')).json<readonly { Name: string }[]>();
    expect(networks.map(({ Name }) => Name).sort(), version).toEqual(['bridge', 'host', 'none']);
  });
});
