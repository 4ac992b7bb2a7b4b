import { TscError } from '../../core/index.ts';
import { readCgroupFile, writeCgroupFile } from '../../host/index.ts';
import type { Resources, RestartPolicy } from './container.ts';
import { type ContainerContext, cgroupPath, publishContainerEvent, saveRecord } from './context.ts';
import { limitsOf } from './limits.ts';
import type { LiveContainer } from './live-container.ts';

export interface UpdateInput {
  readonly restartPolicy?: RestartPolicy;
  readonly resources?: Resources;
}

/** Changes limits, live where it runs, and the restart policy. */
export async function updateContainer(
  context: ContainerContext,
  container: LiveContainer,
  change: UpdateInput,
): Promise<void> {
  const { host } = container.record;
  const resources = { ...host.resources, ...change.resources };
  if (change.restartPolicy && change.restartPolicy.name !== 'no' && host.autoRemove)
    throw new TscError('container/invalid', 'a container with auto-remove cannot have a restart policy');
  const limits = limitsOf(resources);
  if (container.isRunning && change.resources) await applyLimits(cgroupPath(context.instance, container.id), limits);
  container.record = {
    ...container.record,
    host: { ...host, resources, restartPolicy: change.restartPolicy ?? host.restartPolicy },
  };
  await saveRecord(context, container);
  publishContainerEvent(context, container, 'update');
}

async function applyLimits(path: string, limits: ReturnType<typeof limitsOf>): Promise<void> {
  const { memory, cpu, pids } = limits;
  if (memory?.limit) await applyMemory(path, memory.limit, memory.swap);
  if (cpu?.quota) {
    const period = cpu.period ?? 100_000;
    await writeCgroupFile(
      path,
      { v1: ['cpu', 'cpu.cfs_quota_us'], v2: 'cpu.max' },
      { v1: String(cpu.quota), v2: `${cpu.quota} ${period}` },
    );
  }
  if (cpu?.shares) {
    // The weight scale of v2: 2…262144 shares become 1…10000.
    const weight = Math.round(1 + ((cpu.shares - 2) * 9999) / 262_142);
    await writeCgroupFile(
      path,
      { v1: ['cpu', 'cpu.shares'], v2: 'cpu.weight' },
      { v1: String(cpu.shares), v2: String(weight) },
    );
  }
  if (cpu?.cpus)
    await writeCgroupFile(path, { v1: ['cpuset', 'cpuset.cpus'], v2: 'cpuset.cpus' }, { v1: cpu.cpus, v2: cpu.cpus });
  if (pids) {
    const value = pids.limit > 0 ? String(pids.limit) : 'max';
    await writeCgroupFile(path, { v1: ['pids', 'pids.max'], v2: 'pids.max' }, { v1: value, v2: value });
  }
}

/** v1 keeps memory and swap together at or above memory alone: the one that moves away goes first. v2 counts swap alone. */
async function applyMemory(path: string, limit: number, swap = -1): Promise<void> {
  const file = { v1: ['memory', 'memory.limit_in_bytes'], v2: 'memory.max' } as const;
  const swapFile = { v1: ['memory', 'memory.memsw.limit_in_bytes'], v2: 'memory.swap.max' } as const;
  const swapNow = await readCgroupFile(path, swapFile);
  const writeSwap = async () => {
    const value = { v1: String(swap), v2: swap < 0 ? 'max' : String(swap - limit) };
    // Without swap accounting there is no file.
    if (swapNow !== undefined) await writeCgroupFile(path, swapFile, value);
  };
  const grows = Number(swapNow) < limit;
  if (grows) await writeSwap();
  await writeCgroupFile(path, file, same(limit));
  if (!grows) await writeSwap();
}

const same = (value: number) => ({ v1: String(value), v2: String(value) });
