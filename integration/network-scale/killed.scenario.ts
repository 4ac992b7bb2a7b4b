import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { leftovers } from '../kit/ledger.ts';
import { blows, strike } from './killed.ts';

let daemon: TestDaemon;

beforeAll(async () => {
  daemon = await startTestDaemon();
  await daemon.importBusybox();
});
afterAll(async () => {
  expect(leftovers(await daemon.stop())).toEqual([]);
});

it('leaves nothing of networks, whenever daemon or keeper are killed', { timeout: 180_000 }, async () => {
  for (const blow of blows(12, Date.now())) expect([blow, await strike(daemon, blow)]).toEqual([blow, []]);
});
