import {
  compareApiVersions,
  type ImageHistoryItem,
  type ImageInspect,
  type ImageSummary,
  type ContainerConfig as WireConfig,
} from '../../api/index.ts';
import type { Image, ImageHistoryRow } from '../../engine/index.ts';
import { wireSet } from './container-view.ts';
import { present } from './present.ts';

/** What image inspect answers. */
export function imageInspect(image: Image, version: string): ImageInspect {
  const { config } = image;
  return {
    Id: image.id,
    RepoTags: image.tags,
    RepoDigests: image.repoDigests,
    Parent: image.parent ?? '',
    Comment: config.history.at(-1)?.comment ?? '',
    ...(config.created !== '' && { Created: config.created }),
    DockerVersion: '',
    Author: config.author,
    Config: imageConfigView(image),
    Architecture: config.architecture,
    ...(config.variant !== '' && { Variant: config.variant }),
    Os: config.os,
    Size: image.size,
    ...virtualSize(image, version),
    GraphDriver: { Name: 'overlay2', Data: null },
    RootFS: { Type: 'layers', Layers: config.diffIds },
    Metadata: { LastTagTime: '0001-01-01T00:00:00Z' },
  };
}

function virtualSize(image: Image, version: string): { VirtualSize?: number } {
  return compareApiVersions(version, '1.44') < 0 ? { VirtualSize: image.size } : {};
}

/** One entry of the image list. */
export function imageSummary(image: Image, containers: number, version: string): ImageSummary {
  const created = Date.parse(image.config.created);
  const named = image.tags.length > 0 || image.repoDigests.length > 0;
  const old = compareApiVersions(version, '1.43') < 0;
  return {
    Id: image.id,
    ParentId: image.parent ?? '',
    // Old clients expect these words for a nameless image.
    RepoTags: !named && old ? ['<none>:<none>'] : image.tags,
    RepoDigests: !named && old ? ['<none>@<none>'] : image.repoDigests,
    Created: Number.isNaN(created) ? 0 : Math.floor(created / 1000),
    Size: image.size,
    SharedSize: -1,
    ...virtualSize(image, version),
    Labels: Object.fromEntries(image.config.run.labels),
    Containers: containers,
  };
}

/** One row of history. */
export function historyItem(row: ImageHistoryRow): ImageHistoryItem {
  const created = Date.parse(row.created);
  return {
    Id: row.id,
    Created: Number.isNaN(created) ? 0 : Math.floor(created / 1000),
    CreatedBy: row.createdBy,
    Tags: row.tags.length === 0 ? null : row.tags,
    Size: row.size,
    Comment: row.comment,
  };
}

function imageConfigView(image: Image): WireConfig {
  const { run } = image.config;
  const check = run.healthcheck;
  return {
    Hostname: '',
    Domainname: '',
    User: run.user,
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    ...(run.exposedPorts.length > 0 && { ExposedPorts: wireSet(run.exposedPorts) }),
    Tty: false,
    OpenStdin: false,
    StdinOnce: false,
    Env: run.env,
    Cmd: run.cmd ?? null,
    ...(check && {
      Healthcheck: {
        Test: check.test,
        Interval: check.interval,
        Timeout: check.timeout,
        StartPeriod: check.startPeriod,
        StartInterval: check.startInterval,
        Retries: check.retries,
      },
    }),
    Image: '',
    Volumes: run.volumes.length === 0 ? null : wireSet(run.volumes),
    WorkingDir: run.workingDir,
    Entrypoint: run.entrypoint ?? null,
    OnBuild: run.onBuild.length === 0 ? null : run.onBuild,
    Labels: run.labels.size === 0 ? null : Object.fromEntries(run.labels),
    ...present({ StopSignal: run.stopSignal, Shell: run.shell }),
  };
}
