import { describe, expect, it } from 'vitest';
import { createMemoryClient, type MemoryBehaviour } from '../client/index.ts';
import { type BringUpOptions, bringUp } from './bring-up.ts';
import { sampleProject } from './sample-project.contract.ts';

const OPTIONS: BringUpOptions = {
  services: [],
  noDeps: false,
  recreate: 'changed',
  removeOrphans: false,
  renewAnonymousVolumes: false,
  scale: new Map(),
  start: true,
  wait: false,
  images: { build: 'missing' },
};

async function up(text: string, behaviours: Record<string, MemoryBehaviour>, options: Partial<BringUpOptions> = {}) {
  const client = createMemoryClient(behaviours);
  const project = await sampleProject(`name: demo\nservices:\n${text}`);
  return { client, result: await bringUp(client, project, { ...OPTIONS, ...options }) };
}

const CHAIN = `
  web: { image: web, depends_on: { db: { condition: service_healthy } } }
  db: { image: db, healthcheck: { test: [CMD, check-db] } }
`;

describe('bringing a project up', () => {
  it('says that a foreign engine does not limit what a service reaches', async () => {
    const client = { ...createMemoryClient(), isOurs: () => Promise.resolve(false) };
    const project = await sampleProject('services: {web: {image: web, x-egress: [a.org]}}');
    await expect(bringUp(client, project, OPTIONS)).rejects.toMatchObject({
      code: 'stack/unsupported',
      message: expect.stringContaining('service web: x-egress'),
    });
    expect(client.records.acts).toEqual([]);
  });

  it('says that a foreign engine does not know an option of ours', async () => {
    const client = { ...createMemoryClient(), isOurs: () => Promise.resolve(false) };
    const option = '{driver_opts: {dev.tscompose.bridge.source_check: "true"}}';
    const project = await sampleProject(`services: {web: {image: web, networks: [n]}}\nnetworks: {n: ${option}}`);
    await expect(bringUp(client, project, OPTIONS)).rejects.toMatchObject({
      code: 'stack/unsupported',
      message: expect.stringContaining('dev.tscompose.bridge.source_check'),
    });
    expect(client.records.acts).toEqual([]);
  });

  it('replaces a container whose egress list changed, whoever made it', async () => {
    const client = createMemoryClient();
    const upWith = async (egress: string) =>
      bringUp(client, await sampleProject(`name: demo\nservices: {web: {image: web${egress}}}`), OPTIONS);
    const kinds = async (egress: string) => (await upWith(egress)).plan.operations.map(({ kind }) => kind);
    await upWith(', x-egress: [a.org]');
    expect(client.records.containers[0]?.spec.labels).toMatchObject({ 'dev.tscompose.egress': '["a.org"]' });
    expect(await kinds(', x-egress: [a.org]')).toEqual([]);
    expect(await kinds(', x-egress: [b.org]')).toContain('create-container');
    expect(await kinds(', x-egress: []')).toContain('create-container');
    expect(await kinds('')).toContain('create-container');
  });

  it('starts dependents after their dependency is healthy', async () => {
    const { client } = await up(CHAIN, {});
    expect(client.records.acts.filter((act) => act.startsWith('start'))).toEqual([
      'start demo-db-1',
      'start demo-web-1',
    ]);
  });

  it('is idempotent', async () => {
    const { client } = await up(CHAIN, {});
    const again = await bringUp(client, await sampleProject(`name: demo\nservices:\n${CHAIN}`), OPTIONS);
    expect(again.plan.operations.filter(({ kind }) => kind !== 'wait')).toEqual([]);
  });

  it.each<[string, string, Record<string, MemoryBehaviour>, Partial<BringUpOptions>, string, string]>([
    [
      'an unhealthy dependency',
      CHAIN,
      { db: { health: 'unhealthy', output: ['no disk'] } },
      {},
      'service db: container demo-db-1 is unhealthy; last probe (check-db) exited with 1: connection refused',
      'no disk',
    ],
    [
      'a dependency that ends',
      CHAIN,
      { db: { exitCode: 3, output: ['bad config'] } },
      {},
      'service db: container demo-db-1 exited with code 3; it had to be healthy',
      'bad config',
    ],
    [
      'a dependency without a healthcheck',
      CHAIN.replace(', healthcheck: { test: [CMD, check-db] }', ''),
      {},
      {},
      'service db has no healthcheck, and another one waits until it is healthy',
      'depend on service_started',
    ],
    [
      'a job that fails',
      '  web: { image: web, depends_on: { job: { condition: service_completed_successfully } } }\n  job: { image: job }',
      { job: { exitCode: 1, output: ['boom'] } },
      {},
      'service job: container demo-job-1 exited with code 1; it had to complete successfully',
      'boom',
    ],
    [
      'a port in use',
      '  web: { image: web, ports: ["80:80"] }',
      { web: { startError: 'cannot publish 0.0.0.0:80/tcp: address already in use' } },
      {},
      'service web: cannot start demo-web-1: cannot publish 0.0.0.0:80/tcp: address already in use',
      'publish another one',
    ],
    [
      'a missing image',
      '  web: { image: missing }',
      {},
      {},
      'service web: cannot pull image missing: no such image: missing',
      'check the name',
    ],
    [
      'a service that ends under --wait',
      '  web: { image: web }',
      { web: { exitCode: 127, output: ['sh: nope: not found'] } },
      { wait: true },
      'service web: container demo-web-1 exited with code 127 (command not found); it had to be ready',
      'nope: not found',
    ],
  ])('fails for %s', async (_name, text, behaviours, options, message, hint) => {
    const failure: Error & { hint?: string } = await up(text, behaviours, options).then(
      () => expect.unreachable(),
      (error: unknown) => error as Error,
    );
    expect(failure.message).toContain(message);
    expect(failure.hint).toContain(hint);
  });

  it('gives up at the deadline with the last probe', async () => {
    const client = createMemoryClient();
    client.records.images.clear();
    const project = await sampleProject(`name: demo\nservices:\n${CHAIN}`);
    // A probe that never ends: the state stays at starting.
    const stuck = {
      ...client,
      inspectContainer: async (id: string) => ({ ...(await client.inspectContainer(id)), health: 'starting' as const }),
    };
    await expect(bringUp(stuck, project, { ...OPTIONS, waitTimeout: 0.05 })).rejects.toMatchObject({
      code: 'stack/timeout',
      message: expect.stringContaining('demo-db-1 is not healthy after 0.05 s'),
    });
  });

  it('reports a service that ends at once although nothing waits for it', async () => {
    const { result } = await up('  web: { image: web }', { web: { exitCode: 2, output: ['oops'] } });
    expect(result.failures.map(({ message }) => message)).toEqual([
      'service web: container demo-web-1 exited with code 2; it ended right after its start',
    ]);
  });

  it('lets an optional dependency fail', async () => {
    const optional = CHAIN.replace('service_healthy }', 'service_healthy, required: false }');
    const { client } = await up(optional, { db: { health: 'unhealthy' } });
    expect(client.records.acts).toContain('start demo-web-1');
  });
});
