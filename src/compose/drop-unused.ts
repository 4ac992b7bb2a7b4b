import { child, childItems, childMap, childText, type Mapping, type Node } from './node.ts';

/** The tree without top-level resources that no active service uses. */
export function dropUnused(tree: Mapping, active: Mapping): Mapping {
  const entries = new Map(tree.entries);
  for (const [section, namesIn] of Object.entries(USES)) {
    const entry = tree.entries.get(section);
    if (entry?.value.kind !== 'map') continue;
    const used = new Set(active.entries.values().flatMap(({ value }) => namesIn(value)));
    const kept = new Map([...entry.value.entries].filter(([name]) => used.has(name)));
    entries.set(section, { key: entry.key, value: { ...entry.value, entries: kept } });
  }
  return { ...tree, entries };
}

const keysOf = (node: Node, key: string) => [...(childMap(node, key)?.entries.keys() ?? [])];
const sourcesOf = (node: Node | undefined, key: string) =>
  childItems(node, key).flatMap((item) => childText(item, 'source') ?? []);

/** What a service uses, by section of the file. */
const USES: Readonly<Record<string, (service: Node) => string[]>> = {
  networks: (service) => keysOf(service, 'networks'),
  models: (service) => keysOf(service, 'models'),
  volumes: (service) =>
    childItems(service, 'volumes').flatMap((mount) =>
      childText(mount, 'type') === 'volume' ? (childText(mount, 'source') ?? []) : [],
    ),
  secrets: (service) => [...sourcesOf(service, 'secrets'), ...sourcesOf(child(service, 'build'), 'secrets')],
  configs: (service) => sourcesOf(service, 'configs'),
};
