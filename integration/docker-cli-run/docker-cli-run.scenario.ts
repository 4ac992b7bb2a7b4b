import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { startTestDaemon, type TestDaemon, waitUntil } from '../kit/daemon.ts';
import { busyboxRootfsBytes } from '../kit/images.ts';
import { leftovers } from '../kit/ledger.ts';
import { peer, runPeer } from '../kit/peers.ts';
import { openTerminal } from '../kit/terminal.ts';

const CLIENTS = [
  ['28.5', await peer('docker-cli-28')],
  ['20.10', await peer('docker-cli-20')],
] as const;

/** Debian's static busybox crashes in wget: the name is looked up by nslookup, and nc speaks HTTP. */
const FETCH = `address=$(nslookup -type=a "$0" | sed -n 's/^Address: //p' | head -n 1)
printf 'GET %s HTTP/1.0\\r\\n\\r\\n' "$1" | nc -w 5 "$address" 80`;

describe.each(CLIENTS)('unmodified docker CLI %s', (_version, found) => {
  const program = 'path' in found ? found.path : '';
  let daemon: TestDaemon;
  let home: string;

  const docker = async (...args: string[]) => {
    const result = await runPeer(program, args, { host: daemon.host, home });
    return { ...result, out: result.stdout.trim() };
  };
  /** Runs and expects success. */
  const ok = async (...args: string[]) => {
    const result = await docker(...args);
    expect(`${result.status} ${result.stderr}`, args.join(' ')).toMatch(/^0 /);
    return result.out;
  };
  const environment = () => ({ DOCKER_HOST: daemon.host, HOME: home });

  beforeAll(async () => {
    expect(program, 'the client is needed for this duty').not.toBe('');
    home = mkdtempSync('/tmp/tsc-home-');
    daemon = await startTestDaemon();
    await daemon.importBusybox();
  });

  afterAll(async () => {
    const left = await daemon.stop();
    rmSync(home, { recursive: true });
    expect(leftovers(left)).toEqual([]);
  });

  it('version and info', async () => {
    expect(await ok('version', '--format', '{{.Server.Version}} {{.Server.MinAPIVersion}}')).toMatch(
      /^\d+\.\d+\.\d+ 1\.24$/,
    );
    expect(await ok('info', '--format', '{{.OSType}} {{.Driver}} {{.CgroupDriver}}')).toBe('linux overlay2 cgroupfs');
  });

  it('run --rm passes output, streams and exit codes', async () => {
    expect(await ok('run', '--rm', 'busybox', 'echo', 'hello')).toBe('hello');
    const failing = await docker('run', '--rm', 'busybox', 'sh', '-c', 'echo out; echo err >&2; exit 7');
    expect([failing.status, failing.stdout, failing.stderr]).toEqual([7, 'out\n', 'err\n']);
    const piped = await runPeer(program, ['run', '--rm', '-i', 'busybox', 'wc', '-c'], {
      host: daemon.host,
      home,
      input: 'x'.repeat(300_000),
    });
    expect(piped.stdout.trim()).toBe('300000');
    expect((await docker('run', '--rm', 'busybox', 'no-such-command')).status).toBe(127);
    expect((await docker('run', '--rm', 'busybox', '/etc')).status).toBe(126);
    expect((await docker('run', '--rm', '--bogus')).status).toBe(125);
    expect(await ok('ps', '-aq')).toBe('');
  });

  it('run -d, ps, logs, stop, start, restart, rm', async () => {
    const id = await ok(
      'run',
      '-d',
      '--name',
      'web',
      '-e',
      'A=b',
      '-l',
      'x=y',
      'busybox',
      'sh',
      '-c',
      'echo $A; trap "exit 0" TERM; while :; do sleep 0.1; done',
    );
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    expect(await ok('ps', '--format', '{{.Names}} {{.Image}} {{.State}}')).toBe('web busybox running');
    expect(await ok('ps', '--format', '{{.Status}}')).toMatch(/^Up (Less than a|\d+) seconds?$/);
    await waitUntil(20_000, async () => (await ok('logs', 'web')) === 'b');
    expect(
      await ok('inspect', '-f', '{{.State.Running}} {{.Config.Labels.x}} {{.HostConfig.NetworkMode}}', 'web'),
    ).toMatch(/^true y (default|bridge)$/);
    expect(await ok('stop', '-t', '5', 'web')).toBe('web');
    expect(await ok('ps', '-a', '--filter', 'status=exited', '--format', '{{.Names}}')).toBe('web');
    expect(await ok('start', 'web')).toBe('web');
    expect(await ok('restart', '-t', '1', 'web')).toBe('web');
    expect((await docker('rm', 'web')).status).toBe(1);
    expect(await ok('rm', '-f', 'web')).toBe('web');
  });

  it('logs -f follows to the end, with times and tail', async () => {
    await ok(
      'run',
      '-d',
      '--name',
      'talker',
      'busybox',
      'sh',
      '-c',
      'for i in 1 2 3 4; do echo line $i; sleep 0.2; done',
    );
    expect(await ok('logs', '-f', 'talker')).toBe('line 1\nline 2\nline 3\nline 4');
    expect(await ok('logs', '--tail', '2', 'talker')).toBe('line 3\nline 4');
    expect(await ok('logs', '-t', '--tail', '1', 'talker')).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z line 4$/);
    await ok('rm', 'talker');
  });

  it('kill, pause, rename, top, update, wait', async () => {
    await ok('run', '-d', '--name', 'victim', 'busybox', 'sleep', '600');
    expect(await ok('top', 'victim')).toMatch(/sleep 600/);
    await ok('pause', 'victim');
    expect(await ok('ps', '--format', '{{.Status}}')).toMatch(/\(Paused\)$/);
    await ok('unpause', 'victim');
    await ok('rename', 'victim', 'renamed');
    await ok('update', '--memory', '64m', '--memory-swap', '64m', 'renamed');
    expect(await ok('inspect', '-f', '{{.HostConfig.Memory}}', 'renamed')).toBe('67108864');
    const waiting = ok('wait', 'renamed');
    await ok('kill', '-s', 'KILL', 'renamed');
    expect(await waiting).toBe('137');
    await ok('rm', 'renamed');
  });

  it('exec with exit code, environment, user and stdin', async () => {
    await ok('run', '-d', '--name', 'box', 'busybox', 'sleep', '600');
    expect(
      await ok('exec', '-e', 'X=1', '-u', 'app', '-w', '/tmp', 'box', 'sh', '-c', 'echo $X $(id -un) $(pwd)'),
    ).toBe('1 app /tmp');
    expect((await docker('exec', 'box', 'sh', '-c', 'exit 9')).status).toBe(9);
    expect((await docker('exec', 'box', 'no-such-command')).status).toBe(127);
    const piped = await runPeer(program, ['exec', '-i', 'box', 'cat'], { host: daemon.host, home, input: 'via stdin' });
    expect(piped.stdout).toBe('via stdin');
    await ok('exec', '-d', 'box', 'touch', '/tmp/detached');
    await waitUntil(20_000, async () => (await docker('exec', 'box', 'test', '-e', '/tmp/detached')).status === 0);
    await ok('rm', '-f', 'box');
  });

  it('run -it on a real terminal: size, resize, ctrl-C, detach', async () => {
    const terminal = openTerminal([program, 'run', '-it', '--name', 'tty', 'busybox', 'sh'], {
      environment: environment(),
      rows: 31,
      columns: 97,
    });
    await terminal.waitFor(/# /);
    // The client tells the size, and listens for changes of it, only some time after the shell's first words.
    await waitUntil(20_000, async () => {
      terminal.type('stty size; tty\n');
      return /31 97\r\n\/dev\/(pts\/0|console)/.test(terminal.shown());
    });
    await waitUntil(20_000, async () => {
      terminal.resize(41, 111);
      terminal.type('stty size\n');
      return terminal.shown().includes('41 111');
    });
    // All that was typed so far is done.
    terminal.type('echo now $((40 + 2))\n');
    await terminal.waitFor(/now 42/);
    terminal.type('sleep 100\n');
    await terminal.waitFor(/sleep 100\r\n/);
    // The shell needs a moment to give the terminal to its job: until then the key is its own.
    await waitUntil(20_000, async () => {
      terminal.type('\x03');
      return terminal.shown().includes('^C');
    });
    terminal.type('echo code $?\n');
    await terminal.waitFor(/code 130/);
    terminal.type('\x10\x11');
    expect(await terminal.ended).toBe(0);
    expect(await ok('inspect', '-f', '{{.State.Running}}', 'tty')).toBe('true');
    const again = openTerminal([program, 'attach', 'tty'], { environment: environment() });
    again.type('\n');
    await again.waitFor(/# /);
    again.type('exit 5\n');
    expect(await again.ended).toBe(5);
    await ok('rm', 'tty');
  });

  it('exec -it on a real terminal with resize', async () => {
    await ok('run', '-d', '--name', 'box2', 'busybox', 'sleep', '600');
    const terminal = openTerminal([program, 'exec', '-it', 'box2', 'sh'], {
      environment: environment(),
      rows: 33,
      columns: 99,
    });
    await terminal.waitFor(/# /);
    await waitUntil(20_000, async () => {
      terminal.type('stty size\n');
      return terminal.shown().includes('33 99');
    });
    await waitUntil(20_000, async () => {
      terminal.resize(44, 122);
      terminal.type('stty size\n');
      return terminal.shown().includes('44 122');
    });
    terminal.type('exit 4\n');
    expect(await terminal.ended).toBe(4);
    await ok('rm', '-f', 'box2');
  });

  it('images: import, tag, save, load, history, rmi', async () => {
    const tar = `${home}/rootfs.tar`;
    writeFileSync(tar, await busyboxRootfsBytes());
    const id = await ok('import', '-c', 'CMD ["echo","imported"]', tar, 'team/imported:1');
    expect(id).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(await ok('run', '--rm', 'team/imported:1')).toBe('imported');
    await ok('tag', 'team/imported:1', 'team/other');
    expect((await ok('images', '--format', '{{.Repository}}:{{.Tag}}', 'team/*')).split('\n').sort()).toEqual([
      'team/imported:1',
      'team/other:latest',
    ]);
    expect(await ok('history', '-q', 'team/other')).toContain('sha256'.slice(0, 0));
    const archive = `${home}/saved.tar`;
    await ok('save', '-o', archive, 'team/imported:1');
    expect(await ok('rmi', 'team/imported:1', 'team/other')).toContain('Untagged: team/other:latest');
    expect((await docker('inspect', 'team/imported:1')).status).toBe(1);
    expect(await ok('load', '-i', archive)).toContain('Loaded image: team/imported:1');
    expect(await ok('image', 'inspect', '-f', '{{.Id}}', 'team/imported:1')).toBe(id);
    await ok('rmi', 'team/imported:1');
    const missing = await docker('run', '--rm', 'registry.invalid/none:1', 'true');
    expect([missing.status, missing.stderr]).toEqual([125, expect.stringContaining('registry.invalid')]);
  });

  it('networks and volumes', async () => {
    await ok('network', 'create', '--label', 'a=b', 'net1');
    expect(await ok('network', 'ls', '--filter', 'name=net1', '--format', '{{.Name}} {{.Driver}}')).toBe('net1 bridge');
    await ok('volume', 'create', 'vol1');
    await ok('run', '--rm', '-v', 'vol1:/data', 'busybox', 'sh', '-c', 'echo kept > /data/file');
    expect(await ok('run', '--rm', '-v', 'vol1:/data:ro', 'busybox', 'cat', '/data/file')).toBe('kept');
    await ok(
      'run',
      '-d',
      '--name',
      'server',
      '--network',
      'net1',
      '--network-alias',
      'svc',
      'busybox',
      'httpd',
      '-f',
      '-p',
      '80',
      '-h',
      '/etc',
    );
    expect(
      await ok('run', '--rm', '--network', 'net1', 'busybox', 'sh', '-c', FETCH, 'svc', '/busybox-release'),
    ).toMatch(/tscompose test image$/);
    expect((await docker('network', 'rm', 'net1')).status).toBe(1);
    await ok('network', 'connect', 'bridge', 'server');
    expect(await ok('inspect', '-f', '{{len .NetworkSettings.Networks}}', 'server')).toBe('2');
    await ok('network', 'disconnect', 'bridge', 'server');
    await ok('rm', '-f', 'server');
    expect(await ok('network', 'rm', 'net1')).toBe('net1');
    expect(await ok('volume', 'ls', '-q')).toBe('vol1');
    expect(await ok('volume', 'rm', 'vol1')).toBe('vol1');
  });

  it('published ports', async () => {
    await ok('run', '-d', '--name', 'pub', '-p', '127.0.0.1::80', 'busybox', 'httpd', '-f', '-p', '80', '-h', '/etc');
    const address = await ok('port', 'pub', '80/tcp');
    expect(address).toMatch(/^127\.0\.0\.1:\d+$/);
    let page = '';
    await waitUntil(20_000, async () => {
      page = (await runProgram('/usr/bin/curl', ['-s', `http://${address}/busybox-release`])).stdout;
      return page !== '';
    });
    expect(page).toBe('tscompose test image\n');
    await ok('rm', '-f', 'pub');
  });

  it('events and stats', async () => {
    const since = String(Math.floor(Date.now() / 1000));
    await ok('run', '--rm', '--name', 'brief', 'busybox', 'true');
    await ok('run', '-d', '--name', 'busy', 'busybox', 'sleep', '600');
    expect(await ok('stats', '--no-stream', '--format', '{{.Name}} {{.PIDs}}', 'busy')).toBe('busy 1');
    const until = String(Math.floor(Date.now() / 1000) + 1);
    const events = await ok(
      'events',
      '--since',
      since,
      '--until',
      until,
      '--filter',
      'container=brief',
      '--format',
      '{{.Action}}',
    );
    for (const action of ['create', 'attach', 'start', 'die', 'destroy']) expect(events.split('\n')).toContain(action);
    await ok('rm', '-f', 'busy');
  });

  it('cp in and out, export', async () => {
    await ok('run', '-d', '--name', 'files', 'busybox', 'sleep', '600');
    writeFileSync(`${home}/in`, 'content\n');
    await ok('cp', `${home}/in`, 'files:/tmp/in');
    expect(await ok('exec', 'files', 'cat', '/tmp/in')).toBe('content');
    await ok('cp', 'files:/etc/busybox-release', `${home}/out`);
    const { readFileSync } = await import('node:fs');
    expect(readFileSync(`${home}/out`, 'utf8')).toBe('tscompose test image\n');
    await ok('export', '-o', `${home}/export.tar`, 'files');
    const listed = await runProgram('/usr/bin/tar', ['tf', `${home}/export.tar`]);
    expect(listed.stdout).toMatch(/^(\.\/)?tmp\/in$/m);
    await ok('stop', '-t', '0', 'files');
    await ok('cp', `${home}/in`, 'files:/tmp/second');
    await ok('cp', 'files:/tmp/second', `${home}/second`);
    expect(readFileSync(`${home}/second`, 'utf8')).toBe('content\n');
    await ok('rm', 'files');
  });
});
