import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { startTestDaemon } from '../kit/daemon.ts';
import { until } from '../kit/keeper.ts';
import { HOST, INSTANCE, type Member, NEIGHBOUR, NEIGHBOUR_6, World } from '../network-reach/world.ts';
import { guard } from './guard.ts';

const IP = '/usr/sbin/ip';
const NFT = '/usr/sbin/nft';

/** Knocks at ADDRESS:PORT every few milliseconds and prints the time of every time it is let in. */
const KNOCK = `
const [address, port] = process.argv.slice(1);
setInterval(() => {
  const socket = require('node:net').connect({ host: address, port: Number(port) });
  const give_up = setTimeout(() => socket.destroy(), 200);
  socket.on('connect', () => console.log(Date.now())).on('error', () => {}).on('close', () => clearTimeout(give_up));
}, 5);
console.log('ready');
`;

describe('a firewall that others reload', () => {
  let world: World;
  let web: Member;
  let other: Member;
  let guardian: ReturnType<typeof guard>;

  beforeAll(async () => {
    world = await World.make();
    await world.service.create({ name: 'front', enableIpv6: true });
    await world.service.create({ name: 'back' });
    await world.serve('neighbour', world.neighbour, 7000);
    const ports = [{ containerPort: 80, protocol: 'tcp', hostPort: 8080 }] as const;
    web = await world.start('web', [{ network: 'front' }], ports);
    other = await world.start('other', [{ network: 'back' }]);
    await world.neighbour.run(IP, 'route', 'add', world.service.inspect('front').pool?.subnet ?? '', 'via', HOST);
    guardian = guard(world);
  });
  afterAll(async () => {
    await guardian.stop();
    await world.close();
  });

  /** Times at which somebody was let in who should not be, during `act` and until the table is whole again. */
  async function leaks(act: () => Promise<unknown>) {
    const knockers = [
      await world.spawn(world.neighbour, process.execPath, '-e', KNOCK, web.address, '80'),
      await world.spawn(other, process.execPath, '-e', KNOCK, web.address, '80'),
    ];
    const times: number[] = [];
    for (const knocker of knockers)
      knocker.stdout?.on('data', (text) => times.push(...String(text).trim().split('\n').map(Number)));
    const before = guardian.repairs.length;
    const from = Date.now();
    await act();
    await until('the table is back', async () => guardian.repairs.length > before);
    const to = guardian.repairs.at(-1) ?? 0;
    // Whoever is still let in gets time to be.
    expect(await world.neighbour.probe('tcp', web.address, 80)).toBe('timeout');
    for (const knocker of knockers) knocker.kill('SIGKILL');
    return {
      tookMs: to - from,
      early: times.filter((at) => at < from),
      late: times.filter((at) => at > to + 50),
      let_in: times.length,
    };
  }

  const ATTACKS: readonly (readonly [string, readonly string[]])[] = [
    ['flush ruleset', ['flush', 'ruleset']],
    ['our table deleted', ['delete', 'table', 'inet', INSTANCE]],
    ['our rules flushed, the chains left', ['flush', 'table', 'inet', INSTANCE]],
    ['our table put to sleep', ['add', 'table', 'inet', INSTANCE, '{ flags dormant; }']],
    ['one chain flushed', ['flush', 'chain', 'inet', INSTANCE, 'guard']],
  ];

  it.each(ATTACKS)('N03: %s: back within two seconds, shut before and after', async (_, words) => {
    const seen = await leaks(() => world.host.run(NFT, ...words));
    process.stderr.write(
      `note: ${words.join(' ')}: restored after ${seen.tookMs} ms, ${seen.let_in} connections let in meanwhile\n`,
    );
    expect(seen.early).toEqual([]);
    expect(seen.late).toEqual([]);
    expect(seen.tookMs).toBeLessThan(2000);
    expect(await world.neighbour.probe('tcp', HOST, 8080)).toBe(`web saw ${NEIGHBOUR}`);
    expect(await other.probe('tcp', NEIGHBOUR, 7000)).toBe(`neighbour saw ${HOST}`);
  });

  it('our own changes are no alarm', async () => {
    const before = guardian.repairs.length;
    const late = await world.start(
      'late',
      [{ network: 'back' }],
      [{ containerPort: 80, protocol: 'tcp', hostPort: 8090 }],
    );
    await world.service.release(late.id);
    expect(guardian.repairs.length).toBe(before);
  });

  it('F48: FORWARD with policy drop and a DOCKER-USER that comes late, both families', async () => {
    const tables = (family: string) => `
table ${family} filter {
  chain DOCKER-USER { counter comment "of the administrator"; }
  chain FORWARD { type filter hook forward priority filter; policy drop; jump DOCKER-USER; }
}
`;
    await world.host.run('/bin/sh', '-c', `${NFT} -f - <<'END'\n${tables('ip')}${tables('ip6')}END\n`);
    await until(
      'the way is open again',
      async () => (await web.probe('tcp', NEIGHBOUR, 7000)) === `neighbour saw ${HOST}`,
    );
    expect(await web.probe('tcp', NEIGHBOUR_6, 7000)).toMatch(/^neighbour saw /);
    expect(await world.neighbour.probe('tcp', HOST, 8080)).toBe(`web saw ${NEIGHBOUR}`);
    // The rule that stands for all bridges does not stand for one that was named.
    await world.service.create({ name: 'named', options: { 'com.docker.network.bridge.name': 'mybridge' } });
    const named = await world.start('named', [{ network: 'named' }]);
    expect(await named.probe('tcp', NEIGHBOUR, 7000)).toBe(`neighbour saw ${HOST}`);
    // What our own table closes stays closed.
    expect(await world.neighbour.probe('tcp', web.address, 80)).toBe('timeout');
    expect(await other.probe('tcp', web.address, 80)).toBe('timeout');
  });

  it('F48: DOCKER-USER flushed by a reload of theirs', async () => {
    await world.host.run(NFT, 'flush', 'chain', 'ip', 'filter', 'DOCKER-USER');
    await until(
      'the way is open again',
      async () => (await web.probe('tcp', NEIGHBOUR, 7000)) === `neighbour saw ${HOST}`,
    );
  });

  it('ufw: the line to type is told while it stands in the way, and is the right one', async () => {
    const nft = (text: string) => world.host.run('/bin/sh', '-c', `${NFT} -f - <<'END'\n${text}\nEND\n`);
    expect(await world.service.advice()).toEqual([]);
    // A hook of its own after Docker's, with what ufw has in FORWARD.
    await nft(`add chain ip filter ufw-user-forward
      add rule ip filter FORWARD jump ufw-user-forward
      flush chain ip filter DOCKER-USER`);
    expect(await world.service.advice()).toEqual([
      expect.stringContaining(`ufw route allow in on ${INSTANCE}-+ && ufw route allow out on ${INSTANCE}-+`),
    ]);
    // What these two commands put there.
    await nft(`add rule ip filter ufw-user-forward iifname "${INSTANCE}-*" counter accept
      add rule ip filter ufw-user-forward oifname "${INSTANCE}-*" counter accept`);
    expect(await world.service.advice()).toEqual([]);
    expect(await web.probe('tcp', NEIGHBOUR, 7000)).toBe(`neighbour saw ${HOST}`);
  });

  it('takes its rules out of DOCKER-USER in the end and leaves those of others', async () => {
    await world.host.run(
      NFT,
      'add',
      'rule',
      'ip',
      'filter',
      'DOCKER-USER',
      'counter',
      'comment',
      '"of the administrator"',
    );
    await guardian.stop();
    for (const { endpoints } of world.service.list())
      for (const { containerId } of endpoints) await world.service.release(containerId);
    await world.service.removeAll(['front', 'back', 'named']);
    await world.service.dismantle();
    for (const family of ['ip', 'ip6']) {
      const shown = await world.host.run(NFT, 'list', 'chain', family, 'filter', 'DOCKER-USER');
      expect(shown).not.toContain('tscompose');
      expect(shown).toContain('of the administrator');
    }
    guardian = { stop: async () => undefined, repairs: [] };
  });
});

describe('the daemon', () => {
  it('N03: notices the loss of its table by itself, within two seconds', async () => {
    const daemon = await startTestDaemon();
    try {
      await daemon.importBusybox();
      await daemon.call('POST', '/v1.51/networks/create', { Name: 'sealed', Internal: true });
      const body = { Image: 'busybox', Cmd: ['sleep', '600'], HostConfig: { NetworkMode: 'sealed', Init: true } };
      const { Id } = JSON.parse((await daemon.call('POST', '/v1.51/containers/create', body)).text());
      await daemon.call('POST', `/v1.51/containers/${Id}/start`);
      const table = ['inet', daemon.instance];
      const isThere = async () => (await runProgram(NFT, ['list', 'table', ...table])).status === 0;
      for (let round = 0; round < 3; round++) {
        expect(await isThere()).toBe(true);
        await runProgram(NFT, ['delete', 'table', ...table]);
        const from = Date.now();
        await until('the table is back', isThere);
        expect(Date.now() - from).toBeLessThan(2000);
      }
    } finally {
      await daemon.stop();
    }
  });
});
