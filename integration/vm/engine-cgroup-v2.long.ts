import { describe } from 'vitest';
import { ENGINE_MODULES, ENGINE_PRELUDE, engineFiles } from './engine-guest.ts';
import { testScenarios } from './guest-tests.ts';
import { findMachine, runGuest } from './vm.ts';

/** Command and daemon as they are shipped, on a host with cgroup v2, AppArmor and Linux 6.1. */
const COMPOSE = `
name: shop
services:
  web:
    image: busybox
    init: true
    command: ["sh", "-c", "mkdir -p /www; echo page >/www/index.html; exec httpd -f -p 80 -h /www"]
    ports: ["127.0.0.1:8080:80", "8081:80"]
    mem_limit: 32m
    cpus: 0.5
    pids_limit: 20
    healthcheck: { test: ["CMD", "wget", "-q", "-O-", "http://127.0.0.1/"], interval: 1s, timeout: 20s, retries: 20 }
  client:
    image: busybox
    command: ["sh", "-c", "wget -q -O- http://web/ && exec sleep 1000"]
    depends_on: { web: { condition: service_healthy } }
  hog:
    image: busybox
    profiles: [hog]
    command: ["sh", "-c", "exec tail /dev/zero"]
    mem_limit: 16m
`;

const scenarios: Record<string, string> = {
  'the daemon starts and imports an image': `
    tscompose ls
    api POST '/images/create?fromSrc=-&repo=busybox&tag=latest' /stack/busybox.tar
    api GET /info >info; has info '"CgroupVersion":"2"'; has info '6.1.0'; cat info | tr ',' '\\n' | grep -i -A4 warn || true`,
  'a stack comes up, healthy, with a published port and names': `
    tscompose up -d --wait; tscompose ps
    same "$(wget -q -O- http://127.0.0.1:8080/)" page; same "$(wget -q -O- http://127.0.0.1:8081/)" page
    tscompose logs client >log; has log page
    api GET '/containers/shop-web-1/json' >web; sed -n 's/.*"Id":"\\([0-9a-f]*\\)".*/\\1/p' web | head -1 >/tmp/web-id
    test -n "$(cat /tmp/web-id)"`,
  'its limits are in its cgroup': `
    cd $(group)
    same "$(cat memory.max)" $((32 << 20)); same "$(cat memory.swap.max)" $((32 << 20)); same "$(cat cpu.max)" "50000 100000"
    same "$(cat pids.max)" 20`,
  'stats and top read cgroup v2': `
    api GET '/containers/shop-web-1/stats?stream=false&one-shot=true' >stats; cat stats
    grep -q '"usage":[1-9]' stats; has stats '"limit":33554432'; grep -q '"total_usage":[1-9]' stats
    tscompose top web >top; has top httpd`,
  'exec, pause, update': `
    same "$(tscompose exec -T web cat /proc/self/cgroup)" 0::/
    api POST /containers/shop-web-1/pause; has $(group)/cgroup.events 'frozen 1'
    fails timeout 2 wget -q -O- http://127.0.0.1:8080/
    api POST /containers/shop-web-1/unpause; same "$(wget -q -O- http://127.0.0.1:8080/)" page
    api POST /containers/shop-web-1/update '{"Memory":50331648,"MemorySwap":100663296,"PidsLimit":30,"NanoCpus":250000000}'
    same "$(cat $(group)/memory.max)" 50331648; same "$(cat $(group)/memory.swap.max)" 50331648
    same "$(cat $(group)/pids.max)" 30; same "$(cat $(group)/cpu.max)" '25000 100000'`,
  'an out-of-memory kill is told': `
    fails tscompose --profile hog up -d --wait --no-deps hog 2>up; has up '137 (killed: out of memory)'
    api GET /containers/shop-hog-1/json >hog; has hog '"OOMKilled":true'`,
  'an exec that takes too much memory is told while its container goes on': `
    api POST '/containers/create?name=tight' '{"Image":"busybox","Cmd":["sleep","1000"],"HostConfig":{"Memory":16777216,"MemorySwap":16777216}}'
    api POST /containers/tight/start; api POST /containers/tight/exec '{"Cmd":["tail","/dev/zero"],"AttachStdout":true}' >exec; cat exec
    e=$(sed -n 's/.*"Id":"\\([0-9a-f]*\\)".*/\\1/p' exec); api POST /exec/$e/start '{"Detach":false}' >/dev/null; sleep 1
    api GET /containers/tight/json >tight; has tight '"OOMKilled":true'; has tight '"Status":"running"'`,
  'a monitor has few rights, and the loss of one ends its container': `
    p=$(sed -n 's/.*"Pid":\\([0-9]*\\).*/\\1/p' tight | head -1); m=$(sed -n 's/^PPid:[^0-9]*//p' /proc/$p/status); cat /proc/$m/status
    same "$(cat /proc/$m/comm)" tsc-monitor; grep -q '^CapEff:.*0000000000000022$' /proc/$m/status; grep -q '^Seccomp:.*2$' /proc/$m/status
    same "$(cat /proc/$m/oom_score_adj)" -500; same "$(cat /proc/$p/oom_score_adj)" 0; same "$(tscompose exec -T web cat /proc/self/oom_score_adj)" 0
    kill -9 $m; sleep 2; fails test -e /proc/$p; api GET /containers/tight/json >tight; has tight '"ExitCode":255'; has tight 'monitor lost'
    api DELETE /containers/tight`,
  'the stack outlives a killed daemon': `
    api GET /tscompose/info >info; old=$(sed -n 's/.*"pid":\\([0-9]*\\).*/\\1/p' info); kill -9 $old; sleep 1
    same "$(wget -q -O- http://127.0.0.1:8080/)" page; tscompose ps >ps; has ps healthy
    api GET /tscompose/info >info; lacks info ""pid":$old,"`,
  'a container that divides its cgroup is entered, stopped and removed with all below': `
    api POST '/containers/create?name=nest' '{"Image":"busybox","HostConfig":{"Privileged":true},"Cmd":["sh","-c","mkdir /sys/fs/cgroup/in && echo 0 >/sys/fs/cgroup/in/cgroup.procs && echo +memory >/sys/fs/cgroup/cgroup.subtree_control; echo made; exec sleep 1000"]}'
    api POST /containers/nest/start; sleep 2
    api GET /containers/nest/json >nest; id=$(sed -n 's/.*"Id":"\\([0-9a-f]*\\)".*/\\1/p' nest | head -1); ls -d /sys/fs/cgroup/tscompose-tsc/$id/in
    api GET /containers/nest/top >top; cat top; has top 'sleep 1000'
    api POST /containers/nest/exec '{"Cmd":["cat","/proc/self/cgroup"],"AttachStdout":true,"AttachStderr":true}' >exec; cat exec
    e=$(sed -n 's/.*"Id":"\\([0-9a-f]*\\)".*/\\1/p' exec); api POST /exec/$e/start '{"Detach":false}' >out; tr -d '\\0\\r' <out >text; has text 0::/in
    api DELETE '/containers/nest?force=1'; fails test -e /sys/fs/cgroup/tscompose-tsc/$id`,
  'down leaves nothing': `
    tscompose --profile hog down -t 1 -v; ls /sys/fs/cgroup/tscompose-tsc 2>/dev/null | grep -E '^[0-9a-f]{64}' && exit 1
    ip link show >links; fails grep -E 'tscv|tsc-[0-9a-f]{7}:' links; fails timeout 2 wget -q -O- http://127.0.0.1:8080/
    fails grep overlay /proc/self/mountinfo`,
};

const machine = await findMachine();
const report =
  'reason' in machine
    ? undefined
    : await runGuest(machine, {
        scenarios,
        files: await engineFiles(COMPOSE),
        prelude: ENGINE_PRELUDE,
        setup: 'ip addr; mkdir -p /var/lib /run; echo 1 >/proc/sys/net/ipv4/ip_forward',
        modules: ENGINE_MODULES,
        memoryMiB: 1536,
        deadlineMs: 600_000,
      });

describe.skipIf(!report)('the engine on cgroup v2, Linux 6.1', () => {
  testScenarios(scenarios, report);
});
