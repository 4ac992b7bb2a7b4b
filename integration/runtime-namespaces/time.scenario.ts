import { existsSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { type Config, statusOf } from '../kit/bundle.ts';
import { Containers, fields, withUsers } from './containers.ts';

let containers: Containers;
beforeAll(() => {
  containers = new Containers();
});
afterAll(() => containers.close());

const DAY = 86_400;

const shifted = (config: Config): void => {
  config.linux.namespaces.push({ type: 'time' });
  config.linux['timeOffsets'] = { monotonic: { secs: DAY, nanosecs: 5 }, boottime: { secs: 7 * DAY } };
};
const uptime = (text: string) => Number(/^(\d+\.\d+) /m.exec(text)?.[1]);

describe('time namespaces', () => {
  test.each([
    ['of the host', shifted],
    [
      'inside a user namespace',
      (config: Config) => {
        withUsers(config);
        shifted(config);
      },
    ],
  ])('%s: offsets hold for the process, for exec, and for who joins', async (_name, change) => {
    const created = await containers.created(containers.bundle(['pause'], change));
    expect(fields(created.proc('timens_offsets'))).toEqual([
      ['monotonic', String(DAY), '5'],
      ['boottime', String(7 * DAY), '0'],
    ]);
    expect(readlinkSync(`/proc/${created.pid}/ns/time`)).not.toBe(readlinkSync('/proc/self/ns/time'));
    await created.bundle.runtime('start', created.bundle.id);
    const host = uptime(readFileSync('/proc/uptime', 'utf8'));
    const { stdout, stderr } = await created.exec('cat', '/proc/uptime');
    expect(stderr).toBe('');
    expect(uptime(stdout) - host).toBeGreaterThanOrEqual(7 * DAY);
    const joined = containers.bundle(['cat', '/proc/uptime'], (config) => {
      const paths = ['user', 'time', 'network', 'pid'].map((type) => ({
        type,
        path: `/proc/${created.pid}/ns/${type === 'network' ? 'net' : type}`,
      }));
      config.linux.namespaces = [...paths, ...['mount', 'ipc', 'uts', 'cgroup'].map((type) => ({ type }))];
    });
    const result = await joined.runtime('run', joined.id);
    expect(result).toMatchObject({ status: 0, stderr: '' });
    expect(uptime(result.stdout) - host).toBeGreaterThanOrEqual(7 * DAY);
    await created.remove();
  });

  test('a clock cannot be before zero', async () => {
    const message = await containers.refusal((config) => {
      config.linux.namespaces.push({ type: 'time' });
      config.linux['timeOffsets'] = { boottime: { secs: -10 * DAY * 365 } };
    });
    expect(message).toContain('linux.timeOffsets: a clock would be before zero');
  });
});

describe('personality', () => {
  test('is that of the container, also at exec', async () => {
    const created = await containers.created(
      containers.bundle(['pause'], (config) => {
        config.linux['personality'] = { domain: 'LINUX32' };
      }),
    );
    await created.bundle.runtime('start', created.bundle.id);
    expect(created.proc('personality')).toBe('00000008\n');
    expect((await created.exec('cat', '/proc/self/personality')).stdout).toBe('00000008\n');
    await created.remove();
  });
});

describe('scheduling', () => {
  const scheduled = (config: Config): void => {
    config.process['scheduler'] = { policy: 'SCHED_BATCH', nice: 7 };
    config.process['ioPriority'] = { class: 'IOPRIO_CLASS_BE', priority: 6 };
  };
  const policy = async (pid: number) => (await runProgram('/usr/bin/chrt', ['-p', String(pid)])).stdout;
  const nice = (stat: string) => stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16];

  test.each([
    ['of the host', scheduled],
    [
      'inside a user namespace',
      (config: Config) => {
        withUsers(config);
        scheduled(config);
      },
    ],
  ])('%s: policy, nice value and I/O priority', async (_name, change) => {
    const created = await containers.created(containers.bundle(['pause'], change));
    expect(await policy(created.pid)).toContain('SCHED_BATCH');
    expect(nice(created.proc('stat'))).toBe('7');
    expect((await runProgram('/usr/bin/ionice', ['-p', String(created.pid)])).stdout).toBe('best-effort: prio 6\n');
    await created.remove();
  });

  test('a real-time policy', async () => {
    const created = await containers.created(
      containers.bundle(['pause'], (config) => {
        withUsers(config);
        config.process['scheduler'] = { policy: 'SCHED_FIFO', priority: 3, flags: ['SCHED_FLAG_RESET_ON_FORK'] };
        // With real-time groups (v1) every group on the way needs a budget.
        config.linux['cgroupsPath'] = `${containers.shop.cgroup}-rt`;
        if (existsSync('/sys/fs/cgroup/cpu/cpu.rt_runtime_us'))
          config.linux.resources = { cpu: { realtimeRuntime: 1000, realtimePeriod: 1_000_000 } };
      }),
    );
    expect(await policy(created.pid)).toMatch(/SCHED_FIFO\|SCHED_RESET_ON_FORK[\s\S]*priority: 3/);
    await created.remove();
  });

  test('what the kernel refuses is told by its key', async () => {
    const message = await containers.refusal((config) => {
      config.process['scheduler'] = { policy: 'SCHED_FIFO', priority: 0 };
    });
    expect(message).toContain('cannot set process.scheduler: Invalid argument');
  });

  test('exec: scheduler, priority and processors of process.json', async () => {
    const created = await containers.created(containers.bundle(['pause']));
    await created.bundle.runtime('start', created.bundle.id);
    const file = `${created.bundle.directory}/process.json`;
    const process = {
      args: ['/bin/payload', 'status', 'cat', '/proc/self/stat'],
      cwd: '/',
      scheduler: { policy: 'SCHED_OTHER', nice: 11 },
      execCPUAffinity: { initial: '0', final: '1' },
    };
    writeFileSync(file, JSON.stringify(process));
    const { stdout, stderr } = await created.bundle.runtime('exec', '--process', file, created.bundle.id);
    expect(stderr).toBe('');
    expect(statusOf(stdout)['Cpus_allowed_list']).toBe('1');
    expect(nice(stdout.slice(stdout.lastIndexOf('\n1') + 1))).toBe('11');
    writeFileSync(file, JSON.stringify({ ...process, execCPUAffinity: { initial: '0' } }));
    const first = await created.bundle.runtime('exec', '--process', file, created.bundle.id);
    expect(statusOf(first.stdout)['Cpus_allowed_list']).toBe('0');
    await created.remove();
  });
});
