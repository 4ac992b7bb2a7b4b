import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { runProgram } from '../../src/host/index.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const UNIFIED = '/sys/fs/cgroup/unified';
// Beside v1 hierarchies; where v2 is all there is, the kernel kills groups itself.
const isHybrid = readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${UNIFIED} `);

/** F17 without `cgroup.kill`: processes that fork and end all the time are killed by number, while the group is frozen. */
test.skipIf(!isHybrid)('a group of a v1 host that forks all the time is killed and removed', async () => {
  const group = `/tscompose-kill-${process.pid}`;
  const places = ['pids', 'freezer'].map((controller) => join('/sys/fs/cgroup', controller, group));
  const code = `
    import { killCgroup } from ${JSON.stringify(join(ROOT, 'src/host/index.ts'))};
    process.exit((await killCgroup(${JSON.stringify(group)})) ? 0 : 3);`;
  const script = `
    umount ${UNIFIED} || exit 9
    for place in ${places.join(' ')}; do mkdir $place || exit 8; done
    echo 200 >${places[0]}/pids.max
    for n in 1 2 3; do
      sh -c 'for place; do echo 0 >$place/cgroup.procs; done; while :; do sleep 0.02 & sleep 0.01; done' sh ${places.join(' ')} &
    done
    until [ $(wc -l <${places[0]}/cgroup.procs) -gt 5 ]; do :; done
    exec ${join(ROOT, 'src/launch/node')} --input-type=module-typescript --eval "$1"`;
  const args = ['--mount', '--propagation', 'private', '/bin/sh', '-c', script, 'sh', code];
  expect(await runProgram('/usr/bin/unshare', args, { cwd: ROOT })).toMatchObject({ status: 0 });
  expect(places.filter((place) => existsSync(place))).toEqual([]);
});
