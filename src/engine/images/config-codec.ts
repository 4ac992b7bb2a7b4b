import { type Digest, isDigest, TscError } from '../../core/index.ts';
import type { HealthcheckConfig, HistoryEntry, ImageConfig, ImageRunConfig } from './image.ts';

/** Largest image config read, in bytes. */
export const CONFIG_LIMIT = 8 << 20;
const LIST_LIMIT = 10_000;
const TEXT_LIMIT = 1 << 20;

const corrupt = (why: string, cause?: unknown) =>
  new TscError('image/corrupt', `invalid image configuration: ${why}`, { cause });

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown, what: string): Fields {
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw corrupt(`${what} is not an object`);
  return value as Fields;
}

function textOf(value: unknown, what: string): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string' || value.length > TEXT_LIMIT || value.includes('\0'))
    throw corrupt(`${what} is not a usable text`);
  return value;
}

function textsOf(value: unknown, what: string): string[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value) || value.length > LIST_LIMIT)
    throw corrupt(`${what} is not a list of at most ${LIST_LIMIT} entries`);
  return value.map((item) => textOf(item, what));
}

function keysOf(value: unknown, what: string): string[] {
  const keys = Object.keys(fieldsOf(value, what));
  if (keys.length > LIST_LIMIT) throw corrupt(`${what} has more than ${LIST_LIMIT} entries`);
  return keys.map((key) => textOf(key, what));
}

function numberOf(value: unknown, what: string): number {
  if (value === undefined || value === null) return 0;
  if (typeof value !== 'number' || !Number.isFinite(value)) throw corrupt(`${what} is not a number`);
  return Math.max(0, Math.trunc(value));
}

/** A list, or one text as old tools wrote it. */
function commandOf(value: unknown, what: string): string[] | undefined {
  return typeof value === 'string' ? [textOf(value, what)] : textsOf(value, what);
}

function labelsOf(value: unknown): Map<string, string> {
  // A Map: a label called __proto__ is just a label.
  return new Map(keysOf(value, 'Labels').map((key) => [key, textOf(fieldsOf(value, 'Labels')[key], `label ${key}`)]));
}

function healthcheckOf(value: unknown): HealthcheckConfig | undefined {
  if (value === undefined || value === null) return undefined;
  const fields = fieldsOf(value, 'Healthcheck');
  return {
    test: textsOf(fields['Test'], 'Healthcheck.Test') ?? [],
    interval: numberOf(fields['Interval'], 'Healthcheck.Interval'),
    timeout: numberOf(fields['Timeout'], 'Healthcheck.Timeout'),
    startPeriod: numberOf(fields['StartPeriod'], 'Healthcheck.StartPeriod'),
    startInterval: numberOf(fields['StartInterval'], 'Healthcheck.StartInterval'),
    retries: numberOf(fields['Retries'], 'Healthcheck.Retries'),
  };
}

function runOf(value: unknown): ImageRunConfig {
  const fields = fieldsOf(value, 'config');
  const stopSignal = textOf(fields['StopSignal'], 'StopSignal');
  return {
    user: textOf(fields['User'], 'User'),
    workingDir: textOf(fields['WorkingDir'], 'WorkingDir'),
    env: (textsOf(fields['Env'], 'Env') ?? []).filter((entry) => entry.indexOf('=') > 0),
    entrypoint: nonEmpty(commandOf(fields['Entrypoint'], 'Entrypoint')),
    cmd: nonEmpty(commandOf(fields['Cmd'], 'Cmd')),
    exposedPorts: keysOf(fields['ExposedPorts'], 'ExposedPorts').filter((port) =>
      /^\d{1,5}(\/(tcp|udp|sctp))?$/.test(port),
    ),
    volumes: keysOf(fields['Volumes'], 'Volumes'),
    labels: labelsOf(fields['Labels']),
    stopSignal: stopSignal === '' ? undefined : stopSignal,
    shell: nonEmpty(textsOf(fields['Shell'], 'Shell')),
    healthcheck: healthcheckOf(fields['Healthcheck']),
    onBuild: textsOf(fields['OnBuild'], 'OnBuild') ?? [],
  };
}

function nonEmpty(list: string[] | undefined): string[] | undefined {
  return list && list.length > 0 ? list : undefined;
}

function historyOf(value: unknown): HistoryEntry[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || value.length > LIST_LIMIT)
    throw corrupt(`history is not a list of at most ${LIST_LIMIT} entries`);
  return value.map((item) => {
    const fields = fieldsOf(item, 'history');
    return {
      created: timeOf(fields['created']),
      createdBy: textOf(fields['created_by'], 'history'),
      author: textOf(fields['author'], 'history'),
      comment: textOf(fields['comment'], 'history'),
      emptyLayer: fields['empty_layer'] === true,
    };
  });
}

/** A time that cannot be read counts as unknown. */
function timeOf(value: unknown): string {
  return typeof value === 'string' && value.length < 64 && !Number.isNaN(Date.parse(value)) ? value : '';
}

function diffIdsOf(value: unknown): Digest[] {
  return (textsOf(fieldsOf(value, 'rootfs')['diff_ids'], 'rootfs.diff_ids') ?? []).map((text) => {
    if (!isDigest(text)) throw corrupt('rootfs.diff_ids holds something that is no sha256 digest');
    return text;
  });
}

/** Decodes a config of an image from anywhere. Throws `image/corrupt`. */
export function decodeImageConfig(bytes: Uint8Array): ImageConfig {
  if (bytes.length > CONFIG_LIMIT) throw corrupt(`larger than ${CONFIG_LIMIT} bytes`);
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw corrupt('not valid JSON', error);
  }
  const fields = fieldsOf(document, 'the document');
  return {
    architecture: textOf(fields['architecture'], 'architecture') || 'unknown',
    os: textOf(fields['os'], 'os') || 'linux',
    variant: textOf(fields['variant'], 'variant'),
    created: timeOf(fields['created']),
    author: textOf(fields['author'], 'author'),
    run: runOf(fields['config']),
    diffIds: diffIdsOf(fields['rootfs']),
    history: historyOf(fields['history']),
  };
}

/** JSON of a config as registries and other tools expect it; equal configs give equal bytes. */
export function encodeImageConfig(config: ImageConfig): string {
  return JSON.stringify({
    architecture: config.architecture,
    ...(config.variant !== '' && { variant: config.variant }),
    os: config.os,
    ...(config.created !== '' && { created: config.created }),
    ...(config.author !== '' && { author: config.author }),
    config: encodeRun(config.run),
    rootfs: { type: 'layers', diff_ids: config.diffIds },
    history: config.history.map((entry) => ({
      ...(entry.created !== '' && { created: entry.created }),
      ...(entry.createdBy !== '' && { created_by: entry.createdBy }),
      ...(entry.author !== '' && { author: entry.author }),
      ...(entry.comment !== '' && { comment: entry.comment }),
      ...(entry.emptyLayer && { empty_layer: true }),
    })),
  });
}

function encodeRun(run: ImageRunConfig): Fields {
  const set = (keys: readonly string[]) => Object.fromEntries(keys.map((key) => [key, {}]));
  return {
    ...(run.user !== '' && { User: run.user }),
    ...(run.exposedPorts.length > 0 && { ExposedPorts: set(run.exposedPorts) }),
    ...(run.env.length > 0 && { Env: run.env }),
    ...(run.entrypoint && { Entrypoint: run.entrypoint }),
    ...(run.cmd && { Cmd: run.cmd }),
    ...(run.volumes.length > 0 && { Volumes: set(run.volumes) }),
    ...(run.workingDir !== '' && { WorkingDir: run.workingDir }),
    ...(run.labels.size > 0 && { Labels: Object.fromEntries(run.labels) }),
    ...(run.stopSignal !== undefined && { StopSignal: run.stopSignal }),
    ...(run.shell && { Shell: run.shell }),
    ...(run.healthcheck && {
      Healthcheck: {
        Test: run.healthcheck.test,
        Interval: run.healthcheck.interval,
        Timeout: run.healthcheck.timeout,
        StartPeriod: run.healthcheck.startPeriod,
        StartInterval: run.healthcheck.startInterval,
        Retries: run.healthcheck.retries,
      },
    }),
    ...(run.onBuild.length > 0 && { OnBuild: run.onBuild }),
  };
}
