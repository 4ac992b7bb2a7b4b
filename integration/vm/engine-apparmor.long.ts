import { describe } from 'vitest';
import { peer } from '../kit/peers.ts';
import { ENGINE_MODULES, ENGINE_PRELUDE, engineFiles } from './engine-guest.ts';
import { testScenarios } from './guest-tests.ts';
import { hostProgram } from './initramfs.ts';
import { findMachine, runGuest } from './vm.ts';

/** What the engine does with AppArmor where it is active. */
const COMPOSE = `
name: guarded
services:
  plain:
    image: busybox
    command: ["sleep", "1000"]
`;

const create = (name: string, host: string) => `
    api POST '/containers/create?name=${name}' '{"Image":"busybox","Cmd":["sleep","1000"],"HostConfig":{${host}}}'
    api POST /containers/${name}/start
    api GET /containers/${name}/json >${name}; p=$(sed -n 's/.*"Pid":\\([0-9]*\\).*/\\1/p' ${name} | head -1)`;

/** The words run inside, their output in `out`. */
const inside = (name: string, words: readonly string[], more = '') => `
    api POST /containers/${name}/exec '{"Cmd":${JSON.stringify(words)},"AttachStdout":true,"AttachStderr":true${more}}' >exec
    api POST /exec/$(sed -n 's/.*"Id":"\\([0-9a-f]*\\)".*/\\1/p' exec)/start '{"Detach":false}' | tr -d '\\0\\r' >out; cat out`;

const LABEL = ['cat', '/proc/self/attr/apparmor/current'];

const scenarios: Record<string, string> = {
  'the daemon loads its profile and says so': `
    tscompose ls
    api POST '/images/create?fromSrc=-&repo=busybox&tag=latest' /stack/busybox.tar
    api GET /info >info; has info name=apparmor; lacks info 'without AppArmor'
    has /sys/kernel/security/apparmor/profiles 'tscompose-default (enforce)'`,
  'a container has it by default, also what is executed in it': `
    tscompose up -d; api GET /containers/guarded-plain-1/json >plain
    has plain '"AppArmorProfile":"tscompose-default"'
    has /proc/$(sed -n 's/.*"Pid":\\([0-9]*\\).*/\\1/p' plain | head -1)/attr/apparmor/current 'tscompose-default (enforce)'
    tscompose exec -T plain cat /proc/self/attr/apparmor/current >out; has out 'tscompose-default (enforce)'`,
  'it lets ordinary work be': `
    tscompose exec -T plain sh -c 'echo x >/tmp/x && cat /tmp/x /etc/passwd && mkfifo /tmp/p && ln -s x /tmp/y && chown 1:1 /tmp/x'
    tscompose exec -T plain sh -c 'sleep 100 & kill $! && ping -c1 127.0.0.1 && wget -q -O- http://127.0.0.1/ || true; echo done' >out; has out done
    tscompose exec -T plain sh -c 'echo 1 >/proc/self/oom_score_adj && cat /proc/sys/kernel/hostname && echo fine' >out; has out fine`,
  'it holds where capabilities and mounts would not': `
    ${create('strong', '"CapAdd":["ALL"],"SecurityOpt":["seccomp=unconfined"],"ReadonlyPaths":[],"MaskedPaths":[]')}
    ${inside('strong', ['mount', '-t', 'tmpfs', 'x', '/tmp'])}; has out 'ermission denied'
    ${inside('strong', ['sh', '-c', 'echo x >/proc/sys/kernel/core_pattern'])}; has out 'ermission denied'
    ${inside('strong', ['sh', '-c', 'echo 1 >/proc/sys/vm/drop_caches'])}; has out 'ermission denied'
    ${inside('strong', ['sh', '-c', 'echo b >/proc/sysrq-trigger'])}; has out 'ermission denied'
    ${inside('strong', ['head', '-c1', '/proc/kcore'])}; has out 'ermission denied'
    ${inside('strong', ['sh', '-c', 'echo 4097 >/proc/sys/kernel/msgmax && cat /proc/sys/kernel/msgmax'])}; has out 4097
    api DELETE '/containers/strong?force=1'`,
  'signals and stop reach the container': `
    api POST '/containers/guarded-plain-1/kill?signal=KILL'; sleep 1; api GET /containers/guarded-plain-1/json >plain
    has plain '"ExitCode":137'`,
  'another profile, or none, as asked': `
    echo 'profile mine flags=(attach_disconnected) { file, signal, }' | apparmor_parser --replace --skip-cache
    ${create('own', '"SecurityOpt":["apparmor=mine"]')}
    has own '"AppArmorProfile":"mine"'; has /proc/$p/attr/apparmor/current 'mine (enforce)'
    ${inside('own', LABEL)}; has out 'mine (enforce)'
    ${create('free', '"SecurityOpt":["apparmor=unconfined"]')}; has /proc/$p/attr/apparmor/current unconfined
    ${create('all', '"Privileged":true')}; has /proc/$p/attr/apparmor/current unconfined
    for c in own free all; do api DELETE "/containers/$c?force=1"; done`,
  'one that is not loaded is refused at the start': `
    api POST '/containers/create?name=lost' '{"Image":"busybox","Cmd":["true"],"HostConfig":{"SecurityOpt":["apparmor=nowhere"]}}'
    fails api POST /containers/lost/start >out; has out 'AppArmor profile nowhere: it is not loaded'; api DELETE /containers/lost`,
};

const machine = await findMachine();
const parser = await peer('apparmor-parser');
const report =
  'reason' in machine || 'reason' in parser
    ? undefined
    : await runGuest(machine, {
        scenarios,
        prelude: ENGINE_PRELUDE,
        files: [...(await engineFiles(COMPOSE)), ...(await hostProgram(parser.path, '/sbin/apparmor_parser'))],
        modules: ENGINE_MODULES,
        memoryMiB: 1536,
        deadlineMs: 290_000,
      });

describe.skipIf(!report)('the engine on a host with AppArmor', () => {
  testScenarios(scenarios, report);
});
