import type { ContainerSpec, HealthcheckSpec, ResourceSpec, SecuritySpec } from '../client/index.ts';
import type { Service } from '../compose/index.ts';

/** Limits of a service; `deploy.resources` wins over the older keys. */
export function resources(service: Service): ResourceSpec {
  const limits = service.deploy?.resources?.limits;
  const cpus = limits?.cpus ?? service.cpus;
  return withoutUndefined({
    memory: limits?.memory ?? service.memLimit,
    memoryReservation: service.deploy?.resources?.reservations?.memory ?? service.memReservation,
    memorySwap: service.memswapLimit,
    memorySwappiness: service.memSwappiness,
    nanoCpus: cpus === undefined ? undefined : Math.round(cpus * 1e9),
    cpuShares: service.cpuShares,
    cpuPeriod: service.cpuPeriod,
    cpuQuota: service.cpuQuota,
    cpuset: service.cpuset,
    pidsLimit: limits?.pids ?? service.pidsLimit,
    oomKillDisable: service.oomKillDisable || undefined,
    oomScoreAdj: service.oomScoreAdj,
    shmSize: service.shmSize,
    blkioWeight: service.blkioConfig?.weight,
    ulimits:
      service.ulimits.size > 0
        ? [...service.ulimits].map(([name, { soft, hard }]) => ({ name, soft, hard }))
        : undefined,
  });
}

/** Privileges of a service. */
export function security(service: Service): SecuritySpec {
  const listed = <T>(items: readonly T[]) => (items.length > 0 ? items : undefined);
  return withoutUndefined({
    privileged: service.privileged || undefined,
    readOnlyRoot: service.readOnly || undefined,
    capAdd: listed(service.capAdd),
    capDrop: listed(service.capDrop),
    options: listed(service.securityOpt),
    groupAdd: listed(service.groupAdd),
    devices: listed(
      service.devices.map(({ source, target, permissions }) => ({
        source,
        target: target ?? source,
        permissions: permissions ?? 'rwm',
      })),
    ),
    deviceCgroupRules: listed(service.deviceCgroupRules),
    usernsMode: service.usernsMode,
    cgroupMode: service.cgroup,
    cgroupParent: service.cgroupParent,
  });
}

/** Health probe of a service; absent when the image's own applies unchanged. */
export function probe(service: Service): { readonly healthcheck?: HealthcheckSpec } {
  const check = service.healthcheck;
  if (!check) return {};
  if (check.disable) return { healthcheck: { test: ['NONE'] } };
  return {
    healthcheck: withoutUndefined({
      test: check.test.length > 0 ? check.test : undefined,
      interval: check.interval,
      timeout: check.timeout,
      retries: check.retries,
      startPeriod: check.startPeriod,
      startInterval: check.startInterval,
    }),
  };
}

const CONDITION_TO_POLICY: Readonly<Record<string, string>> = { none: 'no', any: 'always', 'on-failure': 'on-failure' };

/** Restart rule: `deploy.restart_policy` wins over `restart`. */
export function restartRule(service: Service): Pick<ContainerSpec, 'restart'> {
  const policy = service.deploy?.restartPolicy;
  if (policy?.condition) {
    return {
      restart: {
        name: CONDITION_TO_POLICY[policy.condition] ?? policy.condition,
        ...(policy.maxAttempts !== undefined && { maximumRetries: policy.maxAttempts }),
      },
    };
  }
  if (!service.restart) return {};
  const [name = 'no', retries] = service.restart.split(':');
  return { restart: { name, ...(retries !== undefined && { maximumRetries: Number(retries) }) } };
}

/** Log driver of a service. */
export function logging(service: Service): Pick<ContainerSpec, 'logging'> {
  if (!service.logging) return {};
  return {
    logging: {
      ...(service.logging.driver && { driver: service.logging.driver }),
      ...(service.logging.options.size > 0 && { options: Object.fromEntries(service.logging.options) }),
    },
  };
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function withoutUndefined<T extends object>(record: T): Defined<T> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as Defined<T>;
}
