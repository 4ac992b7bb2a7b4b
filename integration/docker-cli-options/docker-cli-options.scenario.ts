import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon, waitUntil } from '../kit/daemon.ts';
import { leftovers } from '../kit/ledger.ts';
import { peer, runPeer } from '../kit/peers.ts';

const found = await peer('docker-cli-28');

describe('options of docker run', () => {
  const program = 'path' in found ? found.path : '';
  let daemon: TestDaemon;
  let home: string;
  const docker = (...args: string[]) => runPeer(program, args, { host: daemon.host, home });

  beforeAll(async () => {
    expect(program, 'the client is needed for this duty').not.toBe('');
    home = mkdtempSync('/tmp/tsc-home-');
    writeFileSync(`${home}/env`, 'FROM_FILE=yes\n');
    writeFileSync(`${home}/file`, 'on the host\n');
    daemon = await startTestDaemon();
    await daemon.importBusybox();
  });

  afterAll(async () => {
    const left = await daemon.stop();
    rmSync(home, { recursive: true });
    expect(leftovers(left)).toEqual([]);
  });

  /** Options, a shell command, and what it must print; `HOME` stands for a directory of the test. */
  const TABLE: readonly (readonly [string, string, RegExp])[] = [
    ['-u app -w /tmp', 'id -u; pwd', /^1000\n\/tmp$/],
    ['-u 1000:1001 --group-add 44', 'id -u; id -g; id -G', /^1000\n1001\n1001 44$/],
    ['-e A=1 --env-file HOME/env', 'echo $A $FROM_FILE', /^1 yes$/],
    ['--hostname box --domainname example.test', 'hostname; cat /etc/hosts', /^box(\.example\.test)?\n[\s\S]*box/],
    ['--add-host peer:10.9.8.7', 'cat /etc/hosts', /10\.9\.8\.7\s+peer/],
    ['--dns 10.1.1.1 --dns-search corp.test', 'cat /etc/resolv.conf', /search corp\.test/],
    ['--read-only', 'touch /x || echo refused', /refused/],
    ['--tmpfs /t:size=1m', 'mount | grep " /t "', /tmpfs.*size=1024k/],
    ['-v HOME/file:/f:ro', 'cat /f; echo x > /f || echo refused', /on the host\n[\s\S]*refused/],
    ['--mount type=bind,src=HOME/file,dst=/g', 'cat /g', /^on the host$/],
    ['-v /anon', 'mount | grep -c " /anon "', /^1$/],
    ['--memory 48m', 'cat /proc/1/cgroup | head -1', /./],
    ['--init', 'cat /proc/1/comm; echo $$', /^(?!sh\n)\S+\n\d+$/],
    ['--cap-drop ALL', 'grep CapEff /proc/self/status', /0000000000000000/],
    ['--cap-drop ALL --cap-add NET_RAW', 'grep CapEff /proc/self/status', /0000000000002000/],
    ['--security-opt no-new-privileges', 'grep NoNewPrivs /proc/self/status', /1$/],
    ['', 'grep Seccomp: /proc/self/status', /2$/],
    ['--security-opt seccomp=unconfined', 'grep Seccomp: /proc/self/status', /0$/],
    ['--ulimit nofile=123:456', 'ulimit -n; ulimit -Hn', /^123\n456$/],
    ['--sysctl net.ipv4.ip_default_ttl=33', 'cat /proc/sys/net/ipv4/ip_default_ttl', /^33$/],
    ['--shm-size 8m', 'df -k /dev/shm | tail -1', /8192/],
    ['--network none', 'ip -o link | wc -l', /^1$/],
    ['--network host', 'readlink /proc/self/ns/net', /net:/],
    ['--pid host', '[ $$ -gt 20 ] && echo among many', /^among many$/],
    ['--uts host', 'hostname', /./],
    ['--device /dev/zero:/dev/nil', 'head -c 2 /dev/nil | wc -c', /^2$/],
    ['--oom-score-adj 100', 'cat /proc/self/oom_score_adj', /^100$/],
    ['--label a=b --annotation c=d', 'true', /^$/],
    ['--log-driver none', 'echo quiet', /^quiet$/],
    ['--mac-address 02:42:00:11:22:33', 'cat /sys/class/net/eth0/address', /^02:42:00:11:22:33$/],
    ['--cgroupns private', 'cat /proc/1/cgroup | tail -1', /0::\/$/],
    ['--stop-signal USR1 --stop-timeout 1', 'true', /^$/],
  ];

  it.each(TABLE)('%s: %s', async (options, command, expected) => {
    const args = options
      .replaceAll('HOME', home)
      .split(' ')
      .filter((word) => word !== '');
    const result = await docker('run', '--rm', ...args, 'busybox', 'sh', '-c', `{ ${command}; } 2>&1`);
    expect(`${result.status} ${result.stderr}`).toMatch(/^0 /);
    expect(result.stdout.trim()).toMatch(expected);
  });

  it('entrypoint replaces and empties', async () => {
    const replaced = await docker('run', '--rm', '--entrypoint', 'echo', 'busybox', 'from', 'entrypoint');
    expect(replaced.stdout).toBe('from entrypoint\n');
    const emptied = await docker('run', '--rm', '--entrypoint', '', 'busybox', 'echo', 'none');
    expect(emptied.stdout).toBe('none\n');
  });

  it('limits reach the cgroup', async () => {
    await docker(
      'run',
      '-d',
      '--name',
      'limited',
      '-m',
      '48m',
      '--cpus',
      '0.5',
      '--pids-limit',
      '20',
      'busybox',
      'sleep',
      '99',
    );
    const stats = await docker('stats', '--no-stream', '--format', '{{.MemUsage}}', 'limited');
    expect(stats.stdout).toMatch(/ \/ 48MiB$/m);
    const forks = await docker(
      'exec',
      'limited',
      'sh',
      '-c',
      'for i in $(seq 40); do sleep 5 & done 2>&1 | grep -m1 -o "can.t fork"',
    );
    expect(forks.stdout).toMatch(/can.t fork/);
    await docker('rm', '-f', 'limited');
  });

  it('a failing container is started again, as often as asked', async () => {
    await docker('run', '-d', '--name', 'again', '--restart', 'on-failure:2', 'busybox', 'false');
    const count = async () =>
      (await docker('inspect', '-f', '{{.RestartCount}} {{.State.Status}}', 'again')).stdout.trim();
    await waitUntil(20_000, async () => (await count()) === '2 exited');
    await docker('rm', 'again');
  });

  it('health is probed and shown', async () => {
    const flags = ['--health-cmd', 'test -e /tmp/ok', '--health-interval', '200ms', '--health-retries', '2'];
    await docker('run', '-d', '--name', 'sick', ...flags, 'busybox', 'sleep', '99');
    const health = async () => (await docker('inspect', '-f', '{{.State.Health.Status}}', 'sick')).stdout.trim();
    await waitUntil(20_000, async () => (await health()) === 'unhealthy');
    await docker('exec', 'sick', 'touch', '/tmp/ok');
    await waitUntil(20_000, async () => (await health()) === 'healthy');
    expect((await docker('ps', '--format', '{{.Status}}')).stdout).toMatch(/\(healthy\)/);
    await docker('rm', '-f', 'sick');
  });

  it.each([
    [['--gpus', 'all'], /DeviceRequests/],
    [['--storage-opt', 'size=1G'], /StorageOpt/],
    [['--device-read-bps', '/dev/zero:1mb'], /BlkioDeviceReadBps/],
    [['--volume-driver', 'nfs', '-v', 'a1:/a'], /VolumeDriver|driver/],
    [['--runtime', 'nope'], /runtime/i],
    [['--isolation', 'hyperv'], /[Ii]solation/],
    [['--mount', 'type=bind,src=/no/such/dir,dst=/y'], /no\/such\/dir/],
    [['--name', 'x'], /name/],
    [['--network', 'missing'], /missing/],
  ])('%j is refused by name', async (options, words) => {
    const result = await docker('run', '--rm', ...options, 'busybox', 'true');
    expect([result.status, result.stderr]).toEqual([125, expect.stringMatching(words)]);
  });
});
