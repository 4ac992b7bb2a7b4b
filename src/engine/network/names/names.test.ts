import { describe, expect, it } from 'vitest';
import type { Endpoint } from '../network.ts';
import { chooseUpstreams, parseResolvConf, renderHosts, renderResolvConf } from './resolver.ts';
import { buildZone } from './zone.ts';

const HOST = parseResolvConf(`# by hand
nameserver 127.0.0.53
nameserver 192.0.2.53 ; second
search example.org lan
options edns0 trust-ad ndots:2 timeout:1
`);

describe('resolv.conf', () => {
  it('is read as libc reads it', () => {
    expect(HOST).toEqual({
      servers: ['127.0.0.53', '192.0.2.53'],
      search: ['example.org', 'lan'],
      options: ['edns0', 'trust-ad', 'ndots:2', 'timeout:1'],
    });
  });
  it('of a container points at our name server', () => {
    expect(renderResolvConf(undefined, HOST, true)).toBe(
      'nameserver 127.0.0.11\nsearch example.org lan\noptions timeout:1 ndots:0\n',
    );
    expect(renderResolvConf({ search: ['.'], options: ['ndots:3'] }, HOST, true)).toBe(
      'nameserver 127.0.0.11\noptions ndots:3\n',
    );
    expect(renderResolvConf({ servers: ['9.9.9.9'] }, HOST, false)).toContain('nameserver 9.9.9.9\n');
  });
  it('decides where questions go: loopback servers only from the host', () => {
    expect(chooseUpstreams(undefined, HOST)).toEqual([
      { address: '127.0.0.53', host: true },
      { address: '192.0.2.53', host: false },
    ]);
    expect(chooseUpstreams({ servers: ['2001:db8::53', '127.0.0.1'] }, HOST)).toEqual([
      { address: '2001:db8::53', host: true },
      { address: '127.0.0.1', host: false },
    ]);
    expect(() => chooseUpstreams({ servers: ['dns.example'] }, HOST)).toThrow(
      expect.objectContaining({ code: 'network/invalid' }),
    );
  });
});

describe('hosts', () => {
  const endpoint = { address: '172.20.0.2' } as Endpoint;
  it('names the container, its extra hosts and the host', () => {
    const spec = {
      hostname: 'web',
      domainname: 'example.org',
      extraHosts: ['host.docker.internal:host-gateway', 'v6=[::1]', 'db:10.0.0.1'],
    };
    expect(renderHosts(spec, [endpoint], '172.20.0.1').split('\n').slice(2)).toEqual([
      '172.20.0.2\tweb.example.org web',
      '172.20.0.1\thost.docker.internal',
      '::1\tv6',
      '10.0.0.1\tdb',
      '',
    ]);
  });
  it('names every address of the container', () => {
    const both = { ...endpoint, address6: 'fd00::2' };
    expect(renderHosts({ hostname: 'web' }, [both], undefined)).toContain('172.20.0.2\tweb\nfd00::2\tweb\n');
  });
  it.each([
    ['nothing', 'network/invalid'],
    ['db:999.0.0.1', 'network/invalid'],
    ['a b:1.2.3.4', 'network/invalid'],
    ['db:1.2.3.4\n6.6.6.6 bank', 'network/invalid'],
    ['gate:host-gateway', 'network/unsupported'],
  ])('refuses %j', (entry, code) => {
    expect(() => renderHosts({ hostname: 'web', extraHosts: [entry] }, [], undefined)).toThrow(
      expect.objectContaining({ code }),
    );
  });
});

describe('a zone', () => {
  it('has container name, aliases and short id, alone and with the network, and shares aliases', () => {
    const member = (digit: string, name: string) => ({
      containerId: digit.repeat(64),
      containerName: name,
      aliases: ['Web'],
      addresses: [`172.20.0.${digit}`, `fd00::${digit}`],
    });
    const zone = buildZone('front', [member('2', 'a-1'), member('3', 'a-2')]);
    expect(zone['web']).toEqual(['172.20.0.2', 'fd00::2', '172.20.0.3', 'fd00::3']);
    expect(zone['web.front']).toEqual(zone['web']);
    expect(zone['a-1']).toEqual(['172.20.0.2', 'fd00::2']);
    expect(zone['222222222222']).toEqual(zone['a-1']);
    expect(Object.keys(zone)[0]).toBe('a-1.front');
  });
});
