import { TscError } from '../../core/index.ts';
import type { OciLimits, Rlimit } from '../runtime/index.ts';
import type { Resources, Ulimit } from './container.ts';

const DEFAULT_PIDS = 4096;
const PERIOD = 100_000;
const SMALLEST_MEMORY = 6 << 20;

/** Limits in the units of the kernel. Throws `container/invalid` for what the kernel would refuse with a riddle. */
export function limitsOf(resources: Resources): OciLimits {
  const memory = memoryLimits(resources);
  const cpu = cpuLimits(resources);
  const pids = resources.pidsLimit === undefined ? DEFAULT_PIDS : resources.pidsLimit > 0 ? resources.pidsLimit : -1;
  return {
    ...(Object.keys(memory).length > 0 && { memory }),
    ...(Object.keys(cpu).length > 0 && { cpu }),
    pids: { limit: pids },
    ...(resources.blkioWeight && { blockIO: { weight: resources.blkioWeight } }),
  };
}

function memoryLimits(resources: Resources): NonNullable<OciLimits['memory']> {
  const { memoryBytes: limit, memorySwapBytes: swap, memoryReservationBytes: reservation } = resources;
  if (limit && limit < SMALLEST_MEMORY)
    throw new TscError('container/invalid', `minimum memory limit allowed is 6MB, not ${limit} bytes`);
  if (swap && swap > 0 && !limit)
    throw new TscError('container/invalid', 'a limit of memory and swap needs a memory limit too');
  if (limit && swap && swap > 0 && swap < limit)
    throw new TscError('container/invalid', 'minimum memoryswap limit should be larger than the memory limit');
  if (limit && reservation && reservation > limit)
    throw new TscError('container/invalid', 'minimum memory limit should be larger than the memory reservation');
  return {
    ...(limit && { limit, swap: swap || limit * 2 }),
    ...(reservation && { reservation }),
    ...(resources.memorySwappiness !== undefined &&
      resources.memorySwappiness >= 0 && { swappiness: resources.memorySwappiness }),
    ...(resources.oomKillDisable && { disableOOMKiller: true }),
  };
}

function cpuLimits(resources: Resources): NonNullable<OciLimits['cpu']> {
  const { nanoCpus, cpuQuota, cpuPeriod } = resources;
  if (nanoCpus && (cpuQuota || cpuPeriod))
    throw new TscError('container/invalid', 'conflicting options: CPUs and CPU quota or period');
  if (nanoCpus && nanoCpus < 1e7) throw new TscError('container/invalid', 'the smallest number of CPUs is 0.01');
  return {
    ...(resources.cpuShares && { shares: resources.cpuShares }),
    ...(nanoCpus ? { quota: Math.round((nanoCpus / 1e9) * PERIOD), period: PERIOD } : {}),
    ...(cpuQuota && { quota: cpuQuota }),
    ...(cpuPeriod && { period: cpuPeriod }),
    ...(resources.cpusetCpus && { cpus: resources.cpusetCpus }),
    ...(resources.cpusetMems && { mems: resources.cpusetMems }),
  };
}

const RLIMITS: ReadonlySet<string> = new Set(
  'core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack'.split(' '),
);
const SOFT_NOFILE = 1024;

/** Our own hard limit of open files, and whether we may exceed hard limits at all. */
export interface OwnLimits {
  readonly hardNofile: number;
  readonly mayRaise: boolean;
}

/** Limits of the process; without one for open files, 1024 soft below our own hard one. */
export function rlimitsOf(ulimits: readonly Ulimit[], own: OwnLimits): Rlimit[] {
  const list = ulimits.map(({ name, soft, hard }): Rlimit => {
    if (!RLIMITS.has(name)) throw new TscError('container/invalid', `unknown ulimit ${JSON.stringify(name)}`);
    if (hard >= 0 && (soft < 0 || soft > hard))
      throw new TscError('container/invalid', `ulimit ${name}: the soft limit ${soft} is above the hard limit ${hard}`);
    if (name === 'nofile' && !own.mayRaise && (hard < 0 || hard > own.hardNofile)) {
      throw new TscError(
        'container/denied',
        `ulimit nofile: ${hard} is above the engine's own limit of ${own.hardNofile}`,
        {
          hint: 'raise the limit of the engine, or ask for less',
        },
      );
    }
    return { type: `RLIMIT_${name.toUpperCase()}`, soft, hard };
  });
  if (list.some((limit) => limit.type === 'RLIMIT_NOFILE')) return list;
  return [...list, { type: 'RLIMIT_NOFILE', soft: Math.min(SOFT_NOFILE, own.hardNofile), hard: own.hardNofile }];
}
