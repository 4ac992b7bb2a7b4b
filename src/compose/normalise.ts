import {
  child,
  childMap,
  childText,
  type Entry,
  isNull,
  type Mapping,
  mappingAt,
  type Node,
  scalarAt,
  withEntry,
} from './node.ts';
import { implicitDependencies } from './rules/implicit-dependencies.ts';

/** Stage 9, second half: what the specification implies beyond single values: the default network, implicit dependencies, names. */
export function normalise(tree: Mapping, projectName: string): Mapping {
  const given = childMap(tree, 'services');
  const services = mapEntries(given, (service, key) => {
    const written = child(given, key);
    // A service without a body is reported; giving it one here would hide that.
    return written && isNull(written) ? written : normaliseService(service);
  });
  let made = services ? withEntry(tree, 'services', services) : tree;
  if (services?.entries.values().some(({ value }) => childMap(value, 'networks')?.entries.has('default'))) {
    made = withDefaultNetwork(made);
  }
  for (const section of ['networks', 'volumes', 'secrets', 'configs']) {
    const named = mapEntries(childMap(made, section), (value, key) => defaultName(value, key, projectName));
    if (named) made = withEntry(made, section, named);
  }
  return withEntry(made, 'name', scalarAt(tree, projectName));
}

function mapEntries(map: Mapping | undefined, change: (value: Mapping, key: string) => Node): Mapping | undefined {
  if (!map) return undefined;
  const entries = new Map<string, Entry>();
  for (const [key, entry] of map.entries) {
    const value = isNull(entry.value) ? mappingAt(entry.value, []) : entry.value;
    entries.set(key, value.kind === 'map' ? { key: entry.key, value: change(value, key) } : entry);
  }
  return { ...map, entries };
}

function withDefaultNetwork(tree: Mapping): Mapping {
  const networks = childMap(tree, 'networks') ?? mappingAt(tree, []);
  if (networks.entries.has('default')) return tree;
  return withEntry(tree, 'networks', withEntry(networks, 'default', mappingAt(tree, [])));
}

function defaultName(value: Mapping, key: string, projectName: string): Mapping {
  if (childText(value, 'name') !== undefined) return value;
  const bare = isTrue(child(value, 'external'));
  return withEntry(value, 'name', scalarAt(value, bare ? key : `${projectName}_${key}`));
}

function isTrue(node: Node | undefined): boolean {
  return node?.kind === 'scalar' && /^(?:true|1|t|y|yes|on)$/i.test(node.text);
}

function normaliseService(service: Mapping): Mapping {
  let made = service;
  const networks = childMap(made, 'networks');
  if (
    childText(made, 'network_mode') === undefined &&
    !child(made, 'provider') &&
    (networks?.entries.size ?? 0) === 0
  ) {
    made = withEntry(made, 'networks', mappingAt(service, [['default', scalarAt(service, null)]]));
  }
  const build = childMap(made, 'build');
  if (build) made = withEntry(made, 'build', withDockerfile(build));
  const pull = child(made, 'pull_policy');
  if (pull && childText(made, 'pull_policy') === 'if_not_present') {
    made = withEntry(made, 'pull_policy', scalarAt(pull, 'missing'));
  }
  return defaultDependencies(made);
}

function withDockerfile(build: Mapping): Mapping {
  if (childText(build, 'dockerfile') !== undefined || childText(build, 'dockerfile_inline') !== undefined) return build;
  return withEntry(build, 'dockerfile', scalarAt(build, 'Dockerfile'));
}

function defaultDependencies(service: Mapping): Mapping {
  const implied = implicitDependencies(service);
  if (implied.length === 0) return service;
  let dependencies = childMap(service, 'depends_on') ?? mappingAt(service, []);
  for (const { name, at, restart } of implied) {
    if (dependencies.entries.has(name)) continue;
    const edge: [string, Node][] = [['condition', scalarAt(at, 'service_started')]];
    if (restart) edge.push(['restart', scalarAt(at, true)]);
    edge.push(['required', scalarAt(at, true)]);
    dependencies = withEntry(dependencies, name, mappingAt(at, edge));
  }
  return withEntry(service, 'depends_on', dependencies);
}
