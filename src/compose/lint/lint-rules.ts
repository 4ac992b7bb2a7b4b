import { parseImageRef } from '../../core/index.ts';
import { child, childMap, type Node } from '../node.ts';
import { exposedDatabases, isEveryAddress, publishingOf } from '../publishing.ts';
import type { Service } from '../service.ts';
import { referencesIn } from '../template-references.ts';
import type { Breach, LintRule, LintSubject } from './lint-rule.ts';
import { unusedRules } from './unused-rules.ts';

const SECRET_NAME =
  /(?:^|_)(?:PASS|PASSWD|PASSWORD|PASSPHRASE|SECRET|TOKEN|CREDENTIALS?|(?:API|ACCESS|PRIVATE|SECRET|ENCRYPTION)_?KEY)(?:_|$)/i;

/** A rule that looks at each service alone. */
function perService(
  rule: Omit<LintRule, 'check'>,
  check: (service: Service, subject: LintSubject) => Iterable<Breach>,
): LintRule {
  return {
    ...rule,
    check: function* (subject) {
      for (const service of subject.services.values()) yield* check(service, subject);
    },
  };
}

const below = (service: Service, ...path: readonly (string | number)[]) => [
  'services',
  service.name,
  ...path.map(String),
];

const latestTag = perService(
  { name: 'latest-tag', level: 'warning', summary: 'an image without a fixed version' },
  function* (service) {
    if (service.image === undefined || service.build) return;
    const { tag, digest } = parseImageRef(service.image);
    if (digest !== undefined || (tag !== undefined && tag !== 'latest')) return;
    const what = tag === undefined ? 'has no tag, so it is latest' : 'is latest';
    const message = `the image ${service.image} of ${service.name} ${what}: it may be another one tomorrow`;
    yield {
      path: below(service, 'image'),
      message,
      hint: 'name a version, or pin it with config --lock-image-digests',
    };
  },
);

const secretInEnvironment = perService(
  { name: 'secret-in-environment', level: 'warning', summary: 'a password or key written into the file' },
  function* (service, { tree }) {
    const node = child(child(tree, 'services'), service.name);
    const places = [
      ['environment', childMap(node, 'environment')] as const,
      ['build.args', childMap(child(node, 'build'), 'args')] as const,
    ];
    for (const [where, map] of places) {
      for (const [key, { value }] of map?.entries ?? []) {
        if (!isWrittenOut(value) || !(namesSecret(key) || holdsPassword(value))) continue;
        yield {
          path: below(service, ...where.split('.'), key),
          at: value,
          message: `${key} of ${service.name} is written into the file`,
          hint: `use secrets:, or take it from the caller with ${key}: \${${key}:?}`,
        };
      }
    }
  },
);

function namesSecret(key: string): boolean {
  return SECRET_NAME.test(key) && !/_(?:FILE|PATH|DIR|URL|HOST|USER|NAME)$/i.test(key);
}

/** An address such as postgres://user:password@host/. */
function holdsPassword(node: Node): boolean {
  return node.kind === 'scalar' && /^[a-z][a-z0-9+.-]*:\/\/[^/\s:@]*:[^/\s@]+@/i.test(node.text);
}

/** A literal value, not one that a variable gives. */
function isWrittenOut(node: Node): boolean {
  if (node.kind !== 'scalar' || node.text === '' || node.value === null || typeof node.value === 'boolean')
    return false;
  return referencesIn(node.source.text.slice(node.start, node.end)).length === 0;
}

const exposedDatabase = perService(
  { name: 'exposed-database', level: 'warning', summary: 'a database port published on all addresses' },
  function* (service, { project }) {
    if (publishingOf(project) === 'loopback') return;
    for (const { index, port, database } of exposedDatabases(service)) {
      const message = `${service.name} publishes port ${port.target} (${database}) on all addresses of this machine`;
      const hint = `bind it to this machine: "127.0.0.1:${port.published}:${port.target}", or drop it: services reach each other without`;
      yield { path: below(service, 'ports', index), message, hint };
    }
  },
);

const missingHealthcheck = perService(
  {
    name: 'missing-healthcheck',
    level: 'warning',
    summary: 'service_healthy is awaited of a service without healthcheck',
  },
  function* (service, { services }) {
    for (const [name, { condition }] of service.dependsOn) {
      const other = services.get(name);
      if (condition !== 'service_healthy' || !other) continue;
      if (other.healthcheck && !other.healthcheck.disable && other.healthcheck.test?.[0] !== 'NONE') continue;
      const message = `${service.name} waits until ${name} is healthy, and ${name} has no healthcheck here`;
      yield {
        path: below(service, 'depends_on', name),
        message,
        hint: `give ${name} a healthcheck; without one in its image the wait never ends`,
      };
    }
  },
);

const privileged = perService(
  { name: 'privileged', level: 'warning', summary: 'a container with all privileges of the machine' },
  function* (service) {
    const hint = 'name the capabilities or devices that it needs: cap_add, devices';
    if (service.privileged)
      yield {
        path: below(service, 'privileged'),
        message: `${service.name} is privileged: it can do anything to this machine`,
        hint,
      };
    for (const [index, capability] of service.capAdd.entries()) {
      if (!/^(?:CAP_)?(?:ALL|SYS_ADMIN)$/i.test(capability)) continue;
      const message = `${capability} gives ${service.name} nearly all privileges of this machine`;
      yield { path: below(service, 'cap_add', index), message, hint: 'name the capabilities that it needs' };
    }
  },
);

const engineSocket = perService(
  { name: 'engine-socket', level: 'warning', summary: "the engine's socket inside a container" },
  function* (service) {
    const hint = 'whoever holds the socket owns the machine: put a filtering proxy before it';
    for (const [index, { source }] of service.volumes.entries()) {
      if (!/\/(?:docker|podman|containerd|tscompose[\w-]*)\.sock$/.test(source ?? '')) continue;
      yield { path: below(service, 'volumes', index), message: `${service.name} mounts ${source}`, hint };
    }
    if (service.useApiSocket)
      yield { path: below(service, 'use_api_socket'), message: `${service.name} gets the engine's socket`, hint };
  },
);

const hostNamespace = perService(
  { name: 'host-namespace', level: 'warning', summary: "a container inside one of the machine's namespaces" },
  function* (service) {
    const rows = [
      ['network_mode', service.networkMode],
      ['pid', service.pid],
      ['ipc', service.ipc],
      ['userns_mode', service.usernsMode],
    ] as const;
    for (const [key, mode] of rows) {
      if (mode !== 'host') continue;
      yield {
        path: below(service, key),
        message: `${service.name} shares ${key} with the machine`,
        hint: 'leave it out unless it is needed',
      };
    }
  },
);

const portClash: LintRule = {
  name: 'port-clash',
  level: 'error',
  summary: 'two services publish the same port',
  check: function* ({ project }) {
    const owners = new Map<string, string>();
    for (const service of project.services.values()) {
      for (const [index, port] of service.ports.entries()) {
        if (port.published === undefined || /-/.test(port.published)) continue;
        const address = isEveryAddress(port.hostIp) ? '' : port.hostIp;
        const key = `${address} ${port.published}/${port.protocol ?? 'tcp'}`;
        const owner = owners.get(key);
        owners.set(key, service.name);
        if (owner === undefined || owner === service.name) continue;
        const message = `${owner} and ${service.name} both publish port ${port.published}`;
        yield { path: below(service, 'ports', index), message, hint: 'publish one of them on another port' };
      }
    }
  },
};

/** All rules, in the order in which their help lists them. */
export const LINT_RULES: readonly LintRule[] = [
  latestTag,
  secretInEnvironment,
  exposedDatabase,
  missingHealthcheck,
  privileged,
  engineSocket,
  hostNamespace,
  portClash,
  ...unusedRules,
];
