import { describe, expect, it } from 'vitest';
import type { BoundPort, Readiness } from './network.ts';
import type { Attachment } from './records.ts';
import { predecessors, servedPorts, serverOf, sharedKey } from './shared-ports.ts';

const port = (hostPort: number, hostIp = '0.0.0.0'): BoundPort => ({
  containerPort: 80,
  protocol: 'tcp',
  hostIp,
  hostPort,
});

interface Case {
  readonly ports?: readonly BoundPort[];
  readonly replaces?: string;
  readonly readiness?: Readiness;
}

function attachments(cases: Readonly<Record<string, Case>>): ReadonlyMap<string, Attachment> {
  return new Map(
    Object.entries(cases).map(([containerId, { ports = [port(80)], ...rest }]) => [
      containerId,
      { containerId, name: containerId, endpoints: [], bound: ports, active: true, ...rest } as unknown as Attachment,
    ]),
  );
}

describe('a port that two containers hold', () => {
  const server = (cases: Readonly<Record<string, Case>>) => serverOf(attachments(cases), port(80))?.containerId;

  it('leads to the newer one as soon as that is ready, and back when it is not', () => {
    expect(server({ old: {}, next: { replaces: 'old', readiness: 'starting' } })).toBe('old');
    expect(server({ old: {}, next: { replaces: 'old' } })).toBe('next');
    expect(server({ old: {}, next: { replaces: 'old', readiness: 'unhealthy' } })).toBe('old');
    expect(server({ old: { readiness: 'unhealthy' }, next: { replaces: 'old', readiness: 'starting' } })).toBe('old');
    expect(server({ next: { replaces: 'old', readiness: 'starting' } })).toBe('next');
    expect(server({})).toBeUndefined();
  });

  it('knows the order of three, in whatever order they are known', () => {
    expect(server({ third: { replaces: 'second' }, first: {}, second: { replaces: 'first' } })).toBe('third');
    const unready = { replaces: 'second', readiness: 'starting' } as const;
    expect(server({ third: unready, first: {}, second: { replaces: 'first' } })).toBe('second');
  });

  it('survives records that replace each other', () => {
    const both = attachments({ a: { replaces: 'b' }, b: { replaces: 'a' } });
    expect(predecessors(both, { replaces: 'a' } as Attachment)).toEqual(['a', 'b']);
    expect(serverOf(both, port(80))).toBeDefined();
  });
});

it('a container is served what it holds alone, and a port of its own address always', () => {
  const both = attachments({
    old: { ports: [port(80), port(81), port(80, '::')] },
    next: { ports: [port(80), port(82), port(0)], replaces: 'old' },
  });
  const served = (id: string) => servedPorts(both, both.get(id) as Attachment);
  expect(served('old')).toEqual([port(81), port(80, '::')]);
  expect(served('next')).toEqual([port(80), port(82), port(0)]);
});

it('a socket is shared with the one replaced or replacing alone', () => {
  const all = attachments({ old: {}, stranger: { ports: [port(90)] } });
  const next = { containerId: 'next', replaces: 'old' } as Attachment;
  expect(sharedKey(all, next, port(80))).toBe('old/tcp/0.0.0.0/80');
  expect(sharedKey(all, next, port(80, '::'))).toBeUndefined();
  expect(sharedKey(all, next, port(90))).toBeUndefined();
  const adopted = attachments({ next: { replaces: 'old' } });
  expect(sharedKey(adopted, { containerId: 'old' } as Attachment, port(80))).toBe('next/tcp/0.0.0.0/80');
});
