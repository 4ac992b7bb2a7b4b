import { readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Bundle, type Config, statusOf } from '../kit/bundle.ts';
import { until } from '../kit/keeper.ts';
import { createContainer } from '../kit/oci-container.ts';
import { workshopOfFile } from '../kit/workshop.ts';
import { joiner, spyOnCreates } from './attacks.ts';

const shop = workshopOfFile();

test.each([
  { what: 'run', verbs: [['run']] },
  { what: 'create, start and delete', verbs: [['create'], ['start'], ['delete', '--force']] },
])('whoever may trace in a joined pid namespace sees nothing of the host at $what (CVE-2016-9962)', ({ verbs }) =>
  spyOnCreates(shop, verbs, 25),
);

describe('a container in a pid namespace of others', () => {
  const other = async (): Promise<{ bundle: Bundle; pid: number }> => {
    const bundle = shop.bundle(['pause']);
    const { pid } = await createContainer(bundle);
    await bundle.runtime('start', bundle.id);
    return { bundle, pid };
  };
  const inside = async (words: readonly string[], change: (config: Config) => void = () => undefined) => {
    const { bundle, pid } = await other();
    const joined = joiner(shop, pid, (config) => {
      config.process.args = ['/bin/payload', ...words];
      change(config);
    });
    const result = await joined.runtime('run', joined.id);
    await bundle.runtime('delete', '--force', bundle.id);
    return result;
  };

  test('is among its processes, in a session of its own, with a procfs of theirs', async () => {
    const { bundle, pid } = await other();
    const joined = joiner(shop, pid, (config) => {
      config.process.args = ['/bin/payload', 'pause'];
      config.process['rlimits'] = [{ type: 'RLIMIT_NPROC', soft: 90, hard: 100 }];
    });
    const created = await createContainer(joined);
    expect(created.stderr).toBe('');
    expect(readlinkSync(`/proc/${created.pid}/ns/pid`)).toBe(readlinkSync(`/proc/${pid}/ns/pid`));
    await joined.runtime('start', joined.id);
    const status = readFileSync(`/proc/${created.pid}/status`, 'utf8');
    const [, inner] = /^NSpid:\t\d+\t(\d+)$/m.exec(status) ?? [];
    expect(status).toContain(`NSsid:\t${created.pid}\t${inner}`);
    expect(readFileSync(`/proc/${created.pid}/limits`, 'utf8')).toMatch(/Max processes +90 +100 /);
    const seen = await joined.runtime(
      'exec',
      joined.id,
      '/bin/payload',
      'stat',
      `/proc/${inner}/ns`,
      'stat',
      '/proc/1/ns',
    );
    expect(seen.stdout).toMatch(/^stat \/proc\/\d+\/ns: mode=40511.*\nstat \/proc\/1\/ns: mode=40511/);
    await joined.runtime('delete', '--force', joined.id);
    await bundle.runtime('delete', '--force', bundle.id);
  });

  test('runs its hooks: createContainer outside of the pid namespace, startContainer inside', async () => {
    const log = join(shop.directory, 'log');
    const { stderr, status, stdout } = await inside(['echo', 'ran'], (config) => {
      const script = `cat /dev/stdin >>${log}; readlink /proc/self/ns/mnt /proc/self/ns/pid >>${log}`;
      config.hooks['createContainer'] = [{ path: '/bin/sh', args: ['sh', '-c', script] }];
      config.hooks['startContainer'] = [{ path: '/bin/payload', args: ['payload', 'cat', '/dev/stdin'] }];
    });
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    const [told = '', mounts, pids] = readFileSync(log, 'utf8').replace('}mnt', '}\nmnt').split('\n');
    expect(JSON.parse(told)).toMatchObject({ status: 'creating' });
    expect(mounts).not.toBe(readlinkSync('/proc/self/ns/mnt'));
    expect(pids).toBe(readlinkSync('/proc/self/ns/pid'));
    const started = JSON.parse(stdout.slice(0, stdout.indexOf('ran'))) as { status: string; pid: number };
    expect(started.status).toBe('created');
    expect(started.pid).toBeLessThan(10);
  });

  test('start says what keeps it from being executed, or that it is gone', async () => {
    const { bundle, pid } = await other();
    const broken = joiner(shop, pid, (config) => {
      config.process.args = ['/bin/broken'];
    });
    writeFileSync(join(broken.rootfs, 'bin/broken'), 'no program', { mode: 0o755 });
    await createContainer(broken);
    expect((await broken.runtime('start', broken.id)).stderr).toContain(
      'cannot execute /bin/broken: Exec format error',
    );
    await broken.runtime('delete', '--force', broken.id);
    const killed = joiner(shop, pid);
    const created = await createContainer(killed);
    process.kill(created.pid, 'SIGKILL');
    await until('its end', async () => (await killed.runtime('state', killed.id)).stdout.includes('stopped'));
    expect((await killed.runtime('start', killed.id)).stderr).toContain('it is stopped');
    await killed.runtime('delete', '--force', killed.id);
    await bundle.runtime('delete', '--force', bundle.id);
  });

  test.each([
    { what: 'lets it be made under it', denied: ['mkdir'], gains: '0', says: '' },
    { what: 'does not', denied: ['setsid'], gains: '1', says: 'this one gets no_new_privs' },
  ])('under a filter that $what', async ({ denied, gains, says }) => {
    const { status, stderr, stdout } = await inside(['status'], (config) => {
      const rule = { names: denied, action: 'SCMP_ACT_ERRNO' };
      config.linux['seccomp'] = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [rule] };
    });
    expect(status).toBe(0);
    expect(stderr).toContain(says);
    expect(statusOf(stdout)).toMatchObject({ NoNewPrivs: gains, Seccomp: '2' });
  });
});
