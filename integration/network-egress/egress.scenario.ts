import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NetworkService } from '../../src/engine/network/index.ts';
import { newObjectId } from '../../src/host/index.ts';
import { until } from '../kit/keeper.ts';
import { HOST, INSTANCE, type Member, NEIGHBOUR, NEIGHBOUR_6, Place, World } from '../network-reach/world.ts';
import { NAME_SERVER } from './name-server.ts';

const IP = '/usr/sbin/ip';
const NFT = '/usr/sbin/nft';
/** Another address of the neighbour, to which only a name that is not allowed leads. */
const ELSEWHERE = '192.0.2.3';
const TABLE = `${INSTANCE}_egress`;

const KNOWN = {
  'api.example.com': [NEIGHBOUR, NEIGHBOUR_6],
  'cdn.example.org': [NEIGHBOUR],
  'example.org': [ELSEWHERE],
  'evil.example.net': [ELSEWHERE],
  'trick.example.com': ['127.0.0.1'],
  'loop.example.com': ['169.254.169.254'],
};

describe('a container with an egress list', () => {
  let world: World;
  let limited: Member;
  let free: Member;
  let dns: ChildProcess;
  let asked = '';

  const start = async (name: string, egress?: readonly string[]): Promise<Member> => {
    const id = newObjectId();
    const endpoints = [{ network: 'front' }];
    const [endpoint] = await world.service.prepare({
      containerId: id,
      name,
      endpoints,
      dns: { servers: [NEIGHBOUR] },
      ...(egress && { egress }),
    });
    const { path } = await world.service.openSandbox(id);
    const place = new Place(path ?? '');
    const server = await world.serve(name, place, 80);
    await world.service.publish(id, []);
    return Object.assign(place, { id, server, address: endpoint?.address ?? '', address6: endpoint?.address6 ?? '' });
  };
  const elements = async (set: string): Promise<string> => world.host.run(NFT, 'list', 'set', 'inet', TABLE, set);

  beforeAll(async () => {
    world = await World.make();
    await world.service.create({ name: 'front', enableIpv6: true });
    await world.neighbour.run(IP, 'addr', 'add', `${ELSEWHERE}/24`, 'dev', 'lan0');
    dns = spawn(
      '/usr/bin/nsenter',
      [`--net=${world.neighbour.path}`, process.execPath, '-e', NAME_SERVER, JSON.stringify(KNOWN)],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    dns.stdout?.on('data', (chunk) => {
      asked += chunk;
    });
    if (dns.stdout) await once(dns.stdout, 'data');
    for (const port of [7000, 7002]) await world.serve('neighbour', world.neighbour, port);
    await world.serve('host', world.host, 7001);
    limited = await start('limited', [
      'api.example.com:7000',
      '*.example.org',
      'trick.example.com',
      'loop.example.com',
      '198.51.100.0/24:443',
    ]);
    free = await start('free');
  });
  afterAll(async () => {
    dns.kill('SIGKILL');
    await world.close();
  });

  it('reaches an allowed name on its port as soon as it knows the address, and not before', async () => {
    expect(await limited.probe('tcp', NEIGHBOUR, 7000)).toBe('EHOSTUNREACH');
    expect(await limited.lookup('A', 'api.example.com')).toBe(NEIGHBOUR);
    expect(await limited.probe('tcp', NEIGHBOUR, 7000)).toBe(`neighbour saw ${HOST}`);
    expect(await limited.probe('udp', NEIGHBOUR, 7000)).toBe(`neighbour saw ${HOST}`);
    expect(await limited.probe('tcp', NEIGHBOUR, 7002)).toBe('EHOSTUNREACH');
  });

  it('the same over IPv6', async () => {
    expect(await limited.probe('tcp', NEIGHBOUR_6, 7000)).toMatch(/^E(ACCES|HOSTUNREACH)$/);
    expect(await limited.lookup('AAAA', 'api.example.com')).toBe(NEIGHBOUR_6);
    expect(await limited.probe('tcp', NEIGHBOUR_6, 7000)).toMatch(/^neighbour saw /);
    expect(await limited.probe('tcp', NEIGHBOUR_6, 7002)).toMatch(/^E(ACCES|HOSTUNREACH)$/);
  });

  it('a wildcard stands for the names below, on every port', async () => {
    expect(await limited.lookup('A', 'example.org')).toBe('EREFUSED');
    expect(await limited.lookup('A', 'cdn.example.org')).toBe(NEIGHBOUR);
    expect(await limited.probe('tcp', NEIGHBOUR, 7002)).toBe(`neighbour saw ${HOST}`);
  });

  it('another name is refused and never asked for; its address is refused as well', async () => {
    expect(await limited.lookup('A', 'evil.example.net')).toBe('EREFUSED');
    expect(await limited.lookup('TXT', 'secret.evil.example.net')).toBe('EREFUSED');
    expect(asked).not.toContain('evil');
    expect(await limited.probe('tcp', ELSEWHERE, 7000)).toBe('EHOSTUNREACH');
    // Nor does the container reach the name server itself.
    expect(await limited.probe('tcp', NEIGHBOUR, 53)).not.toMatch(/timeout|saw/);
    expect(await free.lookup('A', 'evil.example.net')).toBe(ELSEWHERE);
    expect(await free.probe('tcp', ELSEWHERE, 7000)).toBe(`neighbour saw ${HOST}`);
  });

  it('an allowed name that leads to the host or the link opens nothing', async () => {
    expect(await limited.lookup('A', 'trick.example.com')).toBe('127.0.0.1');
    expect(await limited.lookup('A', 'loop.example.com')).toBe('169.254.169.254');
    const open = (await elements(`c_${limited.id.slice(0, 20)}_any4`)).replace(/\s+/g, ' ');
    expect(open).not.toMatch(/127\.0\.0\.1|169\.254/);
  });

  it('containers of its networks stay open to it, and it to them; the host does not', async () => {
    expect(await limited.probe('tcp', free.address, 80)).toBe(`free saw ${limited.address}`);
    expect(await limited.probe('tcp', free.address6, 80)).toBe(`free saw ${limited.address6}`);
    expect(await free.probe('tcp', limited.address, 80)).toBe(`limited saw ${free.address}`);
    expect(await limited.lookup('A', 'free')).toBe(free.address);
    expect(await world.host.probe('tcp', limited.address, 80)).toMatch(/^limited saw /);
    for (const address of [HOST, world.service.inspect('front').pool?.gateway ?? ''])
      expect(await limited.probe('tcp', address, 7001)).toBe('EHOSTUNREACH');
    expect(await free.probe('tcp', HOST, 7001)).toBe(`host saw ${free.address}`);
  });

  it('it cannot send under the address of a neighbour that is free', async () => {
    const spoof =
      "from socket import *; s=socket(AF_INET,SOCK_RAW,IPPROTO_RAW); s.sendto(bytes.fromhex(__import__('sys').argv[1]),('192.0.2.3',0))";
    const packet = udpPacket(free.address, ELSEWHERE);
    await world.neighbour.run(
      NFT,
      'add table ip seen; add chain ip seen in { type filter hook input priority 0; }; add rule ip seen in ip daddr 192.0.2.3 udp dport 9999 counter name-none'.replace(
        ' name-none',
        '',
      ),
    );
    const seen = async () =>
      /packets (\d+)/.exec(await world.neighbour.run(NFT, 'list', 'chain', 'ip', 'seen', 'in'))?.[1];
    await limited.run('/usr/bin/python3', '-c', spoof, packet);
    await free.run('/usr/bin/python3', '-c', spoof, packet);
    await until('the packet of the free container', async () => (await seen()) === '1');
  });

  it('holds while no daemon is there, and after one has come back', async () => {
    const set = `c_${limited.id.slice(0, 20)}_port4`;
    await world.host.run(NFT, 'flush', 'set', 'inet', TABLE, set);
    await world.host.run(NFT, 'flush', 'set', 'inet', TABLE, `c_${limited.id.slice(0, 20)}_any4`);
    expect(await limited.probe('tcp', NEIGHBOUR, 7000)).toBe('EHOSTUNREACH');
    // The keeper and the name server alone.
    const daemon: NetworkService = world.service;
    expect(await limited.lookup('A', 'api.example.com')).toBe(NEIGHBOUR);
    expect(await limited.probe('tcp', NEIGHBOUR, 7000)).toBe(`neighbour saw ${HOST}`);
    await world.restartService();
    expect(world.service).not.toBe(daemon);
    expect(await limited.probe('tcp', NEIGHBOUR, 7000)).toBe(`neighbour saw ${HOST}`);
    expect(await limited.lookup('A', 'evil.example.net')).toBe('EREFUSED');
    expect(await limited.probe('tcp', ELSEWHERE, 7000)).toBe('EHOSTUNREACH');
  });

  it('comes back with a lost ruleset', async () => {
    await world.host.run(NFT, 'flush', 'ruleset');
    expect(await world.service.checkFirewall()).toBe(true);
    expect(await limited.probe('tcp', ELSEWHERE, 7000)).toBe('EHOSTUNREACH');
    expect(await limited.lookup('A', 'api.example.com')).toBe(NEIGHBOUR);
    expect(await limited.probe('tcp', NEIGHBOUR, 7000)).toBe(`neighbour saw ${HOST}`);
  });

  it('is refused on networks whose packets pass no firewall of this host', async () => {
    await world.service.create({ name: 'stacked', driver: 'macvlan', options: { parent: 'lan0' } });
    const refused = { code: 'network/unsupported', message: expect.stringContaining('macvlan') };
    await expect(world.service.connect('stacked', limited.id, 'limited', {})).rejects.toMatchObject(refused);
    const endpoints = [{ network: 'stacked' }];
    const spec = { containerId: newObjectId(), name: 'other', endpoints, egress: [] };
    await expect(world.service.prepare(spec)).rejects.toMatchObject(refused);
    await world.service.remove('stacked');
  });

  it('leaves no table behind', async () => {
    await world.service.release(limited.id);
    expect(await world.host.run(NFT, 'list', 'tables')).not.toContain(TABLE);
  });
});

/** An IPv4 packet with a UDP datagram to port 9999, in hexadecimal; the kernel fills in checksum and length. */
function udpPacket(source: string, destination: string): string {
  const bytes = [0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
  const address = (text: string) => text.split('.').map(Number);
  const udp = [0x30, 0x39, 0x27, 0x0f, 0, 8, 0, 0];
  return Buffer.from([...bytes, ...address(source), ...address(destination), ...udp]).toString('hex');
}
