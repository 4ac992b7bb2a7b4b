import { exposedDatabases, type Project } from '../../compose/index.ts';
import { isUp, type ObservedContainer } from '../../stack/index.ts';

/** One line about all databases among the started services that are published on all addresses; x-lint silences it. */
export function databaseWarning(project: Project, started: ReadonlySet<string>): string | undefined {
  const found = [...project.services.values()].flatMap((service) =>
    started.has(service.name) && !isSilenced(project) && !isSilenced(service)
      ? exposedDatabases(service).map(({ port, database }) => `${service.name} (${database}, ${port.published})`)
      : [],
  );
  return found.length === 0
    ? undefined
    : `published on all addresses of this machine: ${found.join(', ')}; --loopback or "127.0.0.1:…" keeps databases to yourself`;
}

function isSilenced({ extensions }: Pick<Project, 'extensions'>): boolean {
  const levels = extensions?.get('x-lint');
  if (Array.isArray(levels)) return levels.includes('exposed-database');
  return levels instanceof Map && [false, 'off'].includes(levels.get('exposed-database'));
}

/** Container ports that speak HTTP by custom. */
const WEB_PORTS: ReadonlySet<number> = new Set([
  ...[
    80, 81, 443, 1313, 3000, 3001, 4000, 4200, 4321, 5000, 5173, 5601, 8000, 8008, 8080, 8081, 8443, 8888, 9000, 9090,
  ],
]);
const TLS_PORTS: ReadonlySet<number> = new Set([443, 8443]);
const REACHED_BY_LOOPBACK: ReadonlySet<string> = new Set(['', '0.0.0.0', '::', '127.0.0.1', '::1']);

/**
 * Where to point a browser: `*.localhost` leads to this machine without any set-up (RFC 6761), and each service has a name of its
 * own there, so that cookies and bookmarks of two projects do not mix.
 */
export function webAddresses(
  project: string,
  containers: readonly Pick<ObservedContainer, 'service' | 'oneoff' | 'state' | 'ports'>[],
  started: ReadonlySet<string>,
): readonly string[] {
  const lines = containers
    .filter((container) => isUp(container) && !container.oneoff && started.has(container.service))
    .flatMap(({ service, ports }) =>
      ports
        .filter(({ protocol, hostAddress = '' }) => protocol === 'tcp' && REACHED_BY_LOOPBACK.has(hostAddress))
        .flatMap(({ containerPort, hostPort }) =>
          WEB_PORTS.has(containerPort) && hostPort !== undefined
            ? [`${TLS_PORTS.has(containerPort) ? 'https' : 'http'}://${hostName(service, project)}:${hostPort}`]
            : [],
        ),
    );
  return [...new Set(lines)];
}

/** Letters, digits and hyphens are all a host name has. */
function hostName(service: string, project: string): string {
  return `${[service, project].map((part) => part.toLowerCase().replaceAll(/[^a-z0-9-]/g, '-')).join('.')}.localhost`;
}
