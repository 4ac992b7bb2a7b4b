import type { Config } from '../kit/bundle.ts';
import { GuestScenarios } from './guest-bundles.ts';

/** The set-up where the kernel of the machine differs from the host: masks, overlays, what fails half-way. */
export const setup = new GuestScenarios();

setup.bundle('confined', ['status', 'mkdir', '/x', 'mount', '/proc'], (config) => {
  config.process.user = { uid: 1000, gid: 1001, additionalGids: [5], umask: 0o27 };
  config.process['capabilities'] = {
    bounding: ['CAP_CHOWN', 'CAP_KILL'],
    effective: ['CAP_CHOWN'],
    permitted: ['CAP_CHOWN'],
    inheritable: ['CAP_CHOWN'],
    ambient: ['CAP_CHOWN'],
  };
  config.linux['seccomp'] = {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 95 }],
  };
});
setup.add(
  'capabilities, ids, no_new_privs and the system call filter',
  `use confined; run; sed 's/\\t/ /g' out >flat
  for line in 'Uid: 1000 1000 1000 1000' 'Gid: 1001 1001 1001 1001' 'Umask: 0027' 'CapPrm: 0000000000000001' \\
    'CapBnd: 0000000000000021' 'CapAmb: 0000000000000001' 'NoNewPrivs: 1' 'Seccomp: 2' 'Seccomp_filters: 1' \\
    'mkdir: Operation not supported' 'mount: Operation not permitted'; do has flat "$line"; done; gone`,
);

setup.bundle('masked', [
  'cat',
  '/proc/kcore',
  'cat',
  '/proc/keys',
  'write',
  '/proc/sysrq-trigger',
  'h',
  'ls',
  '/sys/firmware',
]);
setup.add(
  'masked and read-only paths that this kernel has',
  `use masked; test -s /proc/kcore; test -e /proc/sysrq-trigger; run; same $status 0
  same "$(cat out)" 'write /proc/sysrq-trigger: Read-only file system'; gone`,
);

const layers = ['top:1', 'mid,2', 'low\\3'].map((name) => `/tmp/ovl/${name}`);
const overlay = (lower: readonly string[], writable: boolean) => (config: Config) => {
  const dirs = writable ? { upper: '/tmp/ovl/up per', work: '/tmp/ovl/work' } : {};
  config.annotations['dev.tscompose.overlay'] = JSON.stringify({ lower, ...dirs });
};
const LAYERS = `mkdir -p '/tmp/ovl/up per' /tmp/ovl/work; for l in 'top:1' 'mid,2' 'low\\3'; do
  mkdir -p "/tmp/ovl/$l/bin"; echo "from $l" >"/tmp/ovl/$l/same"; done; cp /bin/payload '/tmp/ovl/low\\3/bin/'`;
setup.bundle('overlay', ['cat', '/same', 'write', '/new', 'kept', 'mounts'], overlay(layers, true));
setup.add(
  'the overlay is mounted without layer-by-layer options, whatever its names are',
  `${LAYERS}; use overlay; run; same $status 0; same "$(cat err)" ''; has out 'from top:1'; has out 'write /new: ok'
  lacks out /tmp/ovl; same "$(cat '/tmp/ovl/up per/new')" kept; gone`,
);

setup.bundle('overlay-ro', ['cat', '/same', 'write', '/new', 'kept'], (config) => {
  config.root.readonly = true;
  overlay(layers, false)(config);
});
setup.add(
  'an overlay without an upper directory is read-only',
  `${LAYERS}; for d in proc dev sys; do mkdir -p "/tmp/ovl/low\\3/$d"; done
  use overlay-ro; run; cat err; same $status 0; has out 'write /new: Read-only file system'; gone`,
);

const many = Array.from({ length: 60 }, (_, index) => `/tmp/many/${String(index).padStart(3, '0')}${'x'.repeat(61)}`);
setup.bundle('many', ['cat', '/last'], overlay(many, false));
setup.bundle('too-many', ['cat', '/last'], overlay([...many, ...many.map((path) => `${path}y`)], false));
setup.add(
  'sixty layers with the names of digests fit, more are refused by name',
  `mkdir /tmp/many; cd /tmp/many; for n in $(seq 0 59); do d=$(printf '%03d${'x'.repeat(61)}' $n); mkdir -p $d $d''y; done
  mkdir $d/bin $d/proc $d/dev $d/sys; cp /bin/payload $d/bin/; echo deepest >$d/last
  use many; run; cat err; same "$(cat out)" deepest; gone
  use too-many; run; same $status 1; has err 'Linux 6.7'; gone`,
);

setup.bundle('bad-mount', ['true'], (config) => {
  config.mounts.push({ destination: '/data', type: 'bind', source: '/not/there', options: ['bind'] });
});
setup.bundle('bad-limit', ['true'], (config) => {
  config.linux.resources = { unified: { 'memory.nonsense': '1' } };
});
setup.bundle('bad-value', ['true'], (config) => {
  config.linux.resources = { cpu: { quota: 1, period: 100_000 } };
});
setup.bundle('bad-program', ['true'], (config) => {
  config.process.args = ['/bin/absent'];
});
setup.add(
  'a create that fails leaves nothing',
  `for b in bad-mount:/not/there bad-limit:memory.nonsense bad-value:cpu.max bad-program:absent; do
    use \${b%%:*}; run; test $status -ne 0; has err \${b#*:}; gone
  done
  same "$(ls /run/rt)" ''`,
);
