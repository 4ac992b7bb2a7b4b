import { cpus } from 'node:os';
import { TscError } from '../../core/index.ts';
import { cgroupVersion, readCgroupFile, readTextIfExists, timestamp } from '../../host/index.ts';
import type { ContainerStats } from './container-service.ts';
import { type ContainerContext, cgroupPath } from './context.ts';
import type { LiveContainer } from './live-container.ts';

const NS_PER_TICK = 10_000_000;

/** One sample of a container's counters. */
export async function statsOf(context: ContainerContext, container: LiveContainer): Promise<ContainerStats> {
  if (!container.isRunning)
    throw new TscError('container/conflict', `container ${container.record.name} is not running`);
  const path = cgroupPath(context.instance, container.id);
  const read = async (controller: string, v1: string, v2: string) =>
    (await readCgroupFile(path, { v1: [controller, v1], v2 })) ?? '';
  const [pids, pidsLimit, usage, limit, memoryStat, throttling] = await Promise.all([
    read('pids', 'pids.current', 'pids.current'),
    read('pids', 'pids.max', 'pids.max'),
    read('memory', 'memory.usage_in_bytes', 'memory.current'),
    read('memory', 'memory.limit_in_bytes', 'memory.max'),
    read('memory', 'memory.stat', 'memory.stat'),
    read('cpu', 'cpu.stat', 'cpu.stat'),
  ]);
  const throttle = table(throttling);
  const memoryTotal = await totalMemory();
  const memoryLimit = number(limit, memoryTotal);
  return {
    read: timestamp(context.clock),
    pids: number(pids, 0),
    pidsLimit: number(pidsLimit, 0),
    ...(await cpuTimes(read)),
    systemCpu: await systemCpu(),
    onlineCpus: cpus().length,
    throttledPeriods: throttle['nr_throttled'] ?? 0,
    periods: throttle['nr_periods'] ?? 0,
    throttledTime: throttle['throttled_time'] ?? (throttle['throttled_usec'] ?? 0) * 1000,
    memoryUsage: number(usage, 0),
    memoryLimit: Math.min(memoryLimit, memoryTotal),
    memoryStat: table(memoryStat),
  };
}

async function cpuTimes(
  read: (controller: string, v1: string, v2: string) => Promise<string>,
): Promise<Pick<ContainerStats, 'cpuTotal' | 'cpuUser' | 'cpuSystem'>> {
  if ((await cgroupVersion()) === '2') {
    const stat = table(await read('cpu', 'cpu.stat', 'cpu.stat'));
    const ns = (key: string) => (stat[key] ?? 0) * 1000;
    return { cpuTotal: ns('usage_usec'), cpuUser: ns('user_usec'), cpuSystem: ns('system_usec') };
  }
  const split = table(await read('cpuacct', 'cpuacct.stat', 'cpu.stat'));
  return {
    cpuTotal: number(await read('cpuacct', 'cpuacct.usage', 'cpu.stat'), 0),
    cpuUser: (split['user'] ?? 0) * NS_PER_TICK,
    cpuSystem: (split['system'] ?? 0) * NS_PER_TICK,
  };
}

/** Time all processors spent on anything, idle included. */
async function systemCpu(): Promise<number> {
  const line = ((await readTextIfExists('/proc/stat')) ?? '').split('\n', 1)[0] ?? '';
  const ticks = line.trim().split(/\s+/).slice(1, 9).map(Number);
  return ticks.reduce((sum, value) => sum + value, 0) * NS_PER_TICK;
}

async function totalMemory(): Promise<number> {
  const text = (await readTextIfExists('/proc/meminfo')) ?? '';
  return Number(/^MemTotal:\s+(\d+)/m.exec(text)?.[1] ?? 0) * 1024;
}

function number(text: string, fallback: number): number {
  const value = Number(text.trim());
  return text.trim() === '' || Number.isNaN(value) ? fallback : value;
}

function table(text: string): Record<string, number> {
  return Object.fromEntries(
    text
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter((words) => words.length === 2)
      .map(([key = '', value]) => [key, Number(value)]),
  );
}
