import { isIP } from 'node:net';
import { child, childItems, childMap, childText, isNull, type Mapping, type Node } from '../node.ts';
import { parseRange } from '../port-codec.ts';
import { readBytes } from '../scalar-formats.ts';
import { suggest } from '../suggest.ts';
import { implicitDependencies } from './implicit-dependencies.ts';
import { mistakes } from './mistake-rules.ts';
import { reachablePorts } from './reach-rules.ts';
import type { RuleContext } from './rule-context.ts';
import { texts } from './text-rules.ts';

type ServiceRule = (service: Mapping, context: RuleContext) => void;
type ResourceRule = (resource: Mapping, section: string, context: RuleContext) => void;

const has = (node: Node | undefined, key: string): boolean => {
  const value = child(node, key);
  return value !== undefined && !isNull(value) && !(value.kind === 'scalar' && value.text === '');
};

const isTrue = (node: Node | undefined) => node?.kind === 'scalar' && /^(?:true|1|t|y|yes|on)$/i.test(node.text);

/** Reports a reference to an entry that the tree does not have. */
function requireEntry(section: string, name: string, at: Node, context: RuleContext): void {
  const entries = childMap(context.tree, section)?.entries;
  if (entries?.has(name)) return;
  const kind = section === 'services' ? 'service' : section.slice(0, -1);
  const message = `service ${context.name} refers to the ${kind} ${JSON.stringify(name)}, which does not exist`;
  const hint = context.crowded() ? undefined : entryHint(section, name, [...(entries?.keys() ?? [])]);
  context.report(at, `compose/unknown-${kind}`, message, hint);
}

function entryHint(section: string, name: string, known: readonly string[]): string {
  const near = suggest(name, known);
  if (near !== undefined) return `did you mean ${near}?`;
  if (section !== 'services') return `declare it under the top-level ${section}:`;
  return `the services are: ${known.slice(0, 20).join(', ')}`;
}

/** Where a service's image comes from. */
const IMAGE_KEYS = ['image', 'build'];

const needsImage: ServiceRule = (service, { name, key, report, troubled }) => {
  if (troubled() || has(service, 'image') || child(service, 'build') || child(service, 'provider')) return;
  // A misspelt one is told about as such already.
  const misspelt = (entry: string) => !IMAGE_KEYS.includes(entry) && suggest(entry, IMAGE_KEYS) !== undefined;
  if ([...service.entries.keys()].some(misspelt)) return;
  report(key, 'compose/no-image', `service ${name} has neither image nor build`, 'add `image:` or `build:`');
};

const oneDockerfile: ServiceRule = (service, { name, report }) => {
  const build = child(service, 'build');
  const inline = child(build, 'dockerfile_inline');
  if (!inline || !has(build, 'dockerfile')) return;
  report(
    inline,
    'compose/conflict',
    `service ${name} gives both build.dockerfile and build.dockerfile_inline`,
    'keep one of them',
  );
};

const oneNetworkWay: ServiceRule = (service, { name, report }) => {
  const mode = child(service, 'network_mode');
  if (!mode || !has(service, 'network_mode') || (childMap(service, 'networks')?.entries.size ?? 0) === 0) return;
  report(mode, 'compose/conflict', `service ${name} gives both network_mode and networks`, 'keep one of them');
};

const references: ServiceRule = (service, context) => {
  for (const [name, entry] of childMap(service, 'networks')?.entries ?? []) {
    if (name !== 'default') requireEntry('networks', name, spanNode(entry.key, entry.value), context);
  }
  for (const mount of childItems(service, 'volumes')) {
    const source = child(mount, 'source');
    const name = childText(mount, 'source');
    if (source && name !== undefined && childText(mount, 'type') === 'volume')
      requireEntry('volumes', name, source, context);
  }
  const build = child(service, 'build');
  for (const section of ['secrets', 'configs']) {
    for (const grant of [...childItems(service, section), ...childItems(build, section)]) {
      const name = childText(grant, 'source');
      if (name !== undefined) requireEntry(section, name, child(grant, 'source') ?? grant, context);
    }
  }
  for (const [name, entry] of childMap(service, 'models')?.entries ?? []) {
    requireEntry('models', name, spanNode(entry.key, entry.value), context);
  }
};

function spanNode({ source, start, end }: Pick<Node, 'source' | 'start' | 'end'>, _value: Node): Node {
  return { kind: 'scalar', value: null, text: '', source, start, end };
}

const dependencies: ServiceRule = (service, context) => {
  for (const [name, entry] of childMap(service, 'depends_on')?.entries ?? []) {
    const at = spanNode(entry.key, entry.value);
    if (name === context.name) {
      context.report(at, 'compose/dependency-cycle', `service ${name} depends on itself`, 'remove this dependency');
    } else if (childText(entry.value, 'required') !== 'false') {
      requireEntry('services', name, at, context);
    } else if (!childMap(context.tree, 'services')?.entries.has(name)) {
      const message = `service ${context.name} depends on ${name}, which does not exist; the dependency is not required`;
      context.warn(at, 'compose/absent-dependency', message);
    }
  }
  for (const { name, at, attribute } of implicitDependencies(service)) {
    if (name !== context.name) requireEntry('services', name, at, context);
    else context.report(at, 'compose/dependency-cycle', `service ${name} refers to itself in ${attribute}`);
  }
};

/** A build may start from what another service builds, not from an image that one only names. */
const buildContexts: ServiceRule = (service, context) => {
  for (const [, { value }] of childMap(child(service, 'build'), 'additional_contexts')?.entries ?? []) {
    if (value.kind !== 'scalar' || !value.text.startsWith('service:')) continue;
    const name = value.text.slice('service:'.length);
    requireEntry('services', name, value, context);
    if (child(child(child(context.tree, 'services'), name) ?? service, 'build')) continue;
    const message = `service ${context.name} builds upon service ${name}, which has no build`;
    context.report(value, 'compose/conflict', message, 'write docker-image:// and its image');
  }
};

const healthcheck: ServiceRule = (service, { name, report, warn }) => {
  const check = child(service, 'healthcheck');
  const test = child(check, 'test');
  if (test?.kind === 'list' && test.items.length > 0) {
    const first = test.items[0];
    const word = first?.kind === 'scalar' ? first.text : '';
    if (!['NONE', 'CMD', 'CMD-SHELL'].includes(word)) {
      const hint = `write ["CMD", ${JSON.stringify(word)}, …], or a plain string for a shell command`;
      report(
        first ?? test,
        'compose/invalid-healthcheck',
        `healthcheck.test of ${name} must start with NONE, CMD or CMD-SHELL`,
        hint,
      );
    } else if (word === 'CMD-SHELL' && test.items.length !== 2) {
      const tell = test.items.length < 2 ? report : warn;
      const message = `healthcheck.test of ${name}: the shell runs only the first text after CMD-SHELL`;
      tell(test, 'compose/invalid-healthcheck', message, 'put the whole command in one string');
    }
  }
};

const scale: ServiceRule = (service, { name, report }) => {
  const replicas = childText(child(service, 'deploy'), 'replicas');
  const own = child(service, 'scale');
  const count = childText(service, 'scale') ?? replicas;
  if (own && replicas !== undefined && Number(childText(service, 'scale')) !== Number(replicas)) {
    report(own, 'compose/conflict', `service ${name}: scale and deploy.replicas differ`, 'keep one of them');
  }
  const asked = own ?? child(child(service, 'deploy'), 'replicas');
  if (asked && count !== undefined && Number(count) < 0)
    report(asked, 'compose/invalid-value', `service ${name} cannot have ${count} replicas`, 'write 0 to have none');
  const fixed = child(service, 'container_name');
  if (fixed && count !== undefined && Number(count) > 1) {
    report(
      fixed,
      'compose/conflict',
      `service ${name} has a fixed container_name and ${count} replicas`,
      'remove container_name',
    );
  }
};

/** Attributes that say the same as one below deploy.resources. */
const TWINS = [
  ['mem_limit', 'limits', 'memory'],
  ['cpus', 'limits', 'cpus'],
  ['pids_limit', 'limits', 'pids'],
  ['mem_reservation', 'reservations', 'memory'],
] as const;

const limits: ServiceRule = (service, { name, report }) => {
  const resources = child(child(service, 'deploy'), 'resources');
  for (const [own, group, key] of TWINS) {
    const at = child(service, own);
    const mine = childText(service, own);
    const other = childText(child(resources, group), key);
    if (!at || mine === undefined || other === undefined) continue;
    const same = key === 'memory' ? readBytes(mine) === readBytes(other) : Number(mine) === Number(other);
    if (!same)
      report(
        at,
        'compose/conflict',
        `service ${name}: ${own} and deploy.resources.${group}.${key} differ`,
        'keep one of them',
      );
  }
};

const platform: ServiceRule = (service, { name, report }) => {
  const at = child(service, 'platform');
  const platforms = childItems(child(service, 'build'), 'platforms');
  if (!at || platforms.length === 0) return;
  if (platforms.some((item) => item.kind === 'scalar' && item.text === childText(service, 'platform'))) return;
  report(
    at,
    'compose/conflict',
    `service ${name}: build.platforms does not contain its platform`,
    'add it to build.platforms',
  );
};

const mounts: ServiceRule = (service, { name, report, warn }) => {
  for (const mount of childItems(service, 'volumes')) {
    if (!has(mount, 'target') && mount.kind === 'map' && mount.entries.size > 1) {
      report(
        mount,
        'compose/missing-key',
        `a volume of service ${name} needs the key target`,
        'give the path in the container',
      );
    }
    const type = childText(mount, 'type');
    const source = child(mount, 'source');
    const target = childText(mount, 'target') ?? '';
    if (!has(mount, 'source') && /^(?:\.|~)/.test(target)) {
      const message = `${target} of service ${name} is taken for the path in the container, which must be absolute`;
      warn(mount, 'compose/invalid-volume', message, `write ${target}:/path/in/the/container`);
    }
    if (type === 'bind' && !has(mount, 'source')) {
      report(
        mount,
        'compose/missing-key',
        `a bind mount of service ${name} needs the key source`,
        'give the path on the host',
      );
    }
    if (type === 'tmpfs' && source && has(mount, 'source')) {
      report(source, 'compose/conflict', `a tmpfs mount of service ${name} has no source`, 'remove source');
    }
  }
};

const ports: ServiceRule = (service, { name, report }) => {
  for (const port of childItems(service, 'ports')) {
    const target = child(port, 'target');
    const text = childText(port, 'target');
    if (!target || text === undefined) {
      report(port, 'compose/missing-key', `a port of service ${name} needs the key target`, 'give the container port');
      continue;
    }
    if (!(Number(text) >= 1 && Number(text) <= 65_535)) {
      report(target, 'compose/invalid-port', `port ${text} of service ${name} is not between 1 and 65535`);
    }
    const address = child(port, 'host_ip');
    const ip = childText(port, 'host_ip') ?? '';
    if (address && ip !== '' && isIP(ip) === 0)
      report(address, 'compose/invalid-port', `host_ip ${ip} of service ${name} is no IP address`);
    const published = child(port, 'published');
    const shown = childText(port, 'published');
    if (published && shown !== undefined && shown !== '' && parseRange(shown) === undefined) {
      report(
        published,
        'compose/invalid-port',
        `published port ${JSON.stringify(shown)} of service ${name} is neither a port nor a range`,
      );
    }
  }
  for (const item of childItems(service, 'expose')) {
    const text = item.kind === 'scalar' ? item.text.replace(/\/(?:tcp|udp|sctp)$/, '') : '';
    if (parseRange(text) === undefined)
      report(item, 'compose/invalid-port', `expose of service ${name} takes ports, not ${JSON.stringify(text)}`);
  }
};

/** A path can hold one mount only. */
const targets: ServiceRule = (service, { name, report }) => {
  const taken = new Set(
    childItems(service, 'tmpfs').flatMap((item) => (item.kind === 'scalar' ? [item.text.split(':')[0]] : [])),
  );
  for (const mount of childItems(service, 'volumes')) {
    const target = childText(mount, 'target');
    if (target === undefined || !taken.has(target)) continue;
    report(
      child(mount, 'target') ?? mount,
      'compose/conflict',
      `service ${name} mounts ${target} twice: as tmpfs and as a volume`,
      'keep one of them',
    );
  }
};

const watch: ServiceRule = (service, { name, report }) => {
  for (const rule of childItems(child(service, 'develop'), 'watch')) {
    const action = childText(rule, 'action');
    const path = child(rule, 'path');
    if (path && !has(rule, 'path'))
      report(path, 'compose/missing-key', `a watch rule of service ${name} has an empty path`, 'name a folder or file');
    if (action?.startsWith('sync') && !has(rule, 'target')) {
      report(
        rule,
        'compose/missing-key',
        `a watch rule of service ${name} with action ${action} needs the key target`,
        'give the path in the container',
      );
    }
    if (action === 'sync+exec' && !child(child(rule, 'exec'), 'command')) {
      report(rule, 'compose/missing-key', `a watch rule of service ${name} with action sync+exec needs exec.command`);
    }
  }
};

const devices: ServiceRule = (service, { name, report }) => {
  const reserved = childItems(child(child(child(service, 'deploy'), 'resources'), 'reservations'), 'devices');
  for (const request of [...childItems(service, 'gpus'), ...reserved]) {
    const count = child(request, 'count');
    if (count && childItems(request, 'device_ids').length > 0) {
      report(
        count,
        'compose/conflict',
        `a device request of service ${name} gives both count and device_ids`,
        'keep one of them',
      );
    }
  }
};

/** Checks of one service; all run. */
export const SERVICE_RULES: readonly ServiceRule[] = [
  needsImage,
  oneDockerfile,
  oneNetworkWay,
  references,
  dependencies,
  buildContexts,
  healthcheck,
  scale,
  limits,
  platform,
  mounts,
  targets,
  ports,
  reachablePorts,
  watch,
  texts,
  mistakes,
  devices,
];

const externalAlone: ResourceRule = (resource, section, { name, report, warn }) => {
  if (!isTrue(child(resource, 'external'))) return;
  // Only volumes are refused by the reference; elsewhere what an external one says of itself is ignored.
  const tell = section === 'volumes' ? report : warn;
  for (const [key, entry] of resource.entries) {
    if (key === 'external' || key === 'name' || key.startsWith('x-')) continue;
    tell(
      entry.key,
      'compose/conflict',
      `${section}.${name} is external and gives ${key} as well`,
      `remove ${key}: an external one is used as it is`,
    );
  }
};

/** Where the content may come from. */
const SOURCES: Readonly<Record<string, readonly string[]>> = {
  secrets: ['file', 'environment'],
  configs: ['file', 'environment', 'content'],
};

const oneSource: ResourceRule = (resource, section, { name, key, report }) => {
  const sources = SOURCES[section];
  if (!sources || child(resource, 'external')) return;
  const given = sources.filter((source) => child(resource, source) !== undefined);
  const kind = section.slice(0, -1);
  if (given.length > 1) {
    report(key, 'compose/conflict', `${kind} ${name} gives ${given.join(' and ')}`, 'keep one of them');
  } else if (given.length === 0 && (kind === 'secret' || !child(resource, 'driver'))) {
    report(key, 'compose/missing-key', `${kind} ${name} needs one of ${sources.join(', ')}, external`);
  }
};

/** Checks of one network, volume, secret or config; all run. */
export const RESOURCE_RULES: readonly ResourceRule[] = [externalAlone, oneSource];
