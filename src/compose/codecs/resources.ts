import { type Codec, flag, list, map, maybe, number, type Out, object, text, textMap } from '../codec.ts';
import type { FileObject, Ipam, IpamPool, Model, Network, Volume } from '../project.ts';

const ipam = object<Ipam>({
  driver: text,
  config: list(object<IpamPool>({ subnet: text, gateway: text, ipRange: text, auxAddresses: textMap })),
  options: textMap,
});

/** JSON shows an empty one. */
function writeIpam(value: Ipam): Out | undefined {
  const out = ipam.write(value);
  return out instanceof Map && out.size === 0 ? { jsonOnly: new Map() } : out;
}

export const network: Codec<Network> = object<Network>({
  name: text,
  driver: text,
  driverOpts: textMap,
  ipam: { read: (node) => ipam.read(node) ?? { config: [], options: new Map() }, write: writeIpam },
  external: flag,
  internal: flag,
  attachable: flag,
  labels: textMap,
  enableIpv4: maybe,
  enableIpv6: maybe,
});

export const volume: Codec<Volume> = object<Volume>({
  name: text,
  driver: text,
  driverOpts: textMap,
  external: flag,
  labels: textMap,
});

export const fileObject: Codec<FileObject> = object<FileObject>({
  name: text,
  file: text,
  environment: text,
  content: text,
  external: flag,
  labels: textMap,
  driver: text,
  driverOpts: textMap,
  templateDriver: text,
});

export const model: Codec<Model> = object<Model>({
  name: text,
  model: text,
  contextSize: number,
  runtimeFlags: list(text),
});

export const networks = map(network);
export const volumes = map(volume);
export const fileObjects = map(fileObject);
export const models = map(model);
