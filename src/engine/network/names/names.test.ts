import { describe, expect, it } from 'vitest';
import type { Endpoint, Readiness } from '../network.ts';
import { amendHosts, ownHostLines, renderHosts } from './hosts.ts';
import { chooseUpstreams, parseResolvConf, renderResolvConf } from './resolver.ts';
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
    // Our own server is never asked by itself; around a nested host there is another one.
    expect(chooseUpstreams({ servers: ['127.0.0.11', '9.9.9.9'] }, HOST)).toEqual([
      { address: '9.9.9.9', host: false },
    ]);
    expect(chooseUpstreams({ servers: ['127.0.0.11'] }, HOST)).toEqual(chooseUpstreams(undefined, HOST));
    expect(chooseUpstreams(undefined, parseResolvConf('nameserver 127.0.0.11'))).toEqual([
      { address: '127.0.0.11', host: true },
    ]);
    expect(() => chooseUpstreams({ servers: ['dns.example'] }, HOST)).toThrow(
      expect.objectContaining({ code: 'network/invalid' }),
    );
  });
});

describe('hosts', () => {
  const endpoint = { address: '172.20.0.2' } as Endpoint;
  const both = { ...endpoint, address6: 'fd00::2' };
  it('has the usual names, the extra hosts, and the container itself', () => {
    const spec = {
      hostname: 'web',
      domainname: 'example.org',
      extraHosts: ['host.docker.internal:host-gateway', 'v6=[::1]', 'db:10.0.0.1'],
    };
    const text = renderHosts(spec, [both], ['172.20.0.1', 'fd00::1']);
    expect(text).toMatch(/^127\.0\.0\.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n/);
    expect(text.split('\n').slice(6)).toEqual([
      '172.20.0.1\thost.docker.internal',
      'fd00::1\thost.docker.internal',
      '::1\tv6',
      '10.0.0.1\tdb',
      '172.20.0.2\tweb.example.org web',
      'fd00::2\tweb.example.org web',
      '',
    ]);
  });
  it.each([
    [{ hostname: 'web' }, 'web'],
    [{ hostname: 'web', domainname: 'example.org' }, 'web.example.org web'],
    [{ hostname: 'web.example.org' }, 'web.example.org web'],
    [{ hostname: 'web.example', domainname: 'org' }, 'web.example.org web'],
  ])('names a container %j as %j', (spec, names) => {
    expect(ownHostLines(spec, [endpoint])).toEqual([`172.20.0.2\t${names}`]);
  });
  it("on the host's network is the host's file with what was added", () => {
    const host = { address: '' } as Endpoint;
    const spec = { hostname: 'web', extraHosts: ['db:10.0.0.1', 'me:host-gateway'] };
    expect(renderHosts(spec, [host], ['127.0.0.1'], '10.1.1.1 printer')).toBe(
      '10.1.1.1 printer\n10.0.0.1\tdb\n127.0.0.1\tme\n',
    );
  });
  it('follows the networks and keeps what somebody wrote into it', () => {
    const spec = { hostname: 'web' };
    const before = ownHostLines(spec, [both]);
    const after = ownHostLines(spec, [{ address: '172.20.9.5' } as Endpoint, endpoint]);
    const text = `${renderHosts(spec, [both], [])}# by hand\n10.9.9.9 mine`;
    const amended = amendHosts(text, before, after);
    expect(amended).toBe(`${renderHosts(spec, [], [])}172.20.0.2\tweb\n# by hand\n10.9.9.9 mine\n172.20.9.5\tweb\n`);
    expect(amendHosts(amended, after, after)).toBe(amended);
    expect(amendHosts('', [], after)).toBe('172.20.9.5\tweb\n172.20.0.2\tweb\n');
  });
  it.each([
    ['nothing', 'network/invalid'],
    ['db:999.0.0.1', 'network/invalid'],
    ['a b:1.2.3.4', 'network/invalid'],
    ['db:1.2.3.4\n6.6.6.6 bank', 'network/invalid'],
  ])('refuses %j', (entry, code) => {
    expect(() => renderHosts({ hostname: 'web', extraHosts: [entry] }, [], [])).toThrow(
      expect.objectContaining({ code }),
    );
  });
});

describe('a zone', () => {
  const member = (digit: string, name: string, readiness: Readiness = 'ready') => ({
    containerId: digit.repeat(64),
    containerName: name,
    aliases: ['Web'],
    addresses: [`172.20.0.${digit}`, `fd00::${digit}`],
    readiness,
  });
  it('has container name, aliases and short id, alone and with the network, and shares aliases', () => {
    const zone = buildZone('front', [member('2', 'a-1'), member('3', 'a-2')]);
    expect(zone['web']).toEqual(['172.20.0.2', 'fd00::2', '172.20.0.3', 'fd00::3']);
    expect(zone['web.front']).toEqual(zone['web']);
    expect(zone['a-1']).toEqual(['172.20.0.2', 'fd00::2']);
    expect(zone['222222222222']).toEqual(zone['a-1']);
    expect(Object.keys(zone)[0]).toBe('a-1.front');
  });
  it.each<[readonly Readiness[], readonly string[]]>([
    [
      ['ready', 'ready'],
      ['2', '3'],
    ],
    [['ready', 'unhealthy'], ['2']],
    [['starting', 'ready'], ['3']],
    [['starting', 'unhealthy'], ['2']],
    [
      ['starting', 'starting'],
      ['2', '3'],
    ],
    [
      ['unhealthy', 'unhealthy'],
      ['2', '3'],
    ],
  ])('of replicas that are %j leads to %j', ([first, second], digits) => {
    const zone = buildZone('front', [member('2', 'a-1', first), member('3', 'a-2', second)]);
    expect(zone['web']).toEqual(digits.flatMap((digit) => [`172.20.0.${digit}`, `fd00::${digit}`]));
    // Each is still reached by its own name.
    expect([zone['a-1'], zone['a-2.front']]).toEqual([
      ['172.20.0.2', 'fd00::2'],
      ['172.20.0.3', 'fd00::3'],
    ]);
  });
});
