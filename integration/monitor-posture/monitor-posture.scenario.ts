import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { until } from '../kit/keeper.ts';
import { leftovers } from '../kit/ledger.ts';

let daemon: TestDaemon;
beforeAll(async () => {
  // What must not get beyond the daemon.
  process.env['HTTP_PROXY'] = 'http://user:password@proxy.invalid:1';
  daemon = await startTestDaemon();
  delete process.env['HTTP_PROXY'];
  await daemon.importBusybox();
});
afterAll(async () => {
  expect(leftovers(await daemon.stop())).toEqual([]);
});

const CAP_DAC_OVERRIDE = 1n << 1n;
const CAP_KILL = 1n << 5n;

/** What the kernel says of a process. */
async function posture(pid: number) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string) => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)?.[1]?.trim() ?? '';
  const capabilities = (name: string) => BigInt(`0x${field(name)}`);
  const descriptors = readdirSync(`/proc/${pid}/fd`).map((number) => readlinkSync(`/proc/${pid}/fd/${number}`));
  // A root without CAP_SYS_PTRACE may look into processes that can be dumped, and into no other.
  const lesser = ['--bounding-set', '-sys_ptrace', '--inh-caps', '-sys_ptrace', 'readlink', `/proc/${pid}/exe`];
  return {
    name: field('Name'),
    user: field('Uid').split('\t')[0],
    effective: capabilities('CapEff'),
    permitted: capabilities('CapPrm'),
    inheritable: capabilities('CapInh'),
    bounding: capabilities('CapBnd'),
    ambient: capabilities('CapAmb'),
    noNewPrivileges: field('NoNewPrivs'),
    seccomp: field('Seccomp'),
    traceable: (await runProgram('/usr/bin/setpriv', lesser)).status === 0,
    environment: readFileSync(`/proc/${pid}/environ`, 'utf8')
      .split('\0')
      .filter((entry) => entry !== '')
      .map((entry) => entry.split('=', 1)[0])
      .sort(),
    cwd: readlinkSync(`/proc/${pid}/cwd`),
    /** Kinds of what is open above the standard three. */
    open: [
      ...new Set(descriptors.map((target) => target.replace(/\[.*|:.*/, '').replace(daemon.directory, ''))),
    ].sort(),
    namespaces: readdirSync(`/proc/${pid}/ns`)
      .filter((name) => readlinkSync(`/proc/${pid}/ns/${name}`) !== readlinkSync(`/proc/self/ns/${name}`))
      .sort(),
    score: Number(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8')),
  };
}

/** Children of the keeper whose command line has the words. */
function processes(...words: string[]): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        const parent = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
        return parent === daemon.keeperPid && words.every((word) => line.some((each) => each.includes(word)));
      } catch {
        return false;
      }
    })
    .map(Number);
}

async function start(name: string, body: object): Promise<string> {
  const created = await daemon.call('POST', `/containers/create?name=${name}`, { Image: 'busybox', ...body });
  expect(created.status, created.text()).toBe(201);
  const started = await daemon.call('POST', `/containers/${name}/start`);
  expect(started.status, started.text()).toBe(204);
  return created.json<{ Id: string }>().Id;
}

const mayLowerScore = () => {
  const own = readFileSync('/proc/self/oom_score_adj', 'utf8');
  try {
    writeFileSync('/proc/self/oom_score_adj', '-500');
    return true;
  } catch {
    return false;
  } finally {
    writeFileSync('/proc/self/oom_score_adj', own);
  }
};

describe('what each process has once it runs', () => {
  it('monitor of a container: two capabilities, no privileges to gain, a filter, nothing inherited', async () => {
    const id = await start('watched', { Cmd: ['sleep', '1000'], OpenStdin: true });
    const [pid = 0] = processes('monitor', id.slice(0, 20));
    await until('the settled monitor', async () => (await posture(pid)).seccomp === '2');
    expect(await posture(pid)).toMatchObject({
      name: 'tsc-monitor',
      effective: CAP_KILL | CAP_DAC_OVERRIDE,
      permitted: CAP_KILL | CAP_DAC_OVERRIDE,
      bounding: CAP_KILL | CAP_DAC_OVERRIDE,
      inheritable: 0n,
      ambient: 0n,
      noNewPrivileges: '1',
      traceable: false,
      environment: ['LANG', 'PATH'],
      cwd: '/',
      namespaces: [],
      score: mayLowerScore() ? -500 : 0,
    });
    // Its streams, socket, log, run directory, the counter of kills; its last words go where the keeper's go.
    const allowed = [
      /^\/dev\/null$/,
      /^\/log$/,
      /^anon_inode$/,
      /^pipe$/,
      /^socket$/,
      new RegExp(`^/run/c/${id.slice(0, 20)}$`),
      /-json\.log$/,
      /^\/sys\/fs\/cgroup\/.*memory\.(oom_control|events)$/,
    ];
    expect((await posture(pid)).open.filter((target) => !allowed.some((form) => form.test(target)))).toEqual([]);
    const { body } = await daemon.call('DELETE', `/containers/watched?force=1`);
    expect(body.toString()).toBe('');
  });

  it('monitor of an exec: one capability and no child any more', async () => {
    const id = await start('host', { Cmd: ['sleep', '1000'] });
    const exec = await daemon.call('POST', `/containers/${id}/exec`, { Cmd: ['sleep', '1000'], User: '12:12' });
    const execId = exec.json<{ Id: string }>().Id;
    expect((await daemon.call('POST', `/exec/${execId}/start`, { Detach: true })).status).toBe(200);
    const [pid = 0] = processes('monitor', execId.slice(0, 20));
    await until('the settled monitor', async () => (await posture(pid)).seccomp === '2');
    expect(await posture(pid)).toMatchObject({
      effective: CAP_KILL,
      permitted: CAP_KILL,
      bounding: CAP_KILL,
      noNewPrivileges: '1',
      traceable: false,
      environment: ['LANG', 'PATH'],
      namespaces: [],
    });
    expect((await daemon.call('DELETE', '/containers/host?force=1')).status).toBe(204);
    await until('its end', () => processes('monitor', execId.slice(0, 20)).length === 0);
  });

  it('name server and port proxy: nobody, with no capability', async () => {
    const port = 20_000 + (process.pid % 10_000);
    await start('served', {
      Cmd: ['sleep', '1000'],
      ExposedPorts: { '80/tcp': {} },
      HostConfig: { PortBindings: { '80/tcp': [{ HostIp: '::1', HostPort: String(port) }] } },
    });
    const bare = {
      user: '65534',
      effective: 0n,
      permitted: 0n,
      inheritable: 0n,
      ambient: 0n,
      noNewPrivileges: '1',
      seccomp: '2',
      traceable: false,
      environment: ['LANG', 'PATH'],
      cwd: '/',
      namespaces: [],
    };
    const [names = 0] = processes('names');
    expect(await posture(names)).toMatchObject(bare);
    const [proxy = 0] = processes('--proxy');
    expect(proxy, 'a proxy for the IPv6 address').toBeGreaterThan(0);
    await until('the settled proxy', async () => (await posture(proxy)).seccomp === '2');
    expect(await posture(proxy)).toMatchObject({ ...bare, name: 'tsc-proxy' });
    const { open } = await posture(proxy);
    expect(open.filter((target) => !/^(\/dev\/null|\/log|socket|anon_inode)$/.test(target))).toEqual([]);
    expect((await daemon.call('DELETE', '/containers/served?force=1')).status).toBe(204);
  });

  it('keeper: all rights of its caller, but not to be read, and a clean place', async () => {
    const keeper = await posture(daemon.keeperPid);
    expect(keeper).toMatchObject({ name: 'tsc-keeper', cwd: '/', namespaces: [], traceable: false });
    expect(readFileSync(`/proc/${daemon.keeperPid}/maps`, 'utf8')).not.toContain('.so');
  });
});
