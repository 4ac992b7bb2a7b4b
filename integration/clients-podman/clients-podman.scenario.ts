import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunResult, runProgram } from '../../src/host/index.ts';
import { cgroupDirectories, RUNTIME } from '../kit/bundle.ts';
import { type Peer, peer } from '../kit/peers.ts';
import { openTerminal } from '../kit/terminal.ts';

const image = 'localhost/box:latest';
const tools = ['sh', 'cat', 'echo', 'sleep', 'id', 'env', 'ls', 'ps', 'pwd', 'tty', 'stty', 'true', 'grep'];

function configuration(root: string): string {
  return `
[containers]
default_ulimits = []
cgroupns = "private"
netns = "none"
log_driver = "k8s-file"
init_path = "${root}/usr/bin/catatonit"
seccomp_profile = "${root}/usr/share/containers/seccomp.json"
[engine]
cgroup_manager = "cgroupfs"
helper_binaries_dir = ["${root}/usr/lib/podman", "${root}/usr/libexec/podman"]
events_logger = "file"
lock_type = "file"
conmon_path = ["${root}/usr/bin/conmon"]
runtime = "tscompose-runtime"
runtime_supports_json = ["tscompose-runtime"]
[engine.runtimes]
tscompose-runtime = ["${RUNTIME}"]
`;
}

/** Whichever of the two layouts the host has. */
const MEMORY_LIMIT = '/sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes';

const good = (stdout: string) => ({ status: 0, stdout, stderr: '' });

/** A podman and its conmon with our binary as their OCI runtime: storage, state and configuration are our own. */
class Podman {
  readonly directory = mkdtempSync('/tmp/tsc-podman-');
  readonly #unpacked: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly command: readonly string[];

  constructor(program: string) {
    this.#unpacked = program.replace(/\/usr\/bin\/podman$/, '');
    this.environment = {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: join(this.directory, 'home'),
      CONTAINERS_CONF: join(this.directory, 'containers.conf'),
      CONTAINERS_REGISTRIES_CONF: `${this.#unpacked}/etc/containers/registries.conf`,
      PODMAN_IGNORE_CGROUPSV1_WARNING: '1',
    };
    const places = ['root', 'runroot', 'tmpdir'].flatMap((name) => [`--${name}`, join(this.directory, name)]);
    this.command = [program, '--storage-driver', 'vfs', ...places];
  }

  readonly run = (...args: readonly string[]): Promise<RunResult> => {
    const [program = '', ...words] = this.command;
    const signal = AbortSignal.timeout(30_000);
    return runProgram(program, [...words, ...args], { environment: this.environment, signal });
  };

  async prepare(): Promise<void> {
    const policy = join(this.directory, 'home/.config/containers');
    const content = join(this.directory, 'image');
    for (const place of [policy, join(content, 'bin'), join(content, 'tmp'), join(content, 'etc')])
      mkdirSync(place, { recursive: true });
    copyFileSync(`${this.#unpacked}/etc/containers/policy.json`, join(policy, 'policy.json'));
    copyFileSync('/bin/busybox', join(content, 'bin/busybox'));
    for (const tool of tools) symlinkSync('busybox', join(content, 'bin', tool));
    writeFileSync(join(this.directory, 'containers.conf'), configuration(this.#unpacked));
    const archive = join(this.directory, 'image.tar');
    await runProgram('/bin/tar', ['-C', content, '-cf', archive, '.']);
    expect(await this.run('import', '--quiet', archive, image)).toMatchObject({ status: 0 });
  }

  async remove(): Promise<void> {
    expect(await this.run('rm', '--all', '--force', '--time', '0')).toMatchObject({ status: 0 });
    await this.run('volume', 'prune', '--force');
    // The parent of all of podman's groups; not empty while another podman of this host is at work.
    for (const place of cgroupDirectories('/libpod_parent')) {
      try {
        rmdirSync(join(place, 'conmon'));
        rmdirSync(place);
      } catch {}
    }
    const left = readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(this.directory));
    for (const line of left) await runProgram('/bin/umount', ['--lazy', line.split(' ')[4] ?? '']);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

const versions: ['podman-4' | 'podman-5', Peer][] = [
  ['podman-4', await peer('podman-4')],
  ['podman-5', await peer('podman-5')],
];

describe.each(versions)('%s', (_name, found) => {
  // Its reason was printed.
  if (!('path' in found)) return void test.skip('cannot be had on this machine');
  const client = new Podman(found.path);
  const podman = client.run;
  beforeAll(() => client.prepare());
  afterAll(() => client.remove());

  test('runs, passes output and status', async () => {
    expect(await podman('run', '--rm', image, 'echo', 'hello')).toMatchObject(good('hello\n'));
    expect(await podman('run', '--rm', image, 'sh', '-c', 'exit 7')).toMatchObject({ status: 7 });
    expect(await podman('run', '--rm', image, '/nonexistent')).toMatchObject({
      status: 127,
      stderr: expect.stringContaining('cannot execute /nonexistent: No such file or directory') as unknown,
    });
    expect(await podman('run', '--rm', image, '/etc')).toMatchObject({ status: 126 });
  });

  test('lives with one: exec, logs, inspect, pause, update, stop, start, kill, rm', async () => {
    const script = 'trap "exit 9" TERM; echo out; echo err >&2; while :; do sleep 0.1; done';
    expect(await podman('run', '--detach', '--name', 'a', image, 'sh', '-c', script)).toMatchObject({ status: 0 });
    const inspect = async (format: string) => (await podman('inspect', '--format', format, 'a')).stdout.trim();
    expect(await inspect('{{.State.Status}} {{.OCIRuntime}}')).toBe('running tscompose-runtime');
    expect(await podman('exec', 'a', 'echo', 'inside')).toMatchObject(good('inside\n'));
    expect(
      await podman(
        'exec',
        '--env',
        'X=1',
        '--workdir',
        '/tmp',
        '--user',
        '12:34',
        'a',
        'sh',
        '-c',
        'echo $X; pwd; id; exit 5',
      ),
    ).toMatchObject({ status: 5, stdout: '1\n/tmp\nuid=12 gid=34 groups=34\n' });
    expect(await podman('exec', '--detach', 'a', 'sh', '-c', 'echo later >/tmp/later')).toMatchObject({ status: 0 });
    expect((await podman('exec', 'a', 'sh', '-c', 'while ! cat /tmp/later; do sleep 0.1; done')).stdout).toBe(
      'later\n',
    );
    expect(await podman('exec', 'a', '/nonexistent')).toMatchObject({ status: 127 });
    expect((await podman('logs', 'a')).stdout).toBe('out\n');
    expect((await podman('top', 'a', 'pid', 'args')).stdout).toMatch(/^1 +sh -c/m);
    expect(await podman('update', '--memory', '100m', 'a')).toMatchObject({ status: 0 });
    const limits = await podman('exec', 'a', 'sh', '-c', `cat ${MEMORY_LIMIT}`);
    expect(limits.stdout).toBe(`${100 << 20}\n`);
    expect(await podman('pause', 'a')).toMatchObject({ status: 0 });
    expect(await inspect('{{.State.Status}}')).toBe('paused');
    expect(await podman('unpause', 'a')).toMatchObject({ status: 0 });
    expect(await podman('stop', '--time', '10', 'a')).toMatchObject({ status: 0 });
    expect(await inspect('{{.State.Status}} {{.State.ExitCode}}')).toBe('exited 9');
    expect(await podman('start', 'a')).toMatchObject({ status: 0 });
    expect(await podman('kill', '--signal', 'KILL', 'a')).toMatchObject({ status: 0 });
    expect((await podman('wait', 'a')).stdout).toBe('137\n');
    expect(await podman('rm', 'a')).toMatchObject({ status: 0 });
  });

  test('gives terminals, for run and exec', async () => {
    const shell = openTerminal([...client.command, 'run', '--rm', '-it', '--name', 't', image, 'sh'], {
      environment: client.environment,
      rows: 31,
      columns: 99,
    });
    await shell.waitFor(/# /);
    shell.type('tty; stty size\n');
    await shell.waitFor(/\/dev\/pts\/0\r\n31 99/);
    const other = openTerminal([...client.command, 'exec', '-it', 't', 'tty'], { environment: client.environment });
    expect(await other.ended).toBe(0);
    expect(other.shown()).toMatch(/\/dev\/pts\/\d/);
    shell.type('exit 3\n');
    expect(await shell.ended).toBe(3);
  });

  test.each<[string, string[], string | RegExp]>([
    ['an init', ['--init', image, 'sh', '-c', 'ps'], /^ +1 0 +\/run\/podman-init/m],
    ['a volume', ['-v', 'data:/data', image, 'sh', '-c', 'echo kept >/data/f; cat /data/f'], 'kept\n'],
    [
      'a tmpfs on a read-only root',
      ['--read-only', '--tmpfs', '/tmp', image, 'sh', '-c', 'echo a >/tmp/x; cat /tmp/x'],
      'a\n',
    ],
    ['limits', ['--pids-limit', '50', '--memory', '64m', image, 'echo', 'limited'], 'limited\n'],
    [
      'namespaces of the host',
      ['--net', 'host', '--pid', 'host', '--ipc', 'host', '--uts', 'host', image, 'echo', 'host'],
      'host\n',
    ],
    ['a user namespace', ['--uidmap', '0:100000:1000', image, 'cat', '/proc/self/uid_map'], /^\s+0\s+100000\s+1000\n$/],
    ['privileges', ['--privileged', image, 'sh', '-c', 'grep CapEff /proc/self/status'], /CapEff:\t0+1ff/],
    [
      'no capability but one',
      ['--cap-drop', 'all', '--cap-add', 'net_raw', image, 'grep', 'CapBnd', '/proc/self/status'],
      /2000\n$/,
    ],
    ['a user and groups', ['--user', '1:2', '--group-add', '55', image, 'id'], 'uid=1 gid=2 groups=2,55\n'],
    ['a sysctl', ['--sysctl', 'net.ipv4.ip_forward=1', image, 'cat', '/proc/sys/net/ipv4/ip_forward'], '1\n'],
    ['a systemd container', ['--systemd', 'always', image, 'echo', 'mounted'], 'mounted\n'],
    [
      'a score for the out-of-memory killer',
      ['--oom-score-adj', '100', image, 'cat', '/proc/self/oom_score_adj'],
      '100\n',
    ],
    [
      'a bind mount that is read-only',
      [
        ...['-v', `${client.directory}/image/etc:/host:ro`, image],
        ...['sh', '-c', 'grep " /host " /proc/self/mounts; echo a >/host/x || echo refused'],
      ],
      /^\S+ \/host \S+ ro,.*\nrefused\n$/,
    ],
    ['no network', ['--network', 'none', image, 'ls', '/sys/class/net'], 'lo\n'],
    ['a tmpfs of a size', ['--tmpfs', '/s:size=64k', image, 'grep', ' /s ', '/proc/self/mounts'], /size=64k/],
    ['a memory limit', ['--memory', '64m', image, 'sh', '-c', `cat ${MEMORY_LIMIT}`], `${64 << 20}\n`],
    ['a host name', ['--hostname', 'box', image, 'cat', '/proc/sys/kernel/hostname'], 'box\n'],
    ['the groups of the host', ['--cgroupns', 'host', image, 'cat', '/proc/self/cgroup'], /libpod/],
    ['a device', ['--device', '/dev/fuse:/dev/own', image, 'ls', '/dev/own'], '/dev/own\n'],
    ['a shared memory size', ['--shm-size', '128k', image, 'grep', ' /dev/shm ', '/proc/self/mounts'], /size=128k/],
    [
      // Without the second podman 4 asks for more processes than a machine may allow.
      'limits of a process',
      [
        ...['--ulimit', 'nofile=77:88', '--ulimit', 'nproc=1000:2000', image],
        ...['sh', '-c', 'ulimit -n; ulimit -Hn; grep processes /proc/self/limits'],
      ],
      /^77\n88\nMax processes +1000 +2000 /,
    ],
    ['a mask', ['--umask', '077', image, 'sh', '-c', 'umask'], '0077\n'],
    [
      'no seccomp filter',
      ['--security-opt', 'seccomp=unconfined', image, 'grep', 'Seccomp:', '/proc/self/status'],
      'Seccomp:\t0\n',
    ],
  ])('with %s', async (_, args, expected) => {
    const result = await podman('run', '--rm', ...args);
    expect(result).toMatchObject({ status: 0 });
    if (typeof expected === 'string') expect(result.stdout).toBe(expected);
    else expect(result.stdout).toMatch(expected);
  });

  test('in the process ids of another container', async () => {
    expect(await podman('run', '--detach', '--name', 'other', image, 'sleep', '1000')).toMatchObject({ status: 0 });
    const seen = await podman('run', '--rm', '--pid', 'container:other', image, 'ps', '-o', 'pid,args');
    expect(seen.stdout).toMatch(/^ +1 sleep 1000$/m);
    expect(await podman('rm', '--force', '--time', '0', 'other')).toMatchObject({ status: 0 });
  });

  test('with descriptors passed on', async () => {
    const script = 'exec 3>"$1"; shift; exec "$@"';
    const file = join(client.directory, 'passed');
    const args = [...client.command, 'run', '--rm', '--preserve-fds', '1', image, 'sh', '-c', 'echo through >&3'];
    expect(
      await runProgram('/bin/sh', ['-c', script, 'sh', file, ...args], { environment: client.environment }),
    ).toMatchObject({
      status: 0,
    });
    expect(readFileSync(file, 'utf8')).toBe('through\n');
  });

  test('in a pod, and nothing stays', async () => {
    expect(await podman('pod', 'create', '--name', 'p', '--infra=false')).toMatchObject({ status: 0 });
    expect(await podman('run', '--rm', '--pod', 'p', image, 'echo', 'in')).toMatchObject(good('in\n'));
    expect(await podman('pod', 'rm', '--force', 'p')).toMatchObject({ status: 0 });
    expect((await podman('ps', '--all', '--quiet')).stdout).toBe('');
  });
});
