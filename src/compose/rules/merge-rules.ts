import { childText, type Node } from '../node.ts';
import { pathTable } from '../path-table.ts';

/** Merges two values in a way of its own; `merge` is the default way. */
export type MergeRule = (base: Node, over: Node, merge: (base: Node, over: Node) => Node) => Node;

const replace: MergeRule = (_base, over) => over;

/** Options belong to a driver: they merge only when the driver is the same or one side does not say. */
const logging: MergeRule = (base, over, merge) => {
  const before = childText(base, 'driver');
  const after = childText(over, 'driver');
  return before === undefined || after === undefined || before === after ? merge(base, over) : over;
};

/** Pools of the same subnet merge, others are added. */
const pools: MergeRule = (base, over, merge) => {
  if (base.kind !== 'list' || over.kind !== 'list') return over;
  const left = [...over.items];
  const merged = base.items.map((pool) => {
    const subnet = childText(pool, 'subnet');
    const index = left.findIndex((item) => childText(item, 'subnet') === subnet);
    const [twin] = index < 0 ? [] : left.splice(index, 1);
    return twin ? merge(pool, twin) : pool;
  });
  return { ...over, items: [...merged, ...left] };
};

/** The exceptions to: mappings merge, lists append, scalars replace. */
export const MERGE_RULES = pathTable<MergeRule>([
  ['networks.*.ipam.config', pools],
  ['services.*.command', replace],
  ['services.*.entrypoint', replace],
  ['services.*.healthcheck.test', replace],
  // Here an empty value means something: the caller's variable, or an empty text.
  ...[
    'annotations',
    'build.additional_contexts',
    'build.args',
    'build.labels',
    'deploy.labels',
    'environment',
    'labels',
    'sysctls',
  ].map((path) => [`services.*.${path}.*`, replace] as const),
  ['services.*.logging', logging],
  ['services.*.ulimits.*', replace],
]);

/** What makes two list items the same; undefined: never the same. */
export type UniqueKey = (item: Node) => string | undefined;

const byText: UniqueKey = (item) => (item.kind === 'scalar' ? item.text : undefined);
const byTarget: UniqueKey = (item) => childText(item, 'target');
const byPath: UniqueKey = (item) => childText(item, 'path');
const bySource =
  (folder: string): UniqueKey =>
  (item) =>
    childText(item, 'target') ?? `${folder}${childText(item, 'source') ?? ''}`;
const byPort: UniqueKey = (item) =>
  byText(item) ??
  JSON.stringify([
    childText(item, 'host_ip') ?? '0.0.0.0',
    childText(item, 'target'),
    childText(item, 'published') ?? '',
    childText(item, 'protocol') ?? 'tcp',
  ]);
const byFolder: UniqueKey = (item) => (item.kind === 'scalar' ? item.text.split(':')[0] : undefined);

/** Lists that hold each thing once; environment, labels and the like are maps by now. */
export const UNIQUE_RULES = pathTable<UniqueKey>([
  ...['build.tags', 'cap_add', 'cap_drop', 'dns', 'dns_opt', 'dns_search', 'expose', 'group_add'].map(
    (path) => [`services.*.${path}`, byText] as const,
  ),
  ...['label_file', 'links', 'networks.*.aliases', 'networks.*.link_local_ips', 'profiles', 'security_opt'].map(
    (path) => [`services.*.${path}`, byText] as const,
  ),
  ['services.*.build.extra_hosts.*', byText],
  ['services.*.extra_hosts.*', byText],
  ['services.*.configs', bySource('/')],
  ['services.*.secrets', bySource('/run/secrets/')],
  ['services.*.devices', byTarget],
  ['services.*.env_file', byPath],
  ['services.*.ports', byPort],
  ['services.*.tmpfs', byFolder],
  ['services.*.volumes', byTarget],
]);
