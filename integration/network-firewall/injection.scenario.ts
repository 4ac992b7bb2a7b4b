import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { leftovers } from '../kit/ledger.ts';
import { Place } from '../network-reach/world.ts';

// N13: whatever stands in a request, nothing of it becomes a rule, an option of a tool or a line of a file; it is refused by the
// API, or is literally what it says.
const NFT = '/usr/sbin/nft';
const HOSTILE = [
  'x; flush ruleset',
  '"; flush ruleset; #',
  'x" }; flush ruleset; table inet evil { chain a { }; #',
  'x\nflush ruleset\n',
  'x\r\nnameserver 198.51.100.66\n198.51.100.66 evil',
  '$(touch /tmp/tsc-injected)',
  '`touch /tmp/tsc-injected`',
  '--help',
  '-',
  '../../../tmp/tsc-injected',
  '@bridges',
  '0.0.0.0/0',
  '{ 1-65535 }',
  'x\0y',
  '\u001b]0;evil\u0007',
  'x'.repeat(70_000),
] as const;

let host: Place;
let daemon: TestDaemon;

beforeAll(async () => {
  host = await Place.make();
  await host.run(NFT, 'table inet canary { chain c { type filter hook input priority 0; counter; }; }');
  daemon = await startTestDaemon({ networkNamespace: host.path });
  await daemon.importBusybox();
  // From here on the table is there: it comes with the first network in use.
  expect((await daemon.call('POST', '/networks/create', { Name: 'plain' })).status).toBe(201);
  const spec = { Image: 'busybox', Cmd: ['sleep', '600'], HostConfig: { Init: true, NetworkMode: 'plain' } };
  expect((await daemon.call('POST', '/containers/create?name=target', spec)).status).toBe(201);
  expect((await daemon.call('POST', '/containers/target/start')).status).toBe(204);
});
afterAll(async () => {
  expect(leftovers(await daemon.stop())).toEqual([]);
  expect(existsSync('/tmp/tsc-injected')).toBe(false);
  host.close();
});

/** Chains of every table: what a rule would show in. Counters and handles left out. */
async function rules(): Promise<string> {
  const { nftables } = JSON.parse(await host.run(NFT, '-j', 'list', 'ruleset'));
  return JSON.stringify(
    nftables.filter((item: object) => 'table' in item || 'chain' in item || 'rule' in item),
  ).replace(/"(handle|packets|bytes)": ?\d+/g, '""');
}

const OPTION = 'com.docker.network.bridge.';
const NETWORKS: readonly (readonly [field: string, body: (text: string) => object])[] = [
  ['Name', (text) => ({ Name: text })],
  ['Driver', (text) => ({ Driver: text })],
  ['Labels', (text) => ({ Labels: { [text]: text } })],
  ['Options', (text) => ({ Options: { [text]: text } })],
  ...['name', 'host_binding_ipv4', 'enable_icc', 'enable_ip_masquerade', 'gateway_mode_ipv4', 'inhibit_ipv4'].map(
    (key) => [`Options ${key}`, (text: string) => ({ Options: { [OPTION + key]: text } })] as const,
  ),
  ['Options mtu', (text) => ({ Options: { 'com.docker.network.driver.mtu': text } })],
  ['Options prefix', (text) => ({ Options: { 'com.docker.network.container_iface_prefix': text } })],
  ['Options parent', (text) => ({ Driver: 'macvlan', Options: { parent: text } })],
  ['IPAM Driver', (text) => ({ IPAM: { Driver: text } })],
  ['IPAM Options', (text) => ({ IPAM: { Options: { [text]: text } } })],
  ...['Subnet', 'IPRange', 'Gateway'].map(
    (key) =>
      [`IPAM ${key}`, (text: string) => ({ IPAM: { Config: [{ Subnet: '10.201.0.0/24', [key]: text }] } })] as const,
  ),
  [
    'IPAM Auxiliary',
    (text) => ({ IPAM: { Config: [{ Subnet: '10.202.0.0/24', AuxiliaryAddresses: { [text]: text } }] } }),
  ],
  [
    'IPAM Auxiliary name',
    (text) => ({ IPAM: { Config: [{ Subnet: '10.203.0.0/24', AuxiliaryAddresses: { [text]: '10.203.0.9' } }] } }),
  ],
];

/** What is refused says so; 501: known, and not carried out. */
const REFUSED = [400, 403, 404, 409, 501];

it.each(NETWORKS)('%s of a network', async (_field, body) => {
  const before = await rules();
  for (const [index, text] of HOSTILE.entries()) {
    const shown = text.slice(0, 60);
    const answer = await daemon.call('POST', '/networks/create', { Name: `n${index}`, ...body(text) });
    expect([201, ...REFUSED], `${shown}: ${answer.status} ${answer.text()}`).toContain(answer.status);
    expect([shown, await rules()]).toEqual([shown, before]);
    if (answer.status !== 201) continue;
    const id = answer.json<{ Id: string }>().Id;
    expect((await daemon.call('DELETE', `/networks/${id}`)).status).toBe(204);
  }
});

const endpoint = (settings: object) => ({ NetworkingConfig: { EndpointsConfig: { plain: settings } } });
const CONTAINERS: readonly (readonly [field: string, body: (text: string) => object])[] = [
  ['Hostname', (text) => ({ Hostname: text })],
  ['Domainname', (text) => ({ Domainname: text })],
  ['Labels', (text) => ({ Labels: { [text]: text } })],
  ['PortBindings HostIp', (text) => ({ HostConfig: { PortBindings: { '80/tcp': [{ HostIp: text, HostPort: '' }] } } })],
  ['PortBindings HostPort', (text) => ({ HostConfig: { PortBindings: { '80/tcp': [{ HostPort: text }] } } })],
  ['PortBindings', (text) => ({ HostConfig: { PortBindings: { [text]: [{ HostPort: '' }] } } })],
  ['ExposedPorts', (text) => ({ ExposedPorts: { [text]: {} }, HostConfig: { PublishAllPorts: true } })],
  ['NetworkMode', (text) => ({ HostConfig: { NetworkMode: text } })],
  ['Dns', (text) => ({ HostConfig: { Dns: [text] } })],
  ['DnsSearch', (text) => ({ HostConfig: { DnsSearch: [text] } })],
  ['DnsOptions', (text) => ({ HostConfig: { DnsOptions: [text] } })],
  ['ExtraHosts', (text) => ({ HostConfig: { ExtraHosts: [`${text}:198.51.100.7`] } })],
  ['ExtraHosts address', (text) => ({ HostConfig: { ExtraHosts: [`good:${text}`] } })],
  ['Links', (text) => ({ HostConfig: { Links: [`${text}:${text}`] } })],
  ['Aliases', (text) => endpoint({ Aliases: [text] })],
  ['MacAddress', (text) => endpoint({ MacAddress: text })],
  ['DriverOpts', (text) => endpoint({ DriverOpts: { [text]: text } })],
  ['DriverOpts ifname', (text) => endpoint({ DriverOpts: { 'com.docker.network.endpoint.ifname': text } })],
  ['DriverOpts sysctls', (text) => endpoint({ DriverOpts: { 'com.docker.network.endpoint.sysctls': text } })],
  ['IPv4Address', (text) => endpoint({ IPAMConfig: { IPv4Address: text } })],
  ['LinkLocalIPs', (text) => endpoint({ IPAMConfig: { LinkLocalIPs: [text] } })],
];

/** Lines of the files written for it (absent while it was never started) that say what nobody may say. */
async function injected(id: string): Promise<readonly string[]> {
  const { ResolvConfPath, HostsPath, HostnamePath } = (await daemon.call('GET', `/containers/${id}/json`)).json<{
    ResolvConfPath: string;
    HostsPath: string;
    HostnamePath: string;
  }>();
  const texts = await Promise.all(
    [ResolvConfPath, HostsPath, HostnamePath].map((path) => readFile(path, 'utf8').catch(() => '')),
  );
  const lines = texts.flatMap((text) => text.split(/[\r\n]/));
  return lines.filter((line) => /^\s*(nameserver 198\.51\.100\.66|198\.51\.100\.66|flush ruleset)/.test(line));
}

it.each(CONTAINERS)('%s of a container', { timeout: 120_000 }, async (_field, body) => {
  const before = await rules();
  for (const text of HOSTILE) {
    const shown = text.slice(0, 60);
    const own = body(text) as { HostConfig?: object };
    const host = { Init: true, NetworkMode: 'plain', ...own.HostConfig };
    const spec = { Image: 'busybox', Cmd: ['sleep', '600'], ...own, HostConfig: host };
    const answer = await daemon.call('POST', '/containers/create', spec);
    expect([201, ...REFUSED], `${shown}: ${answer.status} ${answer.text()}`).toContain(answer.status);
    if (answer.status !== 201) continue;
    const id = answer.json<{ Id: string }>().Id;
    const started = await daemon.call('POST', `/containers/${id}/start`);
    expect([204, ...REFUSED], `${shown}: ${started.status} ${started.text()}`).toContain(started.status);
    expect([shown, await rules()]).toEqual([shown, before]);
    expect([shown, await injected(id)]).toEqual([shown, []]);
    expect((await daemon.call('DELETE', `/containers/${id}?force=1`)).status).toBe(204);
  }
});
