import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { Place } from '../network-reach/world.ts';
import { type CliProject, cliProject } from '../stack-up/run-cli.ts';

const SERVICE = 'image: busybox, command: sleep 600, init: true';

/** Every network attribute of a compose file that has no scenario of its own, in one stack. */
const COMPOSE = `
services:
  web:
    image: busybox
    command: sleep 600
    init: true
    mac_address: "02:00:00:00:00:77"
    sysctls: { net.ipv4.ip_default_ttl: 77 }
    networks:
      plain: {}
      pooled: { ipv4_address: 10.77.0.200, priority: 5 }
    ports:
      - { target: 80, published: "8080", host_ip: 127.0.0.1, protocol: tcp, mode: host, app_protocol: http, name: web }
      - { target: 81, published: "8090-8099", mode: ingress }
      - "127.0.0.1:8070:82/udp"
    expose: ["83"]
  any: { ${SERVICE}, networks: [pooled] }
  bridged: { ${SERVICE}, network_mode: bridge }
  hosted: { ${SERVICE}, network_mode: host }
  alone: { ${SERVICE}, network_mode: none }
  beside: { ${SERVICE}, network_mode: "service:web" }
  guest: { ${SERVICE}, networks: [taken, small] }
networks:
  plain:
    driver: bridge
    attachable: true
    labels: { note: text }
    driver_opts: { com.docker.network.bridge.name: tscplain0, com.docker.network.driver.mtu: "1400" }
  pooled:
    name: tsc-pooled
    driver_opts: { com.docker.network.bridge.inhibit_ipv4: "true" }
    ipam:
      driver: default
      config:
        - subnet: 10.77.0.0/24
          gateway: 10.77.0.9
          ip_range: 10.77.0.128/30
          aux_addresses: { first: 10.77.0.128, second: 10.77.0.129 }
  taken: { external: true, name: tsc-taken }
  small: { enable_ipv4: false, enable_ipv6: true, internal: true }
`;

const ADDRESS = 'ip -o addr show scope global | cut -d" " -f2,7';

/** Attribute, where, command, what it prints. */
const SEEN: readonly (readonly [string, string, string, string | RegExp])[] = [
  ['ipv4_address', 'web', ADDRESS, /eth\d 10\.77\.0\.200\/24/],
  [
    'priority: the MAC goes to that network',
    'web',
    'ip -o link; ip -o addr',
    /(eth\d).*02:00:00:00:00:77[\s\S]*\1 +inet 10\.77/,
  ],
  ['sysctls', 'web', 'cat /proc/sys/net/ipv4/ip_default_ttl', '77\n'],
  ['driver mtu', 'web', 'ip -o link', /mtu 1400/],
  ['ip_range without aux_addresses', 'any', ADDRESS, 'eth0 10.77.0.130/24\n'],
  ['gateway', 'any', 'ip route show default', /via 10\.77\.0\.9 /],
  ['network_mode none', 'alone', 'ls /sys/class/net', 'lo\n'],
  ['network_mode host', 'hosted', 'ip -o link', /tscplain0/],
  ['network_mode bridge', 'bridged', 'ip route show default', /via .* dev eth0/],
  ['network_mode service:', 'beside', ADDRESS, /10\.77\.0\.200/],
  ['external', 'guest', ADDRESS, /10\.78\.0\.\d+\/24/],
  ['enable_ipv4 false', 'guest', ADDRESS, /eth\d (fd[\da-f:]+)\/64/],
];

describe('network attributes of a compose file', () => {
  let daemon: TestDaemon;
  let host: Place;
  let project: CliProject;
  const get = async (path: string) => JSON.parse((await daemon.call('GET', `/v1.51${path}`)).text());

  beforeAll(async () => {
    host = await Place.make();
    daemon = await startTestDaemon({ networkNamespace: host.path });
    await daemon.importBusybox();
    const pool = { Config: [{ Subnet: '10.78.0.0/24' }] };
    await daemon.call('POST', '/v1.51/networks/create', { Name: 'tsc-taken', IPAM: pool });
    project = cliProject(daemon.host, { 'compose.yaml': COMPOSE });
    const up = await project.run(['up', '-d']);
    expect(up.status, up.stderr).toBe(0);
  }, 60_000);
  afterAll(async () => {
    await daemon.stop();
    project[Symbol.dispose]();
    host.close();
  });

  it.each(SEEN)('%s (in %s)', async (_attribute, service, command, wanted) => {
    const { status, stdout, stderr } = await project.run(['exec', '-T', service, 'sh', '-c', command]);
    expect(status, stderr).toBe(0);
    if (typeof wanted === 'string') expect(stdout).toBe(wanted);
    else expect(stdout).toMatch(wanted);
  });

  it('bridge name, inhibit_ipv4 and mtu on the host', async () => {
    const links: readonly { ifname: string; mtu: number; addr_info: readonly object[] }[] = JSON.parse(
      await host.run('/usr/sbin/ip', '-j', 'addr'),
    );
    expect(links.find(({ ifname }) => ifname === 'tscplain0')).toMatchObject({ mtu: 1400 });
    const [id = ''] = [(await get('/networks/tsc-pooled')).Id];
    const pooled = links.find(({ ifname }) => ifname === `${daemon.instance}-${id.slice(0, 7)}`);
    expect(pooled?.addr_info).toEqual([]);
  });

  it('name, attachable, labels and ipam as the API shows them', async () => {
    expect(await get(`/networks/${project.name}_plain`)).toMatchObject({ Attachable: true, Labels: { note: 'text' } });
    expect(await get('/networks/tsc-pooled')).toMatchObject({
      Labels: { 'com.docker.compose.network': 'pooled' },
      IPAM: {
        Config: [
          {
            Subnet: '10.77.0.0/24',
            Gateway: '10.77.0.9',
            IPRange: '10.77.0.128/30',
            AuxiliaryAddresses: { first: '10.77.0.128', second: '10.77.0.129' },
          },
        ],
      },
    });
  });

  it('ports in the long form: address, range, protocol; name and app_protocol stay in the model', async () => {
    const port = (...words: string[]) => project.run(['port', ...words]).then(({ stdout }) => stdout);
    expect(await port('web', '80')).toBe('127.0.0.1:8080\n');
    expect(await port('web', '81')).toMatch(/^0\.0\.0\.0:809\d\n/);
    expect(await port('--protocol', 'udp', 'web', '82')).toBe('127.0.0.1:8070\n');
    const elements = await host.run('/usr/sbin/nft', '-j', 'list', 'map', 'inet', daemon.instance, 'at_address');
    expect(elements).toContain('127.0.0.1');
    const { stdout } = await project.run(['config', '--format', 'json']);
    expect(JSON.parse(stdout).services.web.ports[0]).toMatchObject({ name: 'web', app_protocol: 'http', mode: 'host' });
  });

  it('an external network stays when the stack goes; what it made goes', async () => {
    const down = await project.run(['down']);
    expect(down.status, down.stderr).toBe(0);
    const names = (await get('/networks')).map(({ Name }: { Name: string }) => Name);
    expect(names).toContain('tsc-taken');
    expect(names).not.toContain('tsc-pooled');
    expect(await host.run('/usr/sbin/ip', '-br', 'link')).not.toContain('tscplain0');
  });

  /** Attribute of a network that is not carried out, and the words that say so. */
  const REFUSED: readonly (readonly [string, string])[] = [
    ['driver: overlay', 'network driver "overlay" is not supported'],
    ['driver: weave', 'network driver "weave" is not supported'],
    ['ipam: {driver: infoblox}', 'IPAM driver "infoblox" is not supported'],
    ['ipam: {options: {a: b}}', 'IPAM options are not supported'],
    ['driver_opts: {com.docker.network.bridge.default_bridge: "true"}', 'default_bridge'],
    ['driver_opts: {com.docker.network.bridge.nonsense: "1"}', 'com.docker.network.bridge.nonsense is not supported'],
    ['ipam: {config: [{subnet: 10.9.0.0/24}, {subnet: 10.10.0.0/24}]}', 'more than one IPv4 subnet'],
    ['external: true, name: tsc-nobody', 'tsc-nobody'],
  ];
  it.each(REFUSED)('refuses %s by name', async (attribute, words) => {
    const text = `services: {web: {${SERVICE}, networks: [net]}}\nnetworks: {net: {${attribute}}}`;
    using wrong = cliProject(daemon.host, { 'compose.yaml': text });
    const up = await wrong.run(['up', '-d']);
    expect(up.status).not.toBe(0);
    expect(up.stderr).toContain(words);
  });
});
