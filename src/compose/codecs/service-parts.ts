import { normalize } from 'node:path/posix';
import {
  amount,
  bytes,
  type Codec,
  duration,
  flag,
  list,
  map,
  maybe,
  nullable,
  number,
  object,
  shownInJson,
  text,
  textMap,
  variables,
  whole,
  wholeAmount,
  word,
} from '../codec.ts';
import type {
  BindOptions,
  BlkioConfig,
  Dependency,
  Develop,
  DeviceMapping,
  EnvFile,
  Healthcheck,
  Hook,
  ModelGrant,
  Mount,
  Port,
  Provider,
  ServiceNetwork,
  Throttle,
  TmpfsOptions,
  VolumeOptions,
  WatchRule,
} from '../service.ts';
import { command } from './command.ts';
import { numericMode } from './grants.ts';

/** A boolean that is true unless the file says otherwise, always written. */
const unlessFalse: Codec<boolean> = { read: (node) => maybe.read(node) ?? true, write: (value) => value };

const edge = object<Dependency>({ condition: word(), restart: flag, required: unlessFalse });
export const dependencies: Codec<ReadonlyMap<string, Dependency>> = map(edge);

export const envFile: Codec<EnvFile> = object<EnvFile>({ path: text, required: unlessFalse, format: text });

/** A plain string is a shell command. */
const healthTest: Codec<readonly string[]> = {
  read: (node) => (node?.kind === 'scalar' && node.value !== null ? ['CMD-SHELL', node.text] : list(text).read(node)),
  write: list(text).write,
};

export const healthcheck: Codec<Healthcheck> = object<Healthcheck>({
  test: healthTest,
  timeout: duration,
  interval: duration,
  retries: whole,
  startPeriod: duration,
  startInterval: duration,
  disable: flag,
});

const endpoint = object<ServiceNetwork>({
  aliases: list(text),
  driverOpts: textMap,
  gwPriority: wholeAmount,
  interfaceName: text,
  ipv4Address: text,
  ipv6Address: text,
  linkLocalIps: list(text),
  macAddress: text,
  priority: wholeAmount,
});
export const serviceNetworks: Codec<ReadonlyMap<string, ServiceNetwork | null>> = map(nullable(endpoint));

const withDefault = (codec: Codec<string>, value: string): Codec<string> => ({
  read: (node) => codec.read(node) ?? value,
  write: codec.write,
});

export const port: Codec<Port> = object<Port>({
  name: text,
  mode: withDefault(text, 'ingress'),
  hostIp: text,
  target: number,
  published: text,
  protocol: withDefault(text, 'tcp'),
  appProtocol: text,
});

const bindOptions = object<BindOptions>({
  selinux: text,
  propagation: text,
  createHostPath: maybe,
  recursive: text,
});
const volumeOptions = object<VolumeOptions>({ labels: textMap, nocopy: flag, subpath: text });
const tmpfsOptions = object<TmpfsOptions>({ size: bytes, mode: numericMode });

/** Cleaned like the engine cleans it. */
const containerPath: Codec<string> = {
  read: (node) => {
    const path = text.read(node);
    return path === undefined || path === '' ? path : normalize(path).replace(/(.)\/$/, '$1');
  },
  write: text.write,
};

export const mount: Codec<Mount> = object<Mount>({
  type: word(),
  source: text,
  target: containerPath,
  readOnly: flag,
  consistency: text,
  bind: bindOptions,
  volume: volumeOptions,
  tmpfs: tmpfsOptions,
  image: object<NonNullable<Mount['image']>>({ subpath: text }),
});

export const device: Codec<DeviceMapping> = object<DeviceMapping>({ source: text, target: text, permissions: text });

export const hook: Codec<Hook> = object<Hook>({
  command,
  image: text,
  user: text,
  privileged: flag,
  workingDir: text,
  environment: variables,
  perReplica: flag,
});

export const modelGrants: Codec<ReadonlyMap<string, ModelGrant | null>> = map(
  nullable(object<ModelGrant>({ endpointVar: text, modelVar: text })),
);

/** One value or several; written as several. */
const texts: Codec<readonly string[]> = {
  read: (node) => (node?.kind === 'scalar' ? [node.text] : list(text).read(node)),
  write: (values) => [...values],
};
export const provider: Codec<Provider> = object<Provider>({ type: text, options: map(texts) });

/** A rate, written as text like all sizes. */
const throttle = object<Throttle>({ path: text, rate: bytes });
const throttles = list(throttle);

export const blkioConfig: Codec<BlkioConfig> = object<BlkioConfig>({
  weight: amount,
  weightDevice: list(object<BlkioConfig['weightDevice'][number]>({ path: text, weight: amount })),
  deviceReadBps: throttles,
  deviceReadIops: throttles,
  deviceWriteBps: throttles,
  deviceWriteIops: throttles,
});

export const develop: Codec<Develop> = object<Develop>({
  watch: list(
    object<WatchRule>({
      path: text,
      action: word(),
      target: text,
      exec: shownInJson(hook, new Map([['command', { jsonOnly: null }]])),
      include: list(text),
      ignore: list(text),
      initialSync: flag,
    }),
  ),
});
