import {
  amount,
  bytes,
  type Codec,
  cores,
  duration,
  list,
  number,
  object,
  shownInJson,
  text,
  textMap,
  whole,
} from '../codec.ts';
import type {
  Deploy,
  DeviceRequest,
  GenericResource,
  Placement,
  ResourceSet,
  Resources,
  RestartPolicy,
  UpdateConfig,
} from '../deploy.ts';

/** `all` is -1. */
const count: Codec<number> = {
  read: (node) => (node?.kind === 'scalar' && node.text === 'all' ? -1 : number.read(node)),
  write: amount.write,
};

export const deviceRequest: Codec<DeviceRequest> = object<DeviceRequest>({
  capabilities: list(text),
  driver: text,
  count,
  deviceIds: list(text),
  options: textMap,
});

const genericResource = object<GenericResource>({
  discreteResourceSpec: object<NonNullable<GenericResource['discreteResourceSpec']>>({ kind: text, value: whole }),
});

const resourceSet = object<ResourceSet>({
  cpus: cores,
  memory: bytes,
  pids: amount,
  devices: list(deviceRequest),
  genericResources: list(genericResource),
});

/** Of none nothing is written. */
const pause: Codec<number> = {
  read: duration.read,
  write: (value) => (value === 0 ? undefined : duration.write(value)),
};

const update = object<UpdateConfig>({
  parallelism: number,
  delay: pause,
  failureAction: text,
  monitor: pause,
  maxFailureRatio: amount,
  order: text,
});

const placement: Codec<Placement> = shownInJson(
  object<Placement>({
    constraints: list(text),
    preferences: list(object<Placement['preferences'][number]>({ spread: text })),
    maxReplicasPerNode: amount,
  }),
  new Map(),
);

export const deploy: Codec<Deploy> = object<Deploy>({
  mode: text,
  replicas: number,
  labels: textMap,
  updateConfig: update,
  rollbackConfig: update,
  resources: shownInJson(object<Resources>({ limits: resourceSet, reservations: resourceSet }), new Map()),
  restartPolicy: object<RestartPolicy>({ condition: text, delay: duration, maxAttempts: number, window: duration }),
  placement,
  endpointMode: text,
});
