/** What this version does with an attribute it does not carry out. */
export type Support =
  /** refused: silently ignoring it would change what the stack does */
  | 'unsupported'
  /** kept with a warning: it means something on Windows only */
  | 'windows'
  /** kept with a warning: it means something on a cluster only */
  | 'swarm'
  /** kept with a warning: a hint to other tools that no engine acts on */
  | 'hint';

/** Attributes not carried out, by path; all others are. */
export const SUPPORT: readonly (readonly [path: string, support: Support])[] = [
  ...[
    'annotations',
    'blkio_config.device_read_bps',
    'blkio_config.device_read_iops',
    'blkio_config.device_write_bps',
    'blkio_config.device_write_iops',
    'blkio_config.weight_device',
    'build.additional_contexts',
    'build.cache_from',
    'build.cache_to',
    'build.entitlements',
    'build.extra_hosts',
    'build.no_cache_filter',
    'build.privileged',
    'build.provenance',
    'build.sbom',
    'build.secrets',
    'build.shm_size',
    'build.ssh',
    'build.ulimits',
    'cgroup_parent',
    'configs',
    'cpu_rt_period',
    'cpu_rt_runtime',
    'deploy.resources.reservations.devices',
    'gpus',
    'models',
    'post_start',
    'pre_start',
    'pre_stop',
    'provider',
    'pull_refresh_after',
    'secrets',
    'storage_opt',
    'use_api_socket',
    'volumes[].bind.recursive',
    'volumes[].image',
    'volumes[].volume.subpath',
  ].map((path) => [`services.*.${path}`, 'unsupported'] as const),
  ...['build.isolation', 'cpu_count', 'cpu_percent', 'credential_spec', 'isolation'].map(
    (path) => [`services.*.${path}`, 'windows'] as const,
  ),
  ...[
    'deploy.endpoint_mode',
    'deploy.mode',
    'deploy.placement',
    'deploy.resources.reservations.generic_resources',
    'deploy.restart_policy.delay',
    'deploy.restart_policy.window',
    'deploy.rollback_config',
    'deploy.update_config',
  ].map((path) => [`services.*.${path}`, 'swarm'] as const),
  ['services.*.ports[].app_protocol', 'hint'],
  ['services.*.volumes[].consistency', 'hint'],
  ['configs.*.template_driver', 'swarm'],
  ['secrets.*.driver', 'swarm'],
  ['secrets.*.driver_opts', 'swarm'],
  ['secrets.*.template_driver', 'swarm'],
  ['configs.*.external', 'unsupported'],
  ['secrets.*.external', 'unsupported'],
];
