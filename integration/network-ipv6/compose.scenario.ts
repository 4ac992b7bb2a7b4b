import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { cliProject } from '../stack-up/run-cli.ts';

// The attributes of a compose file, through the command and the API, down to what the kernel has. Internal, as only such
// networks leave the routing of the machine the test runs on alone.
let daemon: TestDaemon;

beforeAll(async () => {
  daemon = await startTestDaemon();
  await daemon.importBusybox();
});
afterAll(async () => {
  await daemon.stop();
});

const COMPOSE = `
services:
  web:
    image: busybox
    command: sleep 600
    init: true
    networks:
      front:
        ipv6_address: fd00:d0c5:7::80
        interface_name: wan
        mac_address: "02:00:00:00:00:80"
        link_local_ips: [169.254.7.7, fe80::7]
        driver_opts: { com.docker.network.endpoint.sysctls: net.ipv4.conf.IFNAME.log_martians=1 }
      back: { gw_priority: 1 }
  db:
    image: busybox
    command: sleep 600
    init: true
    networks: [front]
networks:
  front:
    internal: true
    enable_ipv6: true
    ipam: { config: [{ subnet: "fd00:d0c5:7::/64", gateway: "fd00:d0c5:7::ff" }] }
  back:
    internal: true
    driver_opts: { com.docker.network.container_iface_prefix: lan }
`;

it('enable_ipv6, ipv6_address, interface_name, mac_address, link_local_ips and driver options', async () => {
  using project = cliProject(daemon.host, { 'compose.yaml': COMPOSE });
  const inside = async (service: string, ...command: string[]) => {
    const result = await project.run(['exec', '-T', service, ...command]);
    expect(result.stderr).toBe('');
    return result.stdout;
  };
  const up = await project.run(['up', '-d']);
  expect(up.status, up.stderr).toBe(0);
  const wan = await inside('web', 'ip', 'addr', 'show', 'dev', 'wan');
  for (const part of ['02:00:00:00:00:80', 'fd00:d0c5:7::80/64', '169.254.7.7/16', 'fe80::7/64'])
    expect(wan).toContain(part);
  expect(await inside('web', 'cat', '/proc/sys/net/ipv4/conf/wan/log_martians')).toBe('1\n');
  expect(await inside('web', 'ip', 'addr', 'show', 'dev', 'lan0')).not.toContain('inet6');
  expect(await inside('db', 'ping', '-6', '-c', '1', '-w', '5', 'web')).toContain('(fd00:d0c5:7::80)');
  expect(await inside('web', 'cat', '/etc/hosts')).toContain('fd00:d0c5:7::80\t');

  const found = (await project.run(['ps', '-q', 'web'])).stdout.trim();
  const shown = JSON.parse((await daemon.call('GET', `/v1.51/containers/${found}/json`)).text());
  const front = Object.entries(shown.NetworkSettings.Networks).find(([name]) => name.endsWith('front'))?.[1];
  expect(front).toMatchObject({
    GlobalIPv6Address: 'fd00:d0c5:7::80',
    GlobalIPv6PrefixLen: 64,
    IPAMConfig: { IPv6Address: 'fd00:d0c5:7::80', LinkLocalIPs: ['169.254.7.7', 'fe80::7'] },
  });
  const networks = JSON.parse((await daemon.call('GET', '/v1.51/networks')).text());
  const made = networks.filter(({ Name }: { Name: string }) => Name.startsWith(project.name));
  const shape = (network: { Name: string; EnableIPv6: boolean; IPAM: { Config: { Subnet: string }[] } }) => [
    network.Name.split('_').at(-1),
    network.EnableIPv6,
    network.IPAM.Config.map(({ Subnet }) => Subnet.includes(':')),
  ];
  expect(made.map(shape).toSorted()).toEqual([
    ['back', false, [false]],
    ['front', true, [false, true]],
  ]);
  const again = await project.run(['up', '-d']);
  expect(again.stderr).toContain('nothing to do');
  const down = await project.run(['down']);
  expect(down.status, down.stderr).toBe(0);
});

it('refuses by name what is not carried out', async () => {
  const refused = async (network: string, text: string) => {
    using project = cliProject(daemon.host, {
      'compose.yaml': `services: { a: { image: busybox, networks: [n] } }\nnetworks: { n: ${network} }\n`,
    });
    const up = await project.run(['up', '-d']);
    expect([network, up.status]).toEqual([network, 1]);
    expect(up.stderr).toContain(text);
  };
  await refused('{ enable_ipv4: false }', 'IPv4 or IPv6 must be enabled');
  await refused('{ ipam: { config: [{ subnet: "fd00:d0c5:8::/64" }] } }', 'enable_ipv6');
  await refused('{ driver_opts: { com.docker.network.bridge.gateway_mode_ipv6: open } }', 'gateway_mode_ipv6=open');
});
