import { describe, expect, it } from 'vitest';
import { portsToTake } from './check-ports.ts';
import type { Plan } from './plan.ts';

const create = (name: string, ports: readonly object[], rest: object = {}) => ({
  id: 1,
  after: [],
  cause: '',
  kind: 'create-container',
  name,
  service: name,
  spec: { ports, ...rest },
});
const start = (name: string) => ({ id: 2, after: [], cause: '', kind: 'start-container', name, service: name });
const plan = (...operations: object[]) => ({ operations }) as unknown as Plan;
const port = (hostPort?: string) => ({ containerPort: 80, protocol: 'tcp', ...(hostPort && { hostPort }) });

describe('ports that a plan takes', () => {
  it('are the fixed ones of what it creates and starts', () => {
    const ports = [port('8080'), port('9000-9010'), port(), port('0')];
    expect(portsToTake(plan(create('web', ports), start('web')))).toEqual([{ ...port('8080'), service: 'web' }]);
    expect(portsToTake(plan(create('web', ports)))).toEqual([]);
    expect(portsToTake(plan(start('web')))).toEqual([]);
  });
  it('are none in the network of the host', () => {
    expect(portsToTake(plan(create('web', [port('8080')], { networkMode: 'host' }), start('web')))).toEqual([]);
  });
});
