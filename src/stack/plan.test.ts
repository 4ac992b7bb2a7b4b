import { describe, expect, it } from 'vitest';
import { createMemoryClient, type EngineClient, type MemoryBehaviour } from '../client/index.ts';
import { type BringUpOptions, bringUp } from './bring-up.ts';
import { executePlan } from './execute.ts';
import { observe } from './observe.ts';
import { formatPlan } from './plan.ts';
import { planDown, planStop } from './plan-down.ts';
import { planUp, type UpOptions } from './plan-up.ts';
import { sampleProject } from './sample-project.contract.ts';

const STACK = `
name: demo
services:
  web:
    image: web
    depends_on:
      db: { condition: service_healthy }
      migrate: { condition: service_completed_successfully }
    environment: { DEBUG: "1" }
    ports: ["8080:80"]
  db:
    image: db
    healthcheck: { test: [CMD, "true"] }
    volumes: ["data:/var/lib/db"]
  migrate:
    image: migrate
    depends_on: { db: { condition: service_healthy } }
volumes:
  data:
`;

const BEHAVIOURS: Record<string, MemoryBehaviour> = { migrate: { exitCode: 0 } };

const UP: UpOptions = {
  services: [],
  noDeps: false,
  recreate: 'changed',
  removeOrphans: false,
  renewAnonymousVolumes: false,
  scale: new Map(),
  start: true,
  wait: false,
};
const BRING_UP: BringUpOptions = { ...UP, images: { build: 'missing' } };

/** An engine on which the stack is up, and the plan of another `up` with other text or options. */
async function planAgain(text: string, options: Partial<UpOptions> = {}, first = STACK) {
  const client = createMemoryClient(BEHAVIOURS);
  await bringUp(client, await sampleProject(first), BRING_UP);
  const project = await sampleProject(text);
  const have = await observe(client, 'demo', project);
  const imageIds = new Map<string, string>();
  for (const [name, { image }] of project.services) {
    const id = (await client.inspectImage(image ?? ''))?.id;
    if (id) imageIds.set(name, id);
  }
  return {
    client,
    project,
    have,
    text: formatPlan(planUp({ project, have, imageIds, options: { ...UP, ...options } })),
  };
}

const SHARING = `
name: demo
services:
  owner: { image: a, hostname: one }
  side: { image: b, network_mode: "service:owner" }
`;

describe('a service that shares a namespace', () => {
  it('follows when the owner is replaced', async () => {
    const { text } = await planAgain(SHARING.replace('one', 'two'), {}, SHARING);
    expect(text).toContain('_demo-side-1 (shares a namespace of owner, which was replaced)');
  });

  it('follows when the owner was replaced by an earlier command', async () => {
    const { project, have } = await planAgain(SHARING, {}, SHARING);
    const containers = have.containers.map((item) => ({ ...item, created: item.service === 'owner' ? 2 : 1 }));
    const text = formatPlan(planUp({ project, have: { ...have, containers }, imageIds: new Map(), options: UP }));
    expect(text).toContain('_demo-side-1 (shares a namespace of owner, which was replaced)');
    expect(text).not.toContain('demo-owner-1 (');
  });

  it('stays while its owner stays, also when the owner gets more replicas', async () => {
    expect((await planAgain(SHARING, {}, SHARING)).text).toBe('');
    const { text } = await planAgain(SHARING, { scale: new Map([['owner', 2]]) }, SHARING);
    expect(text).not.toContain('side');
  });
});

describe('up', () => {
  it('creates in the order of the graph and waits for conditions', async () => {
    const client = createMemoryClient(BEHAVIOURS);
    const project = await sampleProject(STACK);
    const have = await observe(client, 'demo', project);
    expect(formatPlan(planUp({ project, have, imageIds: new Map(), options: UP }))).toMatchInlineSnapshot(`
      "#1: create-network demo_default (no such network)
      #2: create-volume demo_data (no such volume)
      #3 after 1,2: create-container demo-db-1 (no container)
      #4 after 3: start-container demo-db-1 (created)
      #5 after 1: create-container demo-migrate-1 (no container)
      #6 after 4: wait db service_healthy (migrate depends on it)
      #7 after 5,6: start-container demo-migrate-1 (created)
      #8 after 1: create-container demo-web-1 (no container)
      #9 after 4: wait db service_healthy (web depends on it)
      #10 after 7: wait migrate service_completed_successfully (web depends on it)
      #11 after 8,9,10: start-container demo-web-1 (created)"
    `);
  });

  it.each<[string, string, Partial<UpOptions>, string[]]>([
    [
      'changes nothing the second time (a finished job runs again)',
      STACK,
      {},
      ['start-container demo-migrate-1 (not running)'],
    ],
    [
      'names what changed in one service',
      STACK.replace('DEBUG: "1"', 'DEBUG: "2", MODE: x'),
      {},
      [
        'start-container demo-migrate-1 (not running)',
        'create-container <id>_demo-web-1 (environment.DEBUG changed, environment.MODE added)',
        'stop-container demo-web-1 (replaced)',
        'remove-container demo-web-1 (replaced)',
        'rename-container <id>_demo-web-1 to demo-web-1 (environment.DEBUG changed, environment.MODE added)',
        'start-container demo-web-1 (recreated)',
      ],
    ],
    [
      'keeps changed ones with --no-recreate',
      STACK.replace('"1"', '"2"'),
      { recreate: 'never', services: ['web'], noDeps: true },
      [],
    ],
    [
      'scales up with free numbers',
      STACK.replace('8080:80', '80'),
      { services: ['web'], noDeps: true, scale: new Map([['web', 3]]), recreate: 'never' },
      [
        'create-container demo-web-2 (scale up)',
        'start-container demo-web-2 (created)',
        'create-container demo-web-3 (scale up)',
        'start-container demo-web-3 (created)',
      ],
    ],
    [
      'scales down',
      STACK,
      { services: ['web'], noDeps: true, scale: new Map([['web', 0]]) },
      ['stop-container demo-web-1 (scale to 0)', 'remove-container demo-web-1 (scale to 0)'],
    ],
  ])('%s', async (_name, text, options, expected) => {
    const plan = await planAgain(text, options);
    const lines = plan.text
      .split('\n')
      .filter((line) => line !== '' && !line.includes(': wait '))
      .map((line) => line.replace(/^#\d+[^:]*: /, '').replace(/[0-9a-f]{12}_/g, '<id>_'));
    expect(lines).toEqual(expected);
  });

  it('settles a replacement that an earlier command did not finish', async () => {
    const changed = STACK.replace('DEBUG: "1"', 'DEBUG: "2"');
    const web = { services: ['web'], noDeps: true } as const;
    const lines = async (client: EngineClient) => {
      const project = await sampleProject(changed);
      const have = await observe(client, 'demo', project);
      const plan = planUp({ project, have, imageIds: new Map(), options: { ...UP, ...web } });
      return { plan, have, text: formatPlan(plan).replace(/[0-9a-f]{12}_/g, '<id>_') };
    };
    const { client } = await planAgain(changed, web);
    const first = await lines(client);
    const [create, stop, remove] = first.plan.operations.map((operation) => ({ ...operation, after: [] }));
    if (!create || !stop || !remove) throw new Error('the plan is shorter than it was');

    await executePlan({ client, plan: { project: 'demo', operations: [create] }, have: first.have });
    const both = await lines(client);
    expect(both.text.split('\n').slice(0, 3)).toEqual([
      '#1: remove-container <id>_demo-web-1 (an interrupted replacement)',
      '#2 after 1: create-container <id>_demo-web-1 (environment.DEBUG changed)',
      '#3 after 2: stop-container demo-web-1 (replaced)',
    ]);

    await executePlan({ client, plan: { project: 'demo', operations: [remove] }, have: first.have });
    const successor = await lines(client);
    expect(successor.text).toBe(
      '#1: rename-container <id>_demo-web-1 to demo-web-1 (an interrupted replacement)\n' +
        '#2 after 1: start-container demo-web-1 (not started yet)',
    );
    await executePlan({ client, ...successor });
    expect((await lines(client)).text).toBe('');
  });

  it('removes orphans only when asked, and says which there are', async () => {
    const smaller = STACK.replace(/ {2}migrate:\n {4}image[\s\S]*?(?=volumes:\n {2}data)/, '').replace(
      / {6}migrate:.*\n/,
      '',
    );
    expect((await planAgain(smaller)).text).not.toContain('migrate');
    const removing = await planAgain(smaller, { removeOrphans: true });
    expect(removing.text).toContain('remove-container demo-migrate-1 (service is not in the file)');
  });

  it('refuses a service that is not there', async () => {
    await expect(planAgain(STACK, { services: ['nope'] })).rejects.toMatchObject({ code: 'stack/not-found' });
  });
});

describe('down', () => {
  it('goes in reverse order and leaves nothing', async () => {
    const { client, project, have } = await planAgain(STACK);
    const plan = planDown(have, project, { services: [], removeOrphans: false, volumes: true, images: [] });
    expect(formatPlan(plan)).toMatchInlineSnapshot(`
      "#1: stop-container demo-web-1 (down)
      #2 after 1: remove-container demo-web-1 (down)
      #3 after 1: remove-container demo-migrate-1 (down)
      #4 after 1: stop-container demo-db-1 (down)
      #5 after 1,4: remove-container demo-db-1 (down)
      #6 after 2,3,5: remove-network demo_default (down)
      #7 after 2,3,5: remove-volume demo_data (--volumes)"
    `);
    await executePlan({ client, plan, have });
    expect([client.records.containers, client.records.networks, client.records.volumes]).toEqual([[], [], []]);
  });

  it('stops by labels alone', async () => {
    const { have } = await planAgain(STACK);
    expect(formatPlan(planStop(have, []))).toBe(
      '#1: stop-container demo-web-1 (stop)\n#2 after 1: stop-container demo-db-1 (stop)',
    );
  });
});
