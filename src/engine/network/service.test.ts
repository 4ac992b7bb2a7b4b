import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { newObjectId } from '../../host/index.ts';
import type { KeeperPort } from './keeper-port.ts';
import { createNetworkService } from './service.ts';

/** A keeper of a host without anything; `nft` answers for that program. */
function fakeKeeper(nft: (args: readonly string[], script: string) => Promise<number>): KeeperPort {
  const nothing = async () => undefined;
  const fake: Partial<KeeperPort> = {
    async run({ file, args, stdin }) {
      if (file !== undefined) return { status: await nft(args, stdin ?? ''), stdout: '', stderr: '' };
      return { status: 0, stdout: '{"links":[],"addresses":[],"routes":[],"changed":false}', stderr: '' };
    },
    list: async () => ({ sandboxes: [], ports: [] }),
    createSandbox: async () => ({ path: '/somewhere' }),
    removeSandbox: nothing,
    publishNames: nothing,
    publishZone: nothing,
  };
  return fake as KeeperPort;
}

it('a firewall that is put right while the daemon goes is gone afterwards', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tsc-service-'));
  const looked = Promise.withResolvers<number>();
  const scripts: string[] = [];
  const keeper = fakeKeeper(async (args, script) => {
    if (args[0] === '-f') return scripts.push(script) * 0;
    return args.join(' ') === '-t list table inet tsc' ? looked.promise : 1;
  });
  const service = createNetworkService({ keeper, instance: 'tsc', dataDirectory: directory });
  await service.recover();
  await service.create({ name: 'front' });
  const containerId = newObjectId();
  await service.prepare({ containerId, name: 'web', endpoints: [{ network: 'front' }] });
  await service.openSandbox(containerId);
  await service.release(containerId);
  const check = service.checkFirewall();
  const end = service.dismantle();
  // Time for the end to overtake the look, if it may.
  for (let count = 0; count < 50; count += 1) await turn();
  looked.resolve(1);
  await Promise.all([check, end]);
  expect(scripts.at(-1)).toBe('table inet tsc\ndelete table inet tsc\n');
  await rm(directory, { recursive: true, force: true });
});
