import { readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { spawnProgram } from '../../src/host/index.ts';
import { RUNTIME } from '../kit/bundle.ts';
import { createContainer, listenForConsole, untilStopped } from '../kit/oci-container.ts';
import { workshopOfFile } from '../kit/workshop.ts';

/** A second process in a container, and who gets its terminal. */
const shop = workshopOfFile();

describe('exec', () => {
  test('joins namespaces, cgroups and limits, returns the status', async () => {
    const bundle = shop.bundle(['pause']);
    const { pid } = await createContainer(bundle);
    await bundle.runtime('start', bundle.id);
    const inside = await bundle.runtime(
      'exec',
      '--env',
      'MORE=1',
      '--cwd',
      '/proc',
      '--user',
      '1000:1001',
      bundle.id,
      '/bin/payload',
      'id',
      'cwd',
      'env',
      'fds',
      'status',
      'exit',
      '5',
    );
    expect(inside.status).toBe(5);
    expect(inside.stdout).toContain('uid=1000 gid=1001 groups=1001');
    expect(inside.stdout).toContain('\n/proc\nPATH=/bin\nHOME=/root\nMORE=1\n');
    expect(inside.stdout.match(/^fd \d+/gm)).toEqual(['fd 0', 'fd 1', 'fd 2']);
    expect(inside.stdout).toMatch(/NoNewPrivs:\t1/);
    expect(inside.stdout).toMatch(/CapInh:\t0{16}\n/);
    const process = { args: ['/bin/payload', 'pause'], cwd: '/', user: { uid: 0, gid: 0 }, env: ['PATH=/bin'] };
    writeFileSync(join(bundle.directory, 'process.json'), JSON.stringify(process));
    // By a shell that reaps: a process of a pid namespace that nobody reaps would hold back the end of its process 1.
    const script = '"$@" </dev/null >/dev/null 2>&1; echo $?; read line; kill -9 $(cat $0); wait';
    const pidFile = join(bundle.directory, 'exec.pid');
    const words = ['exec', '--detach', '--process', join(bundle.directory, 'process.json'), '--pid-file', pidFile];
    const shell = spawnProgram('/bin/bash', [
      '--norc',
      '-c',
      script,
      pidFile,
      RUNTIME,
      ...bundle.options,
      ...words,
      bundle.id,
    ]);
    const detached = await new Promise<string>((resolve) =>
      shell.stdout?.once('data', (chunk: Buffer) => resolve(chunk.toString())),
    );
    expect(detached).toBe('0\n');
    const entered = readFileSync(pidFile, 'utf8');
    for (const kind of ['mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup'])
      expect(readlinkSync(`/proc/${entered}/ns/${kind}`)).toBe(readlinkSync(`/proc/${pid}/ns/${kind}`));
    expect(readFileSync(`/proc/${entered}/cgroup`, 'utf8')).toBe(readFileSync(`/proc/${pid}/cgroup`, 'utf8'));
    shell.stdin?.end('\n');
    await new Promise((resolve) => shell.on('close', resolve));
    expect((await bundle.runtime('exec', bundle.id, 'nothing')).stderr).toContain('not found');
    await bundle.runtime('delete', '--force', bundle.id);
    expect((await bundle.runtime('exec', bundle.id, '/bin/payload', 'true')).stderr).toContain('does not exist');
  });
});

describe('terminal', () => {
  test('create and exec hand the pty over the console socket', async () => {
    const bundle = shop.bundle(['tty', 'stat', '/dev/console', 'stat', '/dev/pts/0'], (config) => {
      config.process['terminal'] = true;
      config.process['consoleSize'] = { height: 31, width: 77 };
    });
    const socket = await listenForConsole(bundle);
    await createContainer(bundle, '--console-socket', socket.path);
    await bundle.runtime('start', bundle.id);
    const { stdout: shown } = await socket.ended;
    expect(shown).toContain('tty 1 1 1 31x77 fg=1');
    expect(shown).toMatch(/\/dev\/console: mode=20620 .* rdev=136:0/);
    await untilStopped(bundle);
    expect(await bundle.runtime('delete', bundle.id)).toMatchObject({ status: 0, stderr: '' });
  });
});
