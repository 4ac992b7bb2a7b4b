import type { Build } from '../build.ts';
import { bytes, type Codec, flag, list, map, type Out, object, text, textMap, variables } from '../codec.ts';
import { fileGrant, ulimit } from './grants.ts';

/** `host=address` rows, as rendered. */
export const hosts: Codec<ReadonlyMap<string, readonly string[]>> = {
  read: (node) => map(list(text)).read(node),
  write: (value) => {
    const rows = [...value.keys()]
      .sort()
      .flatMap((host) => (value.get(host) ?? []).map((address) => `${host}=${address}`));
    return rows.length === 0 ? undefined : rows;
  },
};

const ssh: Codec<ReadonlyMap<string, string>> = {
  read: textMap.read,
  write: (value): Out | undefined =>
    value.size === 0 ? undefined : Array.from(value, ([id, path]) => (path === '' ? id : `${id}=${path}`)),
};

export const build: Codec<Build> = object<Build>({
  context: text,
  dockerfile: text,
  dockerfileInline: text,
  entitlements: list(text),
  args: variables,
  provenance: text,
  sbom: text,
  ssh,
  labels: textMap,
  cacheFrom: list(text),
  cacheTo: list(text),
  noCache: flag,
  noCacheFilter: list(text),
  additionalContexts: textMap,
  pull: flag,
  extraHosts: hosts,
  isolation: text,
  network: text,
  target: text,
  secrets: list(fileGrant),
  shmSize: bytes,
  tags: list(text),
  ulimits: map(ulimit),
  platforms: list(text),
  privileged: flag,
});
