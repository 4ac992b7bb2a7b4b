import { describe, expect, it } from 'vitest';
import type { PortRequest } from './network.ts';
import { findHolder, planPorts } from './port-map.ts';

const both = { host6: true, container: [4, 6] } as const;

const tcp = (rest: Partial<PortRequest> = {}): PortRequest => ({ containerPort: 80, protocol: 'tcp', ...rest });

describe('published ports', () => {
  it('cover IPv4 and IPv6 unless an address is given', () => {
    expect(planPorts([tcp({ hostPort: 8080 })], both)[0]?.hostIps).toEqual(['0.0.0.0', '::']);
    expect(planPorts([tcp({ hostPort: 8080 })], { host6: false, container: [4] })[0]?.hostIps).toEqual(['0.0.0.0']);
    expect(planPorts([tcp({ hostIp: '[::1]' })], both)[0]?.hostIps).toEqual(['::1']);
    expect(planPorts([tcp({ hostIp: '2001:DB8:0::1' })], both)[0]?.hostIps).toEqual(['2001:db8::1']);
  });
  it('are planned fixed ones first, doubles once', () => {
    const plans = planPorts(
      [tcp(), tcp({ hostPort: 40000 }), tcp({ hostPort: { first: 9000, last: 9005 } }), tcp()],
      both,
    );
    expect(plans.map((plan) => [plan.candidates.first, plan.ephemeral])).toEqual([
      [40000, false],
      [32768, true],
      [9000, true],
    ]);
  });
  it.each([
    [tcp({ containerPort: 0 }), 'network/invalid'],
    [tcp({ hostPort: 65536 }), 'network/invalid'],
    [tcp({ hostPort: { first: 10, last: 9 } }), 'network/invalid'],
    [tcp({ hostIp: 'localhost' }), 'network/invalid'],
    [tcp({ hostIp: 'fe80::1%eth0' }), 'network/invalid'],
    [tcp({ protocol: 'sctp', hostIp: '::1' }), 'network/unsupported'],
  ])('refuse %j', (request, code) => {
    expect(() => planPorts([request], both)).toThrow(expect.objectContaining({ code }));
  });
  it('of SCTP only where the kernel rewrites them', () => {
    const sctp = tcp({ protocol: 'sctp', hostPort: 80 });
    const hostIps = (container: readonly (4 | 6)[]) => planPorts([sctp], { host6: true, container })[0]?.hostIps;
    expect(hostIps([4, 6])).toEqual(['0.0.0.0', '::']);
    expect(hostIps([4])).toEqual(['0.0.0.0']);
    expect(() =>
      planPorts([tcp({ protocol: 'sctp', hostIp: '2001:db8::1' })], { host6: true, container: [4] }),
    ).toThrow(expect.objectContaining({ code: 'network/unsupported' }));
  });
  it('of every address stand in the way of one address, not of the other family', () => {
    const held = [{ ...tcp(), hostIp: '0.0.0.0', hostPort: 80, containerId: 'c', containerName: 'web' }];
    expect(findHolder(held, 'tcp', '127.0.0.1', 80)?.containerName).toBe('web');
    expect(findHolder(held, 'tcp', '::', 80)).toBeUndefined();
    expect(findHolder(held, 'udp', '127.0.0.1', 80)).toBeUndefined();
  });
});
