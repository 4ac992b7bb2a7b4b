import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { INSTANCE, type Member, NEIGHBOUR, World } from '../network-reach/world.ts';
import { startStream } from './stream.ts';

const NFT = '/usr/sbin/nft';
const TABLE = `inet ${INSTANCE}`;

describe('the firewall of a daemon that starts again', () => {
  let world: World;
  let web: Member;

  beforeAll(async () => {
    world = await World.make();
    await world.service.create({ name: 'front', enableIpv6: true });
    const ports = [{ containerPort: 80, protocol: 'tcp', hostPort: 8080 }] as const;
    web = await world.start('web', [{ network: 'front' }], ports);
    await world.start('other', [{ network: 'front' }], [{ containerPort: 80, protocol: 'tcp', hostPort: 8081 }]);
  });
  afterAll(() => world.close());

  const list = (...options: string[]) => world.host.run(NFT, ...options, 'list', 'table', 'inet', INSTANCE);
  /** Without the order of elements, which is the kernel's, nor the width of lines. */
  const content = async () => (await list()).split(/[\s,]+/).sort();
  const load = (script: string) => world.host.run('/bin/sh', '-c', `${NFT} -f - <<'END'\n${script}\nEND\n`);

  it('is not loaded again where it is right: no rule is new, no packet lost', async () => {
    const before = await list('-a');
    const stream = await startStream(world, web, world.neighbour, NEIGHBOUR);
    for (let start = 0; start < 5; start++) await world.restartService();
    expect(await stream.stop()).toMatchObject({ lost: 0 });
    expect(await list('-a')).toBe(before);
  });

  const CHANGES: readonly (readonly [string, string])[] = [
    ['a rule is missing', `flush chain ${TABLE} entering`],
    ['a rule is too much', `insert rule ${TABLE} guard accept`],
    ['a chain is too much', `add chain ${TABLE} more { type filter hook forward priority -5; policy accept; }`],
    ['a set is too much', `add set ${TABLE} more { type ipv4_addr; }`],
    ['elements are missing', `flush set ${TABLE} bridges\nflush set ${TABLE} subnets`],
    ['an element is too much', `add element ${TABLE} everywhere { tcp . 9999 : 172.31.0.2 . 80 }`],
    [
      'a port leads elsewhere',
      `flush map ${TABLE} everywhere\nadd element ${TABLE} everywhere { tcp . 8080 : 172.31.0.2 . 80 }`,
    ],
    [
      'rules and sets are those of another version',
      `flush chain ${TABLE} into_bridge\ndelete set ${TABLE} open6\nadd chain ${TABLE} more\nadd set ${TABLE} more { type ipv4_addr; }\nadd rule ${TABLE} passing ip saddr @more jump more`,
    ],
  ];

  it.each(CHANGES)('%s: put right with no packet lost on the way', async (_, script) => {
    const before = await content();
    const stream = await startStream(world, web, world.neighbour, NEIGHBOUR);
    // Nobody watches here: what is changed stays so until the start.
    await load(script);
    expect(await content()).not.toEqual(before);
    await world.restartService();
    expect(await content()).toEqual(before);
    const { answered, lost } = await stream.stop();
    expect([answered > 0, lost]).toEqual([true, 0]);
  });

  it.each([
    ['it is asleep', `add table ${TABLE} { flags dormant; }`],
    [
      'a set is of another type',
      `flush table ${TABLE}\ndelete set ${TABLE} open6\nadd set ${TABLE} open6 { type ipv4_addr; }`,
    ],
    [
      'a chain hangs elsewhere',
      `flush chain ${TABLE} entering\ndelete chain ${TABLE} entering\nadd chain ${TABLE} entering { type filter hook input priority 5; }`,
    ],
  ])('%s: a new one takes its place', async (_, script) => {
    const before = await content();
    await load(script);
    expect(await content()).not.toEqual(before);
    await world.restartService();
    expect(await content()).toEqual(before);
  });

  it('what others do between two watches is noticed by the next', async () => {
    while ((await world.service.watchFirewall()) !== 'quiet') await world.service.checkFirewall();
    await load(`flush chain ${TABLE} entering`);
    expect(await world.service.watchFirewall()).toBe('changed');
    expect(await world.service.checkFirewall()).toBe(true);
  });
});
