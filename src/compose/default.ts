import {
  child,
  childMap,
  childText,
  type Entry,
  type Mapping,
  type Node,
  scalarAt,
  sequenceAt,
  withEntry,
} from './node.ts';

/** Stage 9, first half: values that stand for nothing written. */
export function applyDefaults(tree: Mapping): Mapping {
  return eachService(tree, defaultService);
}

/** What an included model builds without naming a folder is its own, whatever is laid on it. */
export function defaultContexts(tree: Mapping): Mapping {
  return eachService(tree, defaultContext);
}

function eachService(tree: Mapping, change: (service: Mapping) => Mapping): Mapping {
  const services = childMap(tree, 'services');
  if (!services) return tree;
  return withEntry(
    tree,
    'services',
    eachEntry(services, (value) => (value.kind === 'map' ? change(value) : value)),
  );
}

/** The folder of the file that has the service is built, not that of a file it extends. */
function defaultContext(service: Mapping): Mapping {
  const build = childMap(service, 'build');
  if (!build || childText(build, 'context') !== undefined) return service;
  return withEntry(service, 'build', withEntry(build, 'context', scalarAt(service, '.')));
}

function defaultService(service: Mapping): Mapping {
  let made = defaultDevices(service);
  const edges = childMap(made, 'depends_on');
  if (edges)
    made = withEntry(
      made,
      'depends_on',
      eachEntry(edges, (edge) => withDefault(edge, 'required', true)),
    );
  made = defaultContext(made);
  made = eachItem(made, 'secrets', defaultSecret);
  made = eachItem(made, 'env_file', (item) => withDefault(item, 'required', true));
  return eachItem(made, 'ports', (item) => withDefault(withDefault(item, 'mode', 'ingress'), 'protocol', 'tcp'));
}

function eachItem(service: Mapping, key: string, change: (item: Node) => Node): Mapping {
  const list = child(service, key);
  if (list?.kind !== 'list') return service;
  const items = list.items.map(change);
  const isChanged = items.some((item, index) => item !== list.items[index]);
  return isChanged ? withEntry(service, key, { ...list, items }) : service;
}

function eachEntry(map: Mapping, change: (value: Node) => Node): Mapping {
  const entries = new Map<string, Entry>();
  for (const [name, { key, value }] of map.entries) entries.set(name, { key, value: change(value) });
  return { ...map, entries };
}

function withDefault(node: Node, key: string, value: string | boolean): Node {
  return node.kind !== 'map' || childText(node, key) !== undefined ? node : withEntry(node, key, scalarAt(node, value));
}

/** A device request that says neither how many nor which means all. */
function defaultDevices(service: Mapping): Mapping {
  const all = (list: Node | undefined) =>
    list?.kind === 'list'
      ? sequenceAt(
          list,
          list.items.map((item) =>
            item.kind === 'map' && !child(item, 'count') && !child(item, 'device_ids')
              ? withEntry(item, 'count', scalarAt(item, -1))
              : item,
          ),
        )
      : undefined;
  const gpus = all(child(service, 'gpus'));
  const made = gpus ? withEntry(service, 'gpus', gpus) : service;
  const deploy = childMap(made, 'deploy');
  const resources = childMap(deploy, 'resources');
  const reservations = childMap(resources, 'reservations');
  const devices = all(child(reservations, 'devices'));
  if (!deploy || !resources || !reservations || !devices) return made;
  const reserved = withEntry(reservations, 'devices', devices);
  return withEntry(made, 'deploy', withEntry(deploy, 'resources', withEntry(resources, 'reservations', reserved)));
}

function defaultSecret(grant: Node): Node {
  const source = childText(grant, 'source');
  if (grant.kind !== 'map' || source === undefined || childText(grant, 'target') !== undefined) return grant;
  return withEntry(grant, 'target', scalarAt(grant, `/run/secrets/${source}`));
}
