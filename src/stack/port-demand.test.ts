import { describe, expect, it } from 'vitest';
import type { ContainerDetails, NetworkSummary } from '../client/index.ts';
import type { Plan } from './plan.ts';
import { findRivals, portsToTake } from './port-demand.ts';

const create = (name: string, ports: readonly object[], rest: object = {}) => ({
  id: 1,
  after: [],
  cause: '',
  kind: 'create-container',
  name,
  service: name,
  spec: { ports, endpoints: [], ...rest },
});
const start = (name: string, id = 2, after: readonly number[] = []) => ({
  id,
  after,
  cause: '',
  kind: 'start-container',
  name,
  service: name,
});
const plan = (...operations: object[]) => ({ operations }) as unknown as Plan;
const port = (hostPort?: string, hostAddress?: string, protocol = 'tcp') => ({
  containerPort: 80,
  protocol,
  ...(hostPort && { hostPort }),
  ...(hostAddress && { hostAddress }),
});
const network = (name: string, binding?: string, internal = false): NetworkSummary => ({
  id: name,
  name,
  driver: 'bridge',
  labels: {},
  internal,
  driverOptions: binding === undefined ? {} : { 'com.docker.network.bridge.host_binding_ipv4': binding },
});
const details = (publications: readonly object[], rest: object = {}) =>
  ({ publications, networkMode: 'front', endpoints: [{ network: 'front' }], ...rest }) as unknown as ContainerDetails;

const take = (
  wanted: Plan,
  networks: readonly NetworkSummary[] = [],
  existing: Record<string, ContainerDetails> = {},
) =>
  portsToTake(wanted, networks, new Map(Object.entries(existing))).map(
    ({ container, hostAddress = '*', first, last }) => `${container} ${hostAddress} ${first}-${last}`,
  );

describe('ports that a plan takes', () => {
  it('are the fixed ones and the ranges of what it creates and starts', () => {
    const ports = [port('8080'), port('9000-9010'), port(), port('0')];
    expect(take(plan(create('web', ports), start('web')))).toEqual(['web * 8080-8080', 'web * 9000-9010']);
    expect(take(plan(create('web', ports)))).toEqual([]);
    expect(take(plan(start('web')))).toEqual([]);
  });
  it('are those of a successor under the name that it gets', () => {
    const rename = { id: 3, after: [], cause: '', kind: 'rename-container', name: 'tmp', service: 'web', to: 'web' };
    expect(take(plan(create('tmp', [port('8080')]), rename, start('web')))).toEqual(['web * 8080-8080']);
  });
  it('are those of a stopped container that is started as it is', () => {
    const existing = { web: details([port('8080', '127.0.0.1')]), host: details([port('1')], { networkMode: 'host' }) };
    expect(take(plan(start('web'), start('host')), [], existing)).toEqual(['web 127.0.0.1 8080-8080']);
  });
  it('are none in the network of the host', () => {
    expect(take(plan(create('web', [port('8080')], { networkMode: 'host' }), start('web')))).toEqual([]);
  });
  it('are bound where the network with the way out says, unless they say it', () => {
    const ports = [port('8080'), port('8081', '10.0.0.1')];
    const to = (...names: (string | [string, number])[]) =>
      names.map((name) =>
        typeof name === 'string' ? { network: name } : { network: name[0], gatewayPriority: name[1] },
      );
    const networks = [network('a', '127.0.0.2', true), network('b', '127.0.0.3'), network('c', '127.0.0.4')];
    const bound = (endpoints: object[]) => take(plan(create('web', ports, { endpoints }), start('web')), networks)[0];
    expect(bound(to('c', 'b', 'a'))).toBe('web 127.0.0.3 8080-8080');
    expect(bound(to('b', ['c', 1]))).toBe('web 127.0.0.4 8080-8080');
    expect(bound(to('a'))).toBe('web * 8080-8080');
    expect(take(plan(start('web')), [network('front', '127.0.0.5')], { web: details(ports) })).toEqual([
      'web 127.0.0.5 8080-8080',
      'web 10.0.0.1 8081-8081',
    ]);
    const made = {
      id: 1,
      after: [],
      cause: '',
      kind: 'create-network',
      name: 'new',
      spec: { driverOptions: network('new', '127.0.0.6').driverOptions },
    };
    expect(take(plan(made, create('web', ports, { endpoints: to('new') }), start('web')))[0]).toBe(
      'web 127.0.0.6 8080-8080',
    );
  });
});

/** `a` and `b` (and so on) publish these; what is wanted more often than it can be had. */
function rivals(...ports: (ReturnType<typeof port> | ReturnType<typeof port>[])[]): string[] {
  const operations = ports.flatMap((each, n) => {
    const name = 'abcdef'[n] ?? '';
    return [create(name, Array.isArray(each) ? each : [each]), start(name)];
  });
  const wanted = plan(...operations);
  return findRivals(wanted, portsToTake(wanted, [], new Map())).map(
    ({ demand, rivals: others }) => `${demand.container}: ${others.map(({ container }) => container).join()}`,
  );
}

describe('two containers of a plan', () => {
  it.each([
    ['the same port', [port('80'), port('80')], ['a: b']],
    ['another port', [port('80'), port('81')], []],
    ['another protocol', [port('80'), port('80', undefined, 'udp')], []],
    ['everywhere and one address', [port('80'), port('80', '127.0.0.1')], ['b: a']],
    ['one address and everywhere', [port('80', '10.0.0.1'), port('80', '0.0.0.0')], ['a: b']],
    ['two addresses', [port('80', '127.0.0.1'), port('80', '127.0.0.2')], []],
    ['the two families', [port('80', '0.0.0.0'), port('80', '[::]')], []],
    ['everywhere and all of IPv6', [port('80'), port('80', '::')], ['a: b']],
    ['two spellings', [port('80', '::1'), port('80', '[0:0:0:0:0:0:0:1]')], ['a: b']],
    ['a range with room', [port('80-81'), port('80-81')], []],
    ['a range without', [port('80-81'), port('80-81'), port('80-81')], ['a: b,c']],
    ['a range filled by fixed ports', [port('80-81'), port('80'), port('81')], ['a: b,c']],
    ['a range and ports of single addresses', [port('80-81'), port('80', '127.0.0.1'), port('80', '127.0.0.2')], []],
    ['a range and one port in each family', [port('80-81'), port('80', '0.0.0.0'), port('80', '::')], []],
    ['a longer range beside', [port('80-81'), port('80'), port('81-90')], []],
    ['its own line twice', [[port('80'), port('80')]], []],
    ['its own port twice', [[port('80'), { ...port('80'), containerPort: 81 }]], ['a: a']],
  ])('%s', (_what, ports, expected) => {
    expect(rivals(...ports)).toEqual(expected);
  });

  it('may have one port after each other', () => {
    const end = (id: number, after: number[], condition: string) => ({
      id,
      after,
      cause: '',
      kind: 'wait',
      name: 'job',
      service: 'job',
      condition,
      containers: ['job'],
      required: true,
    });
    const countWith = (condition: string) => {
      const wanted = plan(
        create('job', [port('80')]),
        start('job', 2),
        end(3, [2], condition),
        start('mid', 4, [3]),
        create('web', [port('80')]),
        start('web', 5, [4]),
      );
      return findRivals(wanted, portsToTake(wanted, [], new Map())).length;
    };
    expect(countWith('service_completed_successfully')).toBe(0);
    expect(countWith('service_healthy')).toBe(1);
  });
});
