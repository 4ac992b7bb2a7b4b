import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { peer, runPeer } from '../kit/peers.ts';
import { cliProject } from '../stack-up/run-cli.ts';

// What a user asks of names, in a compose file and on docker's command line, down to what a program inside sees. Internal, as
// only such networks leave the routing of the machine the test runs on alone.
const docker = await peer('docker-cli-28');
let daemon: TestDaemon;
let home: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'tsc-names-'));
  daemon = await startTestDaemon({ flags: ['--default-address-pool=base=10.61.0.0/20,size=26'] });
  await daemon.importBusybox();
});
afterAll(async () => {
  await daemon.stop();
  await rm(home, { recursive: true, force: true });
});

const COMPOSE = `
services:
  web:
    image: busybox
    command: sleep 600
    init: true
    scale: 2
    networks: { net: { aliases: [www] } }
  app:
    image: busybox
    command: sleep 600
    init: true
    hostname: app
    domainname: shop.example
    dns: [192.0.2.53, "2001:db8::53"]
    dns_search: [corp.example, lab.example]
    dns_opt: ["timeout:1", "ndots:2"]
    extra_hosts: { db.outside: 192.0.2.9, six.outside: "[2001:db8::9]" }
    networks: [net]
networks:
  net: { internal: true }
`;

it('compose: replicas, aliases, dns, dns_search, dns_opt, extra_hosts, hostname, domainname, pools', async () => {
  using project = cliProject(daemon.host, { 'compose.yaml': COMPOSE });
  const inside = async (...command: string[]) => {
    const result = await project.run(['exec', '-T', 'app', ...command]);
    expect(result.stderr).toBe('');
    return result.stdout;
  };
  const up = await project.run(['up', '-d']);
  expect(up.status, up.stderr).toBe(0);
  const addresses = async (name: string) => {
    const text = await inside('nslookup', name, '127.0.0.11');
    return [...new Set(text.slice(text.indexOf('Name:')).match(/10\.61\.\d+\.\d+/g))].toSorted();
  };
  const both = await addresses('web');
  expect(both).toHaveLength(2);
  expect(await addresses('www')).toEqual(both);
  expect(
    [await addresses(`${project.name}-web-1`), await addresses(`${project.name}-web-2`)].flat().toSorted(),
  ).toEqual(both);
  const [id = ''] = (await project.run(['ps', '-q', 'web'])).stdout.split('\n');
  expect(both).toContain((await addresses(id.slice(0, 12)))[0]);
  expect(await inside('cat', '/etc/resolv.conf')).toBe(
    'nameserver 127.0.0.11\nsearch corp.example lab.example\noptions timeout:1 ndots:2\n',
  );
  const hosts = await inside('cat', '/etc/hosts');
  for (const line of ['192.0.2.9\tdb.outside\n', '2001:db8::9\tsix.outside\n', '\tapp.shop.example app\n'])
    expect(hosts).toContain(line);
  expect(await inside('sh', '-c', 'hostname; hostname -f')).toBe('app\napp.shop.example\n');
  const [network] = (await daemon.call('GET', '/networks'))
    .json<readonly { Name: string; IPAM: { Config: readonly { Subnet: string }[] } }[]>()
    .filter(({ Name }) => Name.startsWith(project.name));
  expect(network?.IPAM.Config[0]?.Subnet).toMatch(/^10\.61\.(1[0-5]|\d)\.(0|64|128|192)\/26$/);
  expect((await daemon.call('GET', '/info')).json()['DefaultAddressPools']).toEqual([
    { Base: '10.61.0.0/20', Size: 26 },
  ]);
  const down = await project.run(['down', '-t', '0']);
  expect(down.status, down.stderr).toBe(0);
});

describe.skipIf('reason' in docker)('docker CLI', () => {
  const run = (...args: string[]) => {
    if ('reason' in docker) throw new Error(docker.reason);
    return runPeer(docker.path, args, { host: daemon.host, home });
  };
  it('--dns, --dns-search, --dns-option, --add-host, --hostname, --domainname, --network-alias', async () => {
    expect((await run('network', 'create', '--internal', 'cli')).status).toBe(0);
    const names = ['--network', 'cli', '--network-alias', 'me', '--hostname', 'box', '--domainname', 'cli.example'];
    const dns = ['--dns', '192.0.2.1', '--dns-search', 'a.example', '--dns-option', 'attempts:1'];
    const script = 'cat /etc/resolv.conf /etc/hosts; hostname -f; nslookup me 127.0.0.11';
    const { stdout, stderr } = await run(
      ...['run', '--rm', ...names, ...dns, '--add-host', 'peer:10.1.1.1', '--add-host', 'six=fd00::1'],
      ...['busybox', 'sh', '-c', script],
    );
    expect(stderr).toBe('');
    expect(stdout).toContain('nameserver 127.0.0.11\nsearch a.example\noptions attempts:1 ndots:0\n');
    expect(stdout).toMatch(/10\.1\.1\.1\tpeer\nfd00::1\tsix\n10\.61\.\S+\tbox\.cli\.example box\nbox\.cli\.example\n/);
    expect(stdout).toMatch(/Name:\s+me\nAddress\S*\s+10\.61\./);
  });
  it('refuses a name server, an extra host and a subnet that are none', async () => {
    for (const [args, text] of [
      [['run', '--rm', '--network', 'cli', '--dns', 'resolver', 'busybox', 'true'], 'resolver'],
      [['run', '--rm', '--network', 'cli', '--add-host', 'peer:300.1.1.1', 'busybox', 'true'], '300.1.1.1'],
      [['network', 'create', '--subnet', '10.62.0.9/24', 'odd'], '10.62.0.0/24'],
    ] as const) {
      const { status, stderr } = await run(...args);
      expect([args, status === 0, stderr]).toEqual([args, false, expect.stringContaining(text)]);
    }
    for (const host of [{ Dns: ['resolver'] }, { ExtraHosts: ['bad'] }, { DnsSearch: ['a\nnameserver 192.0.2.1'] }]) {
      const answer = await daemon.call('POST', '/containers/create', { Image: 'busybox', HostConfig: host });
      expect([host, answer.status]).toEqual([host, 400]);
    }
    expect((await daemon.call('GET', '/containers/json?all=1')).json()).toEqual([]);
  });
});
