import { mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { TestEngine } from '../kit/engine.ts';
import { leftovers, takeLedger } from '../kit/ledger.ts';

/** Images and containers that aim at the engine itself: at what it reads of them, runs for them and leaves behind. */
let test: TestEngine;
beforeAll(async () => {
  test = await TestEngine.start();
});
afterAll(async () => {
  expect(leftovers(await test.stop())).toEqual([]);
});

/** Processes of this instance that are not a container's own. */
async function hostProcesses(): Promise<number[]> {
  const { processes } = await takeLedger(test.instance, test.directory);
  return processes
    .map((line) => Number(line.split(' ')[0]))
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/ns/pid`) === readlinkSync('/proc/self/ns/pid');
      } catch {
        return false;
      }
    });
}

/** A stopped container whose root has been changed by this shell text. */
async function spoiled(name: string, text: string): Promise<void> {
  expect(await test.run(name, ['sh', '-c', text])).toMatchObject({ exitCode: 0 });
}

describe('account files', () => {
  it.each([
    { name: 'fifo', text: 'rm -f /etc/passwd /etc/group; mkfifo /etc/passwd /etc/group' },
    { name: 'sparse', text: 'truncate -s 4G /etc/group /etc/passwd' },
    { name: 'endless', text: 'ln -sf /dev/zero /etc/passwd; ln -sf /dev/zero /etc/group' },
    { name: 'circle', text: 'ln -sf passwd /etc/group; ln -sf group /etc/passwd' },
    { name: 'directory', text: 'rm -f /etc/passwd; mkdir /etc/passwd' },
    { name: 'up', text: `ln -sf ../../../../../../../../..${'/etc/shadow'} /etc/passwd` },
    { name: 'process', text: 'ln -sf /proc/self/root/etc/passwd /etc/passwd' },
  ])('as $name are no users, and no trap (CVE-2026-47262)', async ({ name, text }) => {
    const memory = process.memoryUsage().rss;
    await spoiled(`accounts-${name}`, `${text}; sleep 0`);
    const { containers } = test.engine;
    await test.create(`trap-${name}`, ['sleep', '1000']);
    await containers.start(`trap-${name}`);
    expect(await test.exec(`trap-${name}`, ['sh', '-c', text])).toMatchObject({ exitCode: 0 });
    // Nobody by that name, and a number needs no file.
    expect(await test.exec(`trap-${name}`, ['id'], { user: 'somebody' })).toMatchObject({ exitCode: 126, stdout: '' });
    const numeric = await test.exec(`trap-${name}`, ['grep', '^[UG]id:', '/proc/self/status'], { user: '7:8' });
    expect(numeric).toMatchObject({ exitCode: 0, stdout: 'Uid:\t7\t7\t7\t7\nGid:\t8\t8\t8\t8\n' });
    expect(process.memoryUsage().rss - memory).toBeLessThan(256 << 20);
    await containers.remove(`trap-${name}`, { force: true, volumes: true });
  });
});

describe('on the host', () => {
  it('no process has the image’s environment (CVE-2025-23266)', async () => {
    const env = [
      'LD_PRELOAD=/evil.so',
      'NODE_OPTIONS=--require=/evil.js',
      'PATH=/evil',
      'LD_LIBRARY_PATH=/evil',
      'MARK=evil',
    ];
    await test.create('environment', ['/bin/sleep', '1000'], { config: { env } });
    await test.engine.containers.start('environment');
    const running = test.exec('environment', ['/bin/sleep', '1']);
    const pids = await hostProcesses();
    expect(pids.length).toBeGreaterThan(2);
    for (const pid of pids) expect(readFileSync(`/proc/${pid}/environ`, 'utf8'), String(pid)).not.toContain('evil');
    await running;
    await test.engine.containers.remove('environment', { force: true, volumes: true });
  });

  it('no tool of the container is run, whatever it is called (CVE-2019-14271, CVE-2022-1227)', async () => {
    const tools = ['ps', 'top', 'tar', 'xz', 'gzip', 'unpigz', 'zstd', 'nsenter', 'cat', 'stat'];
    const trojan = `for t in ${tools.join(' ')}; do for d in /bin /usr/bin /usr/local/bin /sbin; do mkdir -p $d; rm -f $d/$t; printf '#!/bin/sh\\necho $0 >>/marker\\n' >$d/$t; chmod +x $d/$t; done; done`;
    await test.create('trojan', ['sh', '-c', `${trojan}; exec sleep 1000`]);
    const { containers } = test.engine;
    await containers.start('trojan');
    expect(
      (await test.exec('trojan', ['sh', '-c', 'until [ -x /sbin/stat ]; do sleep 0.1; done; xz; rm /marker; ls /']))
        .stdout,
    ).not.toContain('marker');
    const seen = await containers.top('trojan');
    expect(JSON.stringify(seen)).toContain('sleep');
    await containers.changes('trojan');
    await containers.pause('trojan');
    await containers.unpause('trojan');
    expect((await test.exec('trojan', ['ls', '/'])).stdout).not.toContain('marker');
    await containers.remove('trojan', { force: true, volumes: true });
  });

  it('no abstract socket listens that a container of the host’s network could reach (CVE-2020-15257)', async () => {
    await test.create('hostnet', ['sleep', '1000'], { host: { networkMode: 'host' } });
    await test.engine.containers.start('hostnet');
    const { stdout } = await test.exec('hostnet', ['cat', '/proc/net/unix']);
    const abstract = new Map(
      stdout
        .split('\n')
        .map((line) => line.trim().split(/\s+/))
        .filter((fields) => fields[7]?.startsWith('@'))
        .map((fields) => [fields[6], fields[7]]),
    );
    const ours = (await hostProcesses()).flatMap((pid) =>
      readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
        try {
          return [/socket:\[(\d+)\]/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? ''];
        } catch {
          return [];
        }
      }),
    );
    expect(ours.filter((inode) => abstract.has(inode)).map((inode) => abstract.get(inode))).toEqual([]);
    await test.engine.containers.remove('hostnet', { force: true, volumes: true });
  });

  it('nobody else reads data, logs or state, and no setuid program of a layer is in reach (CVE-2021-41091)', async () => {
    await test.run('secretive', ['sh', '-c', 'cp /bin/busybox /suid; chmod 4755 /suid; echo secret; echo x >/v/f'], {
      host: { binds: ['secrets:/v'] },
    });
    const look = (kind: readonly string[]) =>
      runProgram('/usr/bin/setpriv', [
        ...['--reuid=65534', '--regid=65534', '--clear-groups', '/usr/bin/find'],
        ...[`${test.directory}/data`, `${test.directory}/run`],
        ...kind,
      ]);
    const files = await look(['-type', 'f', '-readable']);
    expect(files.stdout).toBe('');
    expect((await look(['-perm', '-4000'])).stdout).toBe('');
    expect((await look(['-writable', '!', '-type', 'l'])).stdout).toBe('');
  });
});

it('a host directory as working directory of the engine is none of the container’s', async () => {
  mkdirSync(`${test.directory}/here`);
  expect((await test.run('cwd', ['pwd'])).stdout).toBe('/\n');
});
