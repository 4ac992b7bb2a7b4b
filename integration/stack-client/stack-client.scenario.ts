import { afterAll, beforeAll } from 'vitest';
import { engineClientContract } from '../../src/client/engine-client.contract.ts';
import { type EngineClient, openEngine, parseEndpoint } from '../../src/client/index.ts';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';

// The client's contract holds on the real daemon as it does in memory.
let daemon: TestDaemon;
let client: EngineClient;

beforeAll(async () => {
  daemon = await startTestDaemon();
  await daemon.importBusybox();
  client = await openEngine(await parseEndpoint(daemon.host));
});

afterAll(async () => {
  client.close();
  await daemon.stop();
});

engineClientContract('daemon', { client: () => client, image: 'busybox:latest' });
