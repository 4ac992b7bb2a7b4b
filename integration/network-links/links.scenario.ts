import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { type Member, NEIGHBOUR, World } from '../network-reach/world.ts';
import { cliProject } from '../stack-up/run-cli.ts';

describe('links of one container', () => {
  let world: World;
  let db: Member;
  let web: Member;
  let other: Member;

  // Every name that nobody has is this server's, at once.
  const dns = { servers: [NEIGHBOUR] };
  const elsewhere = '203.0.113.9';

  beforeAll(async () => {
    world = await World.make();
    await world.serveDns(world.neighbour);
    await world.service.create({ name: 'front', enableIpv6: true });
    await world.service.create({ name: 'back' });
    web = await world.start('web', [{ network: 'front', links: ['db:store', 'late'] }], [], dns);
    db = await world.start('db', [{ network: 'front' }], [], dns);
    other = await world.start('other', [{ network: 'front' }], [], dns);
  });
  afterAll(() => world.close());

  it('are names only it has, in both families, for a container that came later', async () => {
    expect(await web.lookup('A', 'store')).toBe(db.address);
    expect(await web.lookup('A', 'STORE')).toBe(db.address);
    expect(await web.lookup('AAAA', 'store')).toBe(db.address6);
    expect(await other.lookup('A', 'store')).toBe(elsewhere);
  });

  it('follow the name: gone when it stops, the new container when it is replaced, away when it is renamed', async () => {
    await world.service.release(db.id);
    expect(await web.lookup('A', 'store')).toBe(elsewhere);
    const next = await world.start('db', [{ network: 'front', ipv4: '' }], [], dns);
    expect(next.address).not.toBe(db.address);
    expect(await web.lookup('A', 'store')).toBe(next.address);
    await world.service.rename(next.id, 'elsewhere');
    expect(await web.lookup('A', 'store')).toBe(elsewhere);
    await world.service.rename(next.id, 'db');
    expect(await web.lookup('A', 'store')).toBe(next.address);
  });

  it('lead through the network they were made for alone', async () => {
    const late = await world.start('late', [{ network: 'back' }], [], dns);
    expect(await web.lookup('A', 'late')).toBe(elsewhere);
    const joined = await world.service.connect('front', late.id, 'late', {});
    expect(await web.lookup('A', 'late')).toBe(joined.address);
  });

  it('come with a live connect, survive a restart of the daemon and go with a disconnect', async () => {
    const guest = await world.start('guest', [{ network: 'back' }], [], dns);
    await world.service.connect('front', guest.id, 'guest', { links: ['other:friend'] });
    expect(await guest.lookup('A', 'friend')).toBe(other.address);
    await world.restartService();
    expect(await guest.lookup('A', 'friend')).toBe(other.address);
    await world.service.disconnect('front', guest.id);
    expect(await guest.lookup('A', 'friend')).toBe(elsewhere);
  });

  it('on the default network give the names it does not have', async () => {
    const old = await world.start('old', [{ network: 'bridge' }], [], dns);
    const user = await world.start('user', [{ network: 'bridge', links: ['old:legacy'] }], [], dns);
    for (const name of ['legacy', 'old', old.id.slice(0, 12)]) expect(await user.lookup('A', name)).toBe(old.address);
    expect(await old.lookup('A', 'user')).toBe(elsewhere);
  });

  it.each(['bridge', 'none', 'host'])('aliases on network %s are refused', async (network) => {
    await expect(world.start('bad', [{ network, aliases: ['x'] }], [], dns)).rejects.toMatchObject({
      code: 'network/invalid',
      message: expect.stringContaining('network-scoped aliases are only supported for user-defined networks'),
    });
  });

  it('are refused when they are none', async () => {
    for (const link of ['a:b:c', ':x', 'a b', 'x:;drop', ''])
      await expect(world.start('bad', [{ network: 'front', links: [link] }], [], dns)).rejects.toMatchObject({
        code: 'network/invalid',
      });
    await expect(world.start('bad', [{ network: 'none', links: ['db'] }], [], dns)).rejects.toMatchObject({
      code: 'network/invalid',
    });
  });
});

describe('links by API and compose file', () => {
  let daemon: TestDaemon;

  beforeAll(async () => {
    daemon = await startTestDaemon();
    await daemon.importBusybox();
  });
  afterAll(async () => {
    await daemon.stop();
  });

  const create = async (name: string, body: object) =>
    JSON.parse(
      (await daemon.call('POST', `/v1.51/containers/create?name=${name}`, { Image: 'busybox', ...body })).text(),
    );

  it('a service sees the replicas of a linked one under the alias, and a container of nobody by external_links', async () => {
    const compose = `
services:
  web:
    image: busybox
    command: sleep 600
    init: true
    links: ["db:store", db]
    external_links: ["tsc-outsider:guest"]
  db: { image: busybox, command: sleep 600, init: true, scale: 2 }
networks: { default: { internal: true } }
`;
    using project = cliProject(daemon.host, { 'compose.yaml': compose });
    const up = await project.run(['up', '-d']);
    expect(up.status, up.stderr).toBe(0);
    const network = `${project.name}_default`;
    const outsider = await create('tsc-outsider', {
      Cmd: ['sleep', '600'],
      HostConfig: { NetworkMode: network, Init: true },
    });
    await daemon.call('POST', `/v1.51/containers/${outsider.Id}/start`);
    const resolve = async (name: string) => {
      const { stdout } = await project.run(['exec', '-T', 'web', 'nslookup', '-type=a', name, '127.0.0.11']);
      return [...stdout.matchAll(/^Address: (\d[\d.]+)$/gm)].map(([, address]) => address).toSorted();
    };
    const members = JSON.parse((await daemon.call('GET', `/v1.51/networks/${network}`)).text()).Containers;
    const addresses = (part: string) =>
      Object.values(members as Record<string, { Name: string; IPv4Address: string }>)
        .filter(({ Name }) => Name.includes(part))
        .map(({ IPv4Address }) => IPv4Address.split('/')[0])
        .toSorted();
    expect(await resolve('store')).toEqual(addresses('-db-'));
    expect(await resolve('db-2')).toEqual(addresses('-db-2'));
    expect(await resolve('guest')).toEqual(addresses('outsider'));
    const again = await project.run(['up', '-d']);
    expect(again.stderr).toContain('nothing to do');
    await daemon.call('DELETE', `/v1.51/containers/${outsider.Id}?force=1`);
    expect((await project.run(['down'])).status).toBe(0);
  });

  it('a service may be on a network that is always there, which knows no aliases', async () => {
    using project = cliProject(daemon.host, {
      'compose.yaml': `
services:
  a: { image: busybox, command: sleep 600, init: true, networks: [old] }
  b: { image: busybox, command: sleep 600, init: true, networks: [host] }
networks:
  old: { external: true, name: bridge }
  host: { external: true, name: host }
`,
    });
    const up = await project.run(['up', '-d']);
    expect(up.status, up.stderr).toBe(0);
    expect((await project.run(['up', '-d'])).stderr).toContain('nothing to do');
    expect((await project.run(['down', '-t', '0'])).status).toBe(0);
  });

  it('a link on the default network brings the variables of old, at start and in what is run later', async () => {
    const start = async (name: string, body: object) => {
      const { Id } = await create(name, { Cmd: ['sleep', '600'], ...body });
      expect((await daemon.call('POST', `/v1.51/containers/${Id}/start`)).status).toBe(204);
      return JSON.parse((await daemon.call('GET', `/v1.51/containers/${Id}/json`)).text());
    };
    const db = await start('old-db', { Env: ['FOO=bar'], ExposedPorts: { '5432/tcp': {} } });
    const web = await start('old-web', { Env: ['STORE_ENV_OWN=1'], HostConfig: { Links: ['old-db:store'] } });
    expect(web.HostConfig.Links).toEqual(['/old-db:/old-web/store']);
    expect(web.NetworkSettings.Networks.bridge.DNSNames).toBe(null);
    const at = db.NetworkSettings.Networks.bridge.IPAddress;
    const wanted = [
      `STORE_PORT=tcp://${at}:5432`,
      `STORE_PORT_5432_TCP_ADDR=${at}`,
      'STORE_NAME=/old-web/store',
      'STORE_ENV_FOO=bar',
      'STORE_ENV_OWN=1',
    ];
    const env = (pid: number | string) => readFile(`/proc/${pid}/environ`, 'utf8').then((text) => text.split('\0'));
    expect(await env(web.State.Pid)).toEqual(expect.arrayContaining(wanted));
    const exec = JSON.parse(
      (await daemon.call('POST', '/v1.51/containers/old-web/exec', { Cmd: ['env'], AttachStdout: true })).text(),
    );
    const ran = (await daemon.call('POST', `/v1.51/exec/${exec.Id}/start`, {})).text();
    for (const entry of wanted) expect(ran).toContain(`${entry}\n`);
    const call = async (name: string, verb: string) =>
      (await daemon.call('POST', `/v1.51/containers/${name}/${verb}?t=0`)).status;
    // Docker's behaviour: one that does not run is refused by name, and whoever runs goes on.
    expect(await call('old-db', 'stop')).toBe(204);
    expect(await call('old-web', 'restart')).toBe(409);
    const { State } = JSON.parse((await daemon.call('GET', '/v1.51/containers/old-web/json')).text());
    expect(State.Pid).toBe(web.State.Pid);
    expect(await call('old-web', 'stop')).toBe(204);
    const refused = await daemon.call('POST', '/v1.51/containers/old-web/start');
    expect([refused.status, JSON.parse(refused.text()).message]).toEqual([
      409,
      expect.stringContaining('cannot link container old-web to old-db (as store): it is a non running container'),
    ]);
    expect(await call('old-db', 'start')).toBe(204);
    expect(await call('old-web', 'start')).toBe(204);
    for (const name of ['old-web', 'old-db']) await daemon.call('DELETE', `/v1.51/containers/${name}?force=1`);
  });

  it('a container that shares the network of another is refused what belongs to that one', async () => {
    const owner = await create('owner', {});
    const shared = { NetworkMode: `container:${owner.Id}` };
    const cases: readonly (readonly [string, object])[] = [
      ['hostname and the network mode', { Hostname: 'x', HostConfig: shared }],
      ["container type network can't be used with links", { HostConfig: { ...shared, Links: ['owner'] } }],
      ['dns and the network mode', { HostConfig: { ...shared, Dns: ['192.0.2.1'] } }],
      ['custom host-to-IP mapping and the network mode', { HostConfig: { ...shared, ExtraHosts: ['a:192.0.2.1'] } }],
      ['port publishing and the container type network mode', { HostConfig: { ...shared, PublishAllPorts: true } }],
      ['port exposing and the container type network mode', { ExposedPorts: { '80/tcp': {} }, HostConfig: shared }],
      ["host type networking can't be used with links", { HostConfig: { NetworkMode: 'host', Links: ['owner'] } }],
      [
        'network-scoped aliases are only supported for user-defined networks',
        {
          HostConfig: { NetworkMode: 'none' },
          NetworkingConfig: { EndpointsConfig: { none: { Aliases: ['a'] } } },
        },
      ],
      ['invalid container format', { HostConfig: { NetworkMode: 'container:' } }],
      ['No such container: nobody', { HostConfig: { NetworkMode: 'bridge', Links: ['nobody'] } }],
    ];
    for (const [text, body] of cases) expect((await create('shared', body)).message).toContain(text);
    expect((await create('shared', { HostConfig: shared })).Id).toMatch(/^[0-9a-f]{64}$/);
  });
});
