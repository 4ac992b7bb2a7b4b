import { TscError } from '../../core/index.ts';
import { makeDirectory, pathExists } from '../../host/index.ts';
import type { OciMount } from '../runtime/index.ts';
import { ANONYMOUS_VOLUME_LABEL } from '../volumes/index.ts';
import type { ContainerConfig, HostConfig, MountPoint, MountSpec } from './container.ts';
import type { ContainerContext } from './context.ts';
import { checkMount, checkTarget, parseBind, tmpfsOptions } from './parse-mounts.ts';

interface Wanted {
  readonly spec: MountSpec;
  readonly mode: string;
}

/**
 * The mounts of a new container: short forms, long forms, tmpfs, those of other containers, and an anonymous volume for
 * each declared destination that nothing else covers. Volumes are created. Throws `container/invalid` for doubles.
 */
export async function resolveMounts(
  context: ContainerContext,
  config: ContainerConfig,
  host: HostConfig,
): Promise<MountPoint[]> {
  const wanted: Wanted[] = [
    ...host.binds.map(parseBind),
    ...host.mounts.map((spec) => ({ spec: checkMount(spec), mode: '' })),
    ...Object.entries(host.tmpfs).map(([target, options]): Wanted => {
      tmpfsOptions(options);
      return { spec: { type: 'tmpfs', target: checkTarget(target) }, mode: options };
    }),
  ];
  const points = new Map<string, MountPoint>();
  for (const { spec } of wanted) refuseUnsupported(spec);
  for (const { spec, mode } of wanted) {
    if (points.has(spec.target)) throw new TscError('container/invalid', `duplicate mount point: ${spec.target}`);
    points.set(spec.target, await resolveOne(context, spec, mode));
  }
  for (const point of host.volumesFrom.flatMap((text) => mountsOf(context, text)))
    if (!points.has(point.destination)) points.set(point.destination, point);
  for (const volume of config.volumes) {
    const target = checkTarget(volume);
    if (!points.has(target)) points.set(target, await resolveOne(context, { type: 'volume', target }, ''));
  }
  return [...points.values()];
}

function refuseUnsupported(spec: MountSpec): void {
  if (spec.type === 'image')
    throw new TscError('container/unsupported', `mounting an image at ${spec.target} is not supported`);
  if (spec.subpath)
    throw new TscError('container/unsupported', `mounting a subpath at ${spec.target} is not supported`);
}

async function resolveOne(context: ContainerContext, spec: MountSpec, mode: string): Promise<MountPoint> {
  const base = { destination: spec.target, mode, readWrite: !spec.readOnly, spec };
  switch (spec.type) {
    case 'bind': {
      const source = spec.source ?? '';
      if (!(await pathExists(source))) {
        if (!spec.createMountpoint)
          throw new TscError('container/invalid', `bind source path does not exist: ${source}`);
        await makeDirectory(source, 0o755);
      }
      return { ...base, type: 'bind', source, propagation: spec.propagation ?? 'rprivate' };
    }
    case 'volume': {
      const volume = await context.volumes.create({
        ...(spec.source && { name: spec.source }),
        ...(spec.volumeLabels && { labels: spec.volumeLabels }),
        ...(spec.volumeDriver && { driver: spec.volumeDriver }),
        ...(spec.volumeDriverOptions && { driverOptions: spec.volumeDriverOptions }),
      });
      return {
        ...base,
        type: 'volume',
        name: volume.name,
        source: volume.mountpoint,
        driver: volume.driver,
        propagation: '',
        // A recreated container names what its predecessor got without a name; a name alone could be the user's own.
        anonymous: !spec.source || (volume.anonymous && spec.volumeLabels?.[ANONYMOUS_VOLUME_LABEL] !== undefined),
      };
    }
    case 'tmpfs':
      return { ...base, type: 'tmpfs', source: '', propagation: '' };
    case 'image':
      throw new TscError('container/bug', 'an image mount passed the check');
  }
}

function mountsOf(context: ContainerContext, text: string): MountPoint[] {
  const at = text.indexOf(':');
  const ref = at < 0 ? text : text.slice(0, at);
  const mode = at < 0 ? '' : text.slice(at + 1);
  if (!['', 'ro', 'rw', 'z', 'Z'].includes(mode))
    throw new TscError('container/invalid', `invalid mode ${JSON.stringify(mode)} in volumes-from ${text}`);
  return context.table
    .get(ref)
    .record.mounts.filter((point) => point.type !== 'tmpfs')
    .map((point) => ({
      ...point,
      anonymous: false,
      readWrite: point.readWrite && mode !== 'ro',
      spec: { ...point.spec, readOnly: !point.readWrite || mode === 'ro' },
    }));
}

/** The mount as config.json spells it. A bind source that vanished since create is an error of its own. */
export async function ociMountOf(point: MountPoint): Promise<OciMount> {
  if (point.type === 'tmpfs') {
    const { tmpfsSizeBytes, tmpfsMode, readOnly } = point.spec;
    const options = tmpfsOptions(point.mode);
    return {
      destination: point.destination,
      type: 'tmpfs',
      source: 'tmpfs',
      options: [
        ...options,
        ...(tmpfsSizeBytes ? [`size=${tmpfsSizeBytes}`] : []),
        ...(tmpfsMode === undefined ? [] : [`mode=${tmpfsMode.toString(8)}`]),
        ...(readOnly ? ['ro'] : []),
      ],
    };
  }
  if (!(await pathExists(point.source))) {
    throw new TscError(
      'container/failed',
      `cannot mount ${point.source} at ${point.destination}: the source does not exist`,
    );
  }
  return {
    destination: point.destination,
    type: 'bind',
    source: point.source,
    options: [
      point.spec.nonRecursive ? 'bind' : 'rbind',
      point.propagation || 'rprivate',
      // Submounts would stay writable with plain ro.
      ...(point.readWrite ? [] : point.spec.nonRecursive ? ['ro'] : ['rro']),
    ],
  };
}
