import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { RUNTIME } from '../kit/bundle.ts';
import { workshopOfFile } from '../kit/workshop.ts';

const shop = workshopOfFile();

/**
 * F17: in a pid namespace of its own the next process id is decided, and a stranger gets the one that a dead container
 * had. Whatever is done to the container, nothing happens to him.
 */
test('a stranger with the process id of a dead container is left alone by every verb', async () => {
  const bundle = shop.bundle(['pause']);
  const script = join(shop.directory, 'recycle.sh');
  writeFileSync(
    script,
    `set -e
rt() { ${[RUNTIME, ...bundle.options].join(' ')} "$@"; }
cd ${bundle.directory}
rt create --pid-file pid ${bundle.id} >/dev/null 2>&1 </dev/null
rt start ${bundle.id}
pid=$(cat pid)
kill -9 $pid
while [ -e /proc/$pid ]; do wait; done
sleep 0.05
while :; do
  echo $((pid - 1)) >/proc/sys/kernel/ns_last_pid
  sleep 1000 &
  [ $! = $pid ] && break
  kill -9 $!
done
rt state ${bundle.id} | grep -q '"status": *"stopped"' && echo stopped
rt kill ${bundle.id} KILL 2>&1 || echo "kill refused"
rt kill --all ${bundle.id} KILL 2>&1 || true
rt exec ${bundle.id} /bin/payload id 2>&1 || echo "exec refused"
rt delete --force ${bundle.id} && echo deleted
[ "$(cat /proc/$pid/comm)" = sleep ] && echo "stranger alive"
kill -9 $pid
`,
  );
  // What the shell itself says of jobs it killed is of no interest.
  const { stdout } = await runProgram('/usr/bin/unshare', ['--pid', '--fork', '--mount-proc', '/bin/bash', script]);
  for (const line of ['stopped', 'kill refused', 'exec refused', 'deleted', 'stranger alive'])
    expect(stdout.split('\n')).toContain(line);
});
