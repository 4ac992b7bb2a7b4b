import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { ENGINE_MODULES, ENGINE_PRELUDE, engineFiles } from './engine-guest.ts';
import { testScenarios } from './guest-tests.ts';
import { findMachine, type GuestReport, runGuest } from './vm.ts';

/** The machine loses its power while a stack runs, and boots again from the same disk. */
const service = (restart: string, port: number) => `
    image: busybox
    restart: ${restart}
    command: ["sh", "-c", "mkdir -p /www; date +%s%N >>/www/index.html; exec httpd -f -p 80 -h /www"]
    ports: ["127.0.0.1:${port}:80"]
    volumes: ["v${port}:/data"]`;
const COMPOSE = `
name: shop
services:
  always:${service('always', 8080)}
  stopped:${service('unless-stopped', 8081)}
  once:${service('"no"', 8082)}
volumes: { v8080: {}, v8081: {}, v8082: {} }
`;

const BEFORE = 'the stack runs, one service is stopped by hand';
const before = {
  [BEFORE]: `
    tscompose ls; api POST '/images/create?fromSrc=-&repo=busybox&tag=latest' /stack/busybox.tar
    tscompose up -d --wait; tscompose exec -T always sh -c 'echo kept >/data/file; sync'
    wget -q -O- http://127.0.0.1:8080/; tscompose stop -t 1 stopped; tscompose ps -a`,
};
const after = {
  'the engine comes back with every container': `
    tscompose ls; tscompose ps -a >ps; cat ps; same "$(grep -c shop- ps)" 3; api GET /images/json >images; has images busybox:latest`,
  'restart policies are kept': `
    for n in 1 2 3 4 5 6 7 8 9 10; do api GET /containers/shop-always-1/json >always; grep -q '"Running":true' always && break; sleep 1; done
    has always '"Running":true'; api GET /containers/shop-stopped-1/json >stopped; has stopped '"Running":false'
    api GET /containers/shop-once-1/json >once; has once '"Running":false'`,
  'what was restarted serves, with its volume and its root file system': `
    same "$(wget -q -O- http://127.0.0.1:8080/ | wc -l)" 2; same "$(tscompose exec -T always cat /data/file)" kept
    fails timeout 2 wget -q -O- http://127.0.0.1:8081/`,
  'the image still verifies, and up finds everything in place': `
    tscompose up -d --wait; wget -q -O- http://127.0.0.1:8081/; wget -q -O- http://127.0.0.1:8082/
    tscompose down -v -t 1; api GET /volumes >volumes; lacks volumes shop_`,
};

const SETUP =
  'mkdir -p /var/lib/tscompose; mount -t ext4 /dev/vda /var/lib/tscompose; df /var/lib/tscompose; rm -rf /var/lib/tscompose/lost+found';

async function cutAndBoot(): Promise<GuestReport[]> {
  const machine = await findMachine();
  if ('reason' in machine) return [];
  const directory = mkdtempSync('/tmp/tsc-vm-disk-');
  try {
    const disk = join(directory, 'disk');
    const made = await runProgram('/usr/sbin/mkfs.ext4', ['-q', disk, '256M']);
    if (made.status !== 0) throw new Error(`cannot make a file system: ${made.stderr}`);
    const common = {
      files: await engineFiles(COMPOSE),
      prelude: ENGINE_PRELUDE,
      setup: SETUP,
      modules: [...ENGINE_MODULES, 'virtio_pci', 'virtio_blk'],
      memoryMiB: 1536,
      deadlineMs: 600_000,
      disk,
    };
    const first = await runGuest(machine, { ...common, scenarios: before, cutAfter: BEFORE });
    return [first, await runGuest(machine, { ...common, scenarios: after })];
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const reports = await cutAndBoot();

describe.skipIf(reports.length === 0)('after a power cut', () => {
  testScenarios(before, reports[0]);
  testScenarios(after, reports[1]);
});
