import type { Project } from './project.ts';
import type { Port, Service } from './service.ts';

/** Where ports without an address are published: on all addresses, as Docker does, or on this machine only. */
export type Publishing = 'all' | 'loopback';

/** Ports of databases and caches that trust whoever reaches them. */
const DATABASE_PORTS: ReadonlyMap<number, string> = new Map([
  [1433, 'SQL Server'],
  [1521, 'Oracle'],
  [2379, 'etcd'],
  [3306, 'MySQL'],
  [5432, 'PostgreSQL'],
  [5984, 'CouchDB'],
  [6379, 'Redis'],
  [7687, 'Neo4j'],
  [8086, 'InfluxDB'],
  [9042, 'Cassandra'],
  [9200, 'Elasticsearch'],
  [11211, 'Memcached'],
  [26257, 'CockroachDB'],
  [27017, 'MongoDB'],
]);

const EVERY_ADDRESS: ReadonlySet<string | undefined> = new Set([undefined, '', '0.0.0.0', '::', '[::]']);

/** Whether a port with this address is published on all addresses of the host. */
export function isEveryAddress(hostIp: string | undefined): boolean {
  return EVERY_ADDRESS.has(hostIp);
}

/** What a project says by `x-tscompose: {publish: …}`; undefined: nothing. */
export function publishingOf(project: Pick<Project, 'extensions'>): Publishing | undefined {
  const settings = project.extensions?.get('x-tscompose');
  const value: unknown = settings instanceof Map ? settings.get('publish') : undefined;
  return value === 'all' || value === 'loopback' ? value : undefined;
}

/**
 * The project with every port that names no address published on 127.0.0.1 and ::1. A port whose number the engine chooses gets
 * 127.0.0.1 alone: for each address it would choose another.
 */
export function publishOnLoopback(project: Project, withIpv6: boolean): Project {
  const services = [...project.services].map(([name, service]): readonly [string, Service] => [
    name,
    { ...service, ports: service.ports.flatMap((port) => onLoopback(port, withIpv6)) },
  ]);
  return { ...project, services: new Map(services) };
}

function onLoopback(port: Port, withIpv6: boolean): readonly Port[] {
  if (port.hostIp) return [port];
  const addresses =
    withIpv6 && port.published !== undefined && /^\d+$/.test(port.published) ? ['127.0.0.1', '::1'] : ['127.0.0.1'];
  return addresses.map((hostIp) => ({ ...port, hostIp }));
}

/** What a service may reach outside its networks (`x-egress`); undefined: everything. */
export function egressOf(service: Pick<Service, 'extensions'>): readonly string[] | undefined {
  const list = service.extensions?.get('x-egress');
  return Array.isArray(list) ? list.map(String) : undefined;
}

/** A port of a database that everyone who reaches this machine reaches too. */
export interface ExposedDatabase {
  /** In the service's list of ports. */
  readonly index: number;
  readonly port: Port & { readonly published: string };
  readonly database: string;
}

/** The databases that a service publishes on all addresses. */
export function exposedDatabases(service: Service): readonly ExposedDatabase[] {
  return service.ports.flatMap((port, index) => {
    const database = DATABASE_PORTS.get(port.target);
    const { published } = port;
    return database === undefined || published === undefined || !isEveryAddress(port.hostIp)
      ? []
      : [{ index, database, port: { ...port, published } }];
  });
}
