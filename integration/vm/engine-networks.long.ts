import { describe } from 'vitest';
import { SCTP } from '../kit/bundle.ts';
import { ENGINE_MODULES, ENGINE_PRELUDE, engineFiles } from './engine-guest.ts';
import { testScenarios } from './guest-tests.ts';
import { hostFile, hostProgram } from './initramfs.ts';
import { findMachine, runGuest } from './vm.ts';

/** Kinds of links and sockets that the machine the tests run on lacks: VLAN, ipvlan, dummy, SCTP. */
const COMPOSE = `
name: nets
services:
  a: &service
    image: busybox
    command: ["sleep", "1000"]
    init: true
    networks: [n]
  b: *service
networks:
  n:
    driver: DRIVER
    driver_opts: { parent: PARENT, OPTION: MODE }
    ipam: { config: [{ subnet: 10.50.0.0/24, gateway: 10.50.0.254 }] }
`;

/** A neighbour in a namespace of its own: untagged on 10.50.0.254, tagged with VLAN 10 on the same. */
const PRELUDE = `${ENGINE_PRELUDE}
inside() { tscompose -f /tmp/compose.yaml exec -T "$@"; }
kinds() { ls /sys/class/net; }
up() {
  sed "s/DRIVER/$1/; s/PARENT/$2/; s/OPTION/$3/; s/MODE/$4/" compose.yaml >/tmp/compose.yaml
  tscompose -f /tmp/compose.yaml up -d
}
down() { tscompose -f /tmp/compose.yaml down; }
`;

const SETUP = `
    /app/ip link add lan0 type veth peer name far0
    unshare --net sh -c 'echo $$ >/tmp/far; sleep 100000' </dev/null >/dev/null 2>&1 &
    sleep 1; far=$(cat /tmp/far)
    /app/ip link set far0 netns $far; /app/ip link set lan0 up
    nsenter -t $far -n /app/ip link set far0 up
    nsenter -t $far -n /app/ip link add link far0 name far0.10 type vlan id 10
    nsenter -t $far -n /app/ip link set far0.10 up
    api POST '/images/create?fromSrc=-&repo=busybox&tag=latest' /stack/busybox.tar`;

const scenarios: Record<string, string> = {
  'a host with a LAN': `tscompose ls${SETUP}`,
  'macvlan on a VLAN that is made and removed': `
    nsenter -t $(cat /tmp/far) -n /app/ip addr add 10.50.0.254/24 dev far0.10
    fails ls /sys/class/net/lan0.10
    up macvlan lan0.10 macvlan_mode bridge
    has /proc/net/vlan/lan0.10 'VID: 10'
    inside a ping -c 1 -w 5 10.50.0.254; inside a ping -c 1 -w 5 b
    down; fails ls /sys/class/net/lan0.10; ls /sys/class/net/lan0`,
  'ipvlan l2 shares the hardware address of the parent': `
    up ipvlan lan0.10 ipvlan_mode l2
    same "$(inside a cat /sys/class/net/eth0/address)" "$(cat /sys/class/net/lan0/address)"
    inside a ping -c 1 -w 5 10.50.0.254; inside b ping -c 1 -w 5 a
    inside a ip route >out; has out 'default via 10.50.0.254 dev eth0'
    down; fails ls /sys/class/net/lan0.10
    nsenter -t $(cat /tmp/far) -n /app/ip addr del 10.50.0.254/24 dev far0.10`,
  'ipvlan l3 has the link itself as the way out': `
    nsenter -t $(cat /tmp/far) -n /app/ip addr add 192.0.2.9/24 dev far0
    /app/ip addr add 192.0.2.1/24 dev lan0
    nsenter -t $(cat /tmp/far) -n /app/ip route replace 10.50.0.0/24 via 192.0.2.1
    for mode in l3 l3s; do
      up ipvlan lan0 ipvlan_mode $mode
      inside a ip route >out; has out 'default dev eth0'
      inside a ping -c 1 -w 5 192.0.2.9; inside a ping -c 1 -w 5 b
      down
    done
    nsenter -t $(cat /tmp/far) -n /app/ip route del 10.50.0.0/24
    ls /sys/class/net/lan0`,
  'ipvlan in mode private: not even each other': `
    nsenter -t $(cat /tmp/far) -n /app/ip addr add 10.50.0.254/24 dev far0
    up ipvlan lan0 ipvlan_flag private
    inside a ping -c 1 -w 5 10.50.0.254; fails inside a ping -c 1 -w 2 b
    down`,
  'without a parent: a dummy, and no way out': `
    for driver in macvlan ipvlan; do
      [ $driver = macvlan ] && net=10.51.0 || net=10.53.0
      api POST /networks/create '{"Name":"alone","Driver":"'$driver'","IPAM":{"Config":[{"Subnet":"'$net'.0/24"}]}}'
      api GET /networks/alone >net; has net '"Internal":true'
      kinds >links; has links tscm
      for name in one two; do
        api POST /containers/create?name=$name '{"Image":"busybox","Cmd":["sleep","1000"],"HostConfig":{"NetworkMode":"alone","Init":true}}'
        api POST /containers/$name/start
      done
      pid=$(api GET /containers/one/json | sed -n 's/.*"Pid":\\([0-9]*\\).*/\\1/p' | head -1)
      nsenter -t $pid -n ping -c 1 -w 5 $net.3
      nsenter -t $pid -n /app/ip route >out; lacks out default
      api DELETE '/containers/one?force=1'; api DELETE '/containers/two?force=1'
      api DELETE /networks/alone; kinds >links; lacks links tscm
    done`,
  'SCTP by the sockets of the kernel, in and out of a container': `
    api POST /networks/create '{"Name":"plain","IPAM":{"Config":[{"Subnet":"10.52.0.0/24"}]}}'
    api POST /containers/create?name=sctp '{"Image":"busybox","Cmd":["sleep","1000"],"ExposedPorts":{"80/sctp":{}},"HostConfig":{"NetworkMode":"plain","Init":true,"PortBindings":{"80/sctp":[{"HostPort":"9000"}]}}}'
    api POST /containers/sctp/start
    pid=$(api GET /containers/sctp/json | sed -n 's/.*"Pid":\\([0-9]*\\).*/\\1/p' | head -1)
    nsenter -t $pid -n /app/sctp serve 80 hello </dev/null >/dev/null 2>&1 &
    sleep 1
    same "$(/app/sctp ask 127.0.0.1 9000)" hello
    same "$(nsenter -t $(cat /tmp/far) -n /app/sctp ask 192.0.2.1 9000)" hello
    api GET /containers/sctp/json >shown; has shown '"80/sctp":[{"HostIp":"0.0.0.0","HostPort":"9000"}'`,
  'an SCTP port of another program is refused, and the program named': `
    /app/sctp serve 9001 mine </dev/null >/dev/null 2>&1 & sleep 1
    api POST /containers/create?name=late '{"Image":"busybox","Cmd":["sleep","1000"],"HostConfig":{"NetworkMode":"plain","PortBindings":{"80/sctp":[{"HostPort":"9001"}]}}}'
    fails api POST /containers/late/start >out; cat out; has out '0.0.0.0:9001/sctp is already used by sctp (process '
    api GET /containers/late/json >shown; has shown '"Status":"created"'
    fails /app/sctp serve 9000 taken 2>out; has out 'Address already in use'`,
};

const machine = await findMachine();
const report =
  'reason' in machine
    ? undefined
    : await runGuest(machine, {
        scenarios,
        prelude: PRELUDE,
        files: [
          ...(await engineFiles(COMPOSE)),
          hostFile(SCTP, '/app/sctp'),
          ...(await hostProgram('/usr/sbin/ip', '/app/ip')),
        ],
        modules: [...ENGINE_MODULES, 'macvlan', 'ipvlan', '8021q', 'sctp'],
        memoryMiB: 1536,
        deadlineMs: 560_000,
      });

describe.skipIf(!report)('networks on a kernel with VLAN, ipvlan, dummy and SCTP', () => {
  testScenarios(scenarios, report);
});
