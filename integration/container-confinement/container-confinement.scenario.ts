import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine } from '../kit/engine.ts';
import { leftovers } from '../kit/ledger.ts';

let test: TestEngine;
beforeAll(async () => {
  test = await TestEngine.start();
});
afterAll(async () => {
  expect(leftovers(await test.stop())).toEqual([]);
});

let count = 0;
type Spec = Parameters<TestEngine['run']>[2];
/** What shell text prints in a container of its own, and its exit code. */
async function shell(text: string, spec: Spec = {}): Promise<string> {
  count += 1;
  const { stdout, stderr, exitCode } = await test.run(`shell${count}`, ['sh', '-c', text], spec);
  return `${stdout}${stderr}${exitCode}`;
}
const host = (part: NonNullable<Spec>['host']): Spec => ({ host: part ?? {} });

describe('by default a container', () => {
  it('has the fourteen capabilities, none of them inheritable, and a filter', async () => {
    const status = await shell('grep -E "^(CapInh|CapBnd|CapEff|Seccomp|NoNewPrivs):" /proc/self/status');
    expect(status).toMatch(/CapInh:\s+0{16}\n/);
    expect(status).toMatch(/CapEff:\s+00000000a80425fb\n/);
    expect(status).toMatch(/CapBnd:\s+00000000a80425fb\n/);
    expect(status).toMatch(/NoNewPrivs:\s+0\nSeccomp:\s+2\n/);
  });

  it('cannot mount, leave its namespaces, or write kernel settings', async () => {
    expect(await shell('mount -t tmpfs x /tmp')).toMatch(/permission denied|not permitted/i);
    expect(await shell('unshare -m true')).toMatch(/not permitted/i);
    expect(await shell('echo 1 > /proc/sys/kernel/panic')).toMatch(/Read-only/);
    expect(await shell('echo x > /sys/kernel/mm/x')).not.toMatch(/0$/);
    expect(await shell('cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | wc -c')).toBe('0\n0');
    expect(await shell('mkdir /sys/fs/cgroup/pids/x')).toMatch(/Read-only/);
  });

  it('opens no device but the harmless ones', async () => {
    expect(await shell('mknod /x b 254 0 && cat /x')).toMatch(/not permitted/i);
    expect(await shell('ls /dev | sort | tr "\\n" " "')).toBe(
      'fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero 0',
    );
  });

  it('inherits nothing and sees nothing of the host', async () => {
    expect(await shell('ls /proc/self/fd | wc -l')).toBe('4\n0');
    // The shell alone: what it would start might be there or not yet.
    expect(await shell('set -- /proc/[0-9]*; echo $#')).toBe('1\n0');
    expect(await shell(`grep -c ${test.directory}/data/layers /proc/mounts`)).toBe('0\n1');
    expect(await shell('cat /proc/self/cgroup | cut -d: -f3 | sort -u')).toBe('/\n0');
  });

  it('has its limits', async () => {
    expect(await shell('ulimit -n')).toBe('1024\n0');
    expect(await shell('cat /sys/fs/cgroup/pids/pids.max')).toBe('4096\n0');
  });
});

describe('as asked', () => {
  it('less or more capabilities', async () => {
    const caps = 'grep CapEff /proc/self/status | cut -f2';
    expect(await shell(caps, host({ capDrop: ['ALL'] }))).toBe('0000000000000000\n0');
    expect(await shell(caps, host({ capDrop: ['ALL'], capAdd: ['NET_ADMIN'] }))).toBe('0000000000001000\n0');
    expect(await shell(caps, { config: { user: 'app' } })).toBe('0000000000000000\n0');
  });

  it('no new privileges, no filter', async () => {
    const status = 'grep -E "^(NoNewPrivs|Seccomp):" /proc/self/status | cut -f2 | tr "\\n" " "';
    expect(await shell(status, host({ securityOpt: ['no-new-privileges'] }))).toBe('1 2 0');
    expect(await shell(status, host({ securityOpt: ['seccomp=unconfined'] }))).toBe('0 0 0');
  });

  it("a seccomp profile as Docker's users write it, resolved for the container's capabilities", async () => {
    const profile = {
      defaultAction: 'SCMP_ACT_ALLOW',
      archMap: [{ architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86'] }],
      syscalls: [
        { names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 95, excludes: { caps: ['CAP_SYS_ADMIN'] } },
        { names: ['chmod', 'fchmodat'], action: 'SCMP_ACT_ERRNO', errnoRet: 90, includes: { caps: ['CAP_SYS_ADMIN'] } },
      ],
    };
    const securityOpt = [`seccomp=${JSON.stringify(profile)}`];
    const text = 'mkdir /made; chmod 700 /tmp; true';
    const [plain, admin] = [
      await shell(text, host({ securityOpt })),
      await shell(text, host({ securityOpt, capAdd: ['SYS_ADMIN'] })),
    ];
    expect(plain).toMatch(/mkdir: .*(Operation not supported|Not supported)/i);
    expect(plain).not.toContain('chmod:');
    expect(admin).toMatch(/chmod: .*Message too (long|large)/i);
    expect(admin).not.toContain('mkdir:');
    await expect(
      shell('true', host({ securityOpt: ['seccomp={"defaultAction":"SCMP_ACT_ALLOW","syscalls":[3]}'] })),
    ).rejects.toMatchObject({ code: 'container/invalid' });
  });

  it('privileged', async () => {
    const spec = host({ privileged: true });
    expect(
      await shell('mount -t tmpfs x /tmp && test -w /proc/sys/kernel/panic && grep Seccomp: /proc/self/status', spec),
    ).toBe('Seccomp:\t0\n0');
  });

  it('a read-only root with a writable tmpfs', async () => {
    const spec = host({ readonlyRootfs: true, tmpfs: { '/run/x': 'size=1m,mode=1777' } });
    expect(await shell('touch /a || touch /run/x/a && stat -c %a /run/x', spec)).toMatch(/Read-only.*\n?.*0$/s);
    expect(await shell('grep " /run/x " /proc/mounts | cut -d" " -f4', spec)).toMatch(
      /noexec.*size=1024k|size=1024k.*/,
    );
  });

  it('limits of memory, processors and processes', async () => {
    const spec = host({
      resources: { memoryBytes: 32 << 20, nanoCpus: 5e8, pidsLimit: 50 },
      ulimits: [{ name: 'nofile', soft: 99, hard: 100 }],
    });
    expect(
      await shell(
        'cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us pids/pids.max; ulimit -n; ulimit -Hn',
        spec,
      ),
    ).toBe(`${32 << 20}\n50000\n50\n99\n100\n0`);
  });

  it('a device, groups, sysctls, shared memory, host names', async () => {
    expect(
      await shell(
        'ls -l /dev/null2 | cut -c1; id -G; cat /proc/sys/kernel/msgmax; df -k /dev/shm | tail -1 | tr -s " " | cut -d" " -f2',
        {
          config: { user: '5' },
          host: {
            devices: [{ source: '/dev/null', target: '/dev/null2', permissions: 'rwm' }],
            groupAdd: ['44', 'extra'],
            sysctls: { 'kernel.msgmax': '4444' },
            shmSizeBytes: 8 << 20,
          },
        },
      ),
    ).toBe('c\n0 44 1001\n4444\n8192\n0');
  });
});

describe('hostile requests', () => {
  it.each(['4294967295', '4294967296', '-1', 'a:b:c'])('user %j is refused', async (user) => {
    await expect(shell('true', { config: { user } })).rejects.toMatchObject({ code: 'container/invalid' });
  });

  it('a working directory through a descriptor is refused', async () => {
    await expect(test.run('workdir', ['pwd'], { config: { workdir: '/proc/self/fd/7' } })).rejects.toThrow();
  });

  it('a link in a volume leads nowhere on the host', async () => {
    const outside = join(test.directory, 'outside');
    mkdirSync(outside);
    await test.run('plant', ['ln', '-s', outside, '/v/link'], { host: { binds: ['planted:/v'] } });
    const below = { binds: ['planted:/v'], mounts: [{ type: 'tmpfs' as const, target: '/v/link/here' }] };
    // Followed inside the container's own root, where it is made.
    await test.run('follow', ['touch', '/v/link/here/file'], { host: below });
    expect(readdirSync(outside)).toEqual([]);
  });
});

describe('together', () => {
  it('containers share network, processes and memory when asked', async () => {
    const { containers } = test.engine;
    await test.create('owner', ['sleep', '1000'], host({ ipcMode: 'shareable' }));
    await containers.start('owner');
    const ns = (kind: string) =>
      test.exec('owner', ['readlink', `/proc/self/ns/${kind}`]).then((result) => result.stdout);
    const joined = host({ networkMode: 'container:owner', pidMode: 'container:owner', ipcMode: 'container:owner' });
    expect(await shell('for kind in net pid ipc; do readlink /proc/self/ns/$kind; done', joined)).toBe(
      `${await ns('net')}${await ns('pid')}${await ns('ipc')}0`,
    );
    await containers.stop('owner', { timeoutSeconds: 0 });
    await expect(shell('true', joined)).rejects.toMatchObject({ code: 'container/conflict' });
  });

  it('two containers take the memory of their volume, not of each other', async () => {
    await test.run('first-writer', ['touch', '/shared/a'], host({ binds: ['both:/shared'] }));
    const { stdout } = await test.run('second', ['ls', '/again'], host({ volumesFrom: [], binds: ['both:/again'] }));
    expect(stdout).toBe('a\n');
    expect((await test.run('third', ['ls', '/shared'], host({ volumesFrom: ['first-writer:ro'] }))).stdout).toBe('a\n');
  });

  it('says what changed in the root', async () => {
    await test.run('changer', ['sh', '-c', 'echo x > /new; rm /etc/busybox-release; touch /etc/passwd']);
    const changes = await test.engine.containers.changes('changer');
    expect(changes).toContainEqual({ path: '/new', kind: 'added' });
    expect(changes).toContainEqual({ path: '/etc/busybox-release', kind: 'deleted' });
    expect(changes).toContainEqual({ path: '/etc/passwd', kind: 'modified' });
  });
});
