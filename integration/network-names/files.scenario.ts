import { readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestEngine } from '../kit/engine.ts';
import { until } from '../kit/keeper.ts';
import { leftovers } from '../kit/ledger.ts';

// /etc/hosts, /etc/resolv.conf and /etc/hostname as programs of a container see them. Internal networks, as only such leave
// the routing of the machine the test runs on alone.
let test: TestEngine;

const SLEEP = ['sleep', '600'];
const inside = async (name: string, ...command: string[]) => {
  const { exitCode, stdout, stderr } = await test.exec(name, command);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  return stdout;
};
const file = (name: string, path: string) => inside(name, 'cat', path);
const start = async (name: string, spec: Parameters<TestEngine['create']>[2] = {}) => {
  await test.create(name, SLEEP, { ...spec, host: { networkMode: 'front', ...spec.host } });
  await test.engine.containers.start(name);
};
const addressOn = async (name: string, network: string) => {
  const { endpoints } = await test.engine.containers.inspect(name);
  return endpoints.find((endpoint) => endpoint.network === network)?.ipv4 ?? '';
};
const resolver = () => join(test.directory, 'resolv.conf');

beforeAll(async () => {
  test = await TestEngine.start({ hostFiles: 'own' });
  await writeFile(resolver(), 'nameserver 192.0.2.1\nsearch corp.example\noptions timeout:1\n');
  await writeFile(join(test.directory, 'hosts'), '10.9.9.9 printer\n');
  await test.engine.networks.create({ name: 'front', internal: true });
  await test.engine.networks.create({ name: 'back', internal: true });
});
afterAll(async () => {
  expect(leftovers(await test.stop())).toEqual([]);
});

it('name the container, its domain, its extra hosts and our name server', async () => {
  await start('named', {
    config: { hostname: 'shop', domainname: 'example.org' },
    host: {
      extraHosts: ['db:10.1.2.3', 'six:fd00::9', 'gate:host-gateway'],
      dnsOptions: ['ndots:3'],
      dnsSearch: ['a.example', 'b.example'],
    },
  });
  const own = await addressOn('named', 'front');
  const hosts = await file('named', '/etc/hosts');
  expect(hosts).toMatch(/^127\.0\.0\.1\tlocalhost\n::1\tlocalhost /);
  // The network is internal: the host is named all the same, where it does not answer.
  const gate = test.engine.networks.inspect('bridge').pool?.gateway;
  const lines = `10.1.2.3\tdb\nfd00::9\tsix\n${gate}\tgate\n${own}\tshop.example.org shop\n`;
  expect(hosts.slice(-lines.length)).toBe(lines);
  expect(await file('named', '/etc/hostname')).toBe('shop\n');
  expect(await inside('named', 'hostname')).toBe('shop\n');
  expect(await file('named', '/proc/sys/kernel/domainname')).toBe('example.org\n');
  expect(await file('named', '/etc/resolv.conf')).toBe(
    'nameserver 127.0.0.11\nsearch a.example b.example\noptions ndots:3\n',
  );
});

it('follow connect and disconnect of a running container, and keep what was written into them', async () => {
  await start('live', { config: { hostname: 'live' } });
  const first = await addressOn('live', 'front');
  await inside('live', 'sh', '-c', 'echo "10.7.7.7 mine" >> /etc/hosts');
  await test.engine.containers.connect('live', 'back', {});
  const second = await addressOn('live', 'back');
  const both = await file('live', '/etc/hosts');
  expect(both.endsWith(`${first}\tlive\n10.7.7.7 mine\n${second}\tlive\n`)).toBe(true);
  await test.engine.containers.disconnect('live', 'front');
  const left = await file('live', '/etc/hosts');
  expect(left.endsWith(`10.7.7.7 mine\n${second}\tlive\n`)).toBe(true);
  expect(left).not.toContain(`${first}\t`);
  // A start makes them anew, and addresses are those of before.
  await test.engine.containers.restart('live', { timeoutSeconds: 0 });
  expect(await addressOn('live', 'back')).toBe(second);
  expect(await file('live', '/etc/hosts')).not.toContain('mine');
});

it('go from the host’s name servers to ours with the first network', async () => {
  await start('alone', { host: { networkMode: 'none' } });
  expect(await file('alone', '/etc/resolv.conf')).toContain('nameserver 192.0.2.1\n');
  await test.engine.containers.connect('alone', 'front', {});
  expect(await file('alone', '/etc/resolv.conf')).toContain('nameserver 127.0.0.11\n');
  expect(await file('alone', '/etc/hosts')).toContain(`${await addressOn('alone', 'front')}\t`);
  expect(await inside('alone', 'nslookup', 'named', '127.0.0.11')).toContain(await addressOn('named', 'front'));
});

it('F30: resolv.conf follows the host, unless the user wrote it', async () => {
  await start('follows');
  await start('edited');
  await start('onhost', { host: { networkMode: 'host' } });
  const edit = 'nameserver 127.0.0.11\noptions ndots:5\n';
  await inside('edited', 'sh', '-c', `printf '${edit.replaceAll('\n', '\\n')}' > /etc/resolv.conf`);
  expect(await file('follows', '/etc/resolv.conf')).toContain('search corp.example\n');
  await writeFile(resolver(), 'nameserver 192.0.2.2\nsearch cafe.example\n');
  await until('the new search domain', async () =>
    (await file('follows', '/etc/resolv.conf')).includes('search cafe.example\n'),
  );
  await until('the new name server', async () =>
    (await file('onhost', '/etc/resolv.conf')).includes('nameserver 192.0.2.2\n'),
  );
  expect(await file('edited', '/etc/resolv.conf')).toBe(edit);
});

it('on the host’s network are the host’s, with its name', async () => {
  await start('host', { host: { networkMode: 'host', extraHosts: ['added:10.1.1.1'] } });
  expect(await file('host', '/etc/hosts')).toBe('10.9.9.9 printer\n10.1.1.1\tadded\n');
  expect(await file('host', '/etc/hostname')).toBe(`${hostname()}\n`);
  expect(await inside('host', 'sh', '-c', 'echo $HOSTNAME; hostname')).toBe(`${hostname()}\n${hostname()}\n`);
  expect((await test.engine.containers.inspect('host')).hostname).toBe(hostname());
});

it('in the network of another container are that one’s, and so is the name', async () => {
  await start('owner', { config: { hostname: 'owner' } });
  await start('guest', { host: { networkMode: 'container:owner' } });
  await inside('owner', 'sh', '-c', 'echo "10.6.6.6 shared" >> /etc/hosts');
  expect(await file('guest', '/etc/hosts')).toBe(await file('owner', '/etc/hosts'));
  expect(await file('guest', '/etc/hostname')).toBe('owner\n');
  expect(await inside('guest', 'sh', '-c', 'echo $HOSTNAME; hostname')).toBe('owner\nowner\n');
});

it('cannot be written where the root is read-only, and give way to mounts of the user', async () => {
  await start('fixed', { host: { readonlyRootfs: true } });
  for (const path of ['/etc/hosts', '/etc/hostname', '/etc/resolv.conf']) {
    const { exitCode, stderr } = await test.exec('fixed', ['sh', '-c', `echo x >> ${path}`]);
    expect([path, exitCode, stderr]).toEqual([path, 1, expect.stringContaining('Read-only file system')]);
  }
  const own = join(test.directory, 'own-resolv.conf');
  await writeFile(own, 'nameserver 192.0.2.77\n');
  await start('mounted', { host: { binds: [`${own}:/etc/resolv.conf:ro`] } });
  expect(await file('mounted', '/etc/resolv.conf')).toBe('nameserver 192.0.2.77\n');
  await test.engine.containers.connect('mounted', 'back', {});
  expect(await readFile(own, 'utf8')).toBe('nameserver 192.0.2.77\n');
});

it('names of replicas lead to the healthy ones; each keeps its own', async () => {
  const healthcheck = { test: ['CMD', 'test', '-e', '/healthy'], intervalNs: 100_000_000, retries: 1 };
  for (const name of ['replica-1', 'replica-2']) {
    await start(name, {
      config: { healthcheck },
      host: { networkMode: 'front' },
    });
    await test.engine.containers.disconnect(name, 'front');
    await test.engine.containers.connect(name, 'front', { aliases: ['replica'] });
  }
  await start('caller');
  const first = await addressOn('replica-1', 'front');
  const second = await addressOn('replica-2', 'front');
  const answer = async (name: string) => {
    const { stdout } = await test.exec('caller', ['nslookup', name, '127.0.0.11']);
    const found = stdout.slice(stdout.indexOf('Name:')).match(/\d+\.\d+\.\d+\.\d+/g) ?? [];
    return [...new Set(found)].toSorted().join();
  };
  const both = [first, second].toSorted().join();
  const becomes = (what: string) => until(`replica is ${what}`, async () => (await answer('replica')) === what);
  // None is healthy: all are tried.
  await becomes(both);
  await inside('replica-2', 'touch', '/healthy');
  await becomes(second);
  expect(await answer('replica-1')).toBe(first);
  await inside('replica-1', 'touch', '/healthy');
  await becomes(both);
  await inside('replica-2', 'rm', '/healthy');
  await becomes(first);
  // Their probes would go on while the next test takes the engine away.
  for (const name of ['replica-1', 'replica-2']) await test.engine.containers.remove(name, { force: true });
});

it('are there again when a power cut took the record of the container’s networks', async () => {
  await start('cut', { config: { hostname: 'cut' } });
  const { id } = await test.engine.containers.inspect('cut');
  await test.engine.containers.stop('cut', { timeoutSeconds: 0 });
  await test.engine.detach();
  await writeFile(join(test.directory, 'data/endpoints', `${id}.json`), '');
  await test.open();
  await test.engine.containers.start('cut');
  const address = await addressOn('cut', 'front');
  expect(address).not.toBe('');
  expect(await file('cut', '/etc/hosts')).toContain(`${address}\tcut\n`);
});
