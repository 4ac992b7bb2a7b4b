import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { peer } from '../kit/peers.ts';
import { type Member, NEIGHBOUR, type Place, World } from '../network-reach/world.ts';
import { Dnsmasq } from './dnsmasq.ts';

const [dnsmasq, dig, musl] = await Promise.all([peer('dnsmasq'), peer('dig'), peer('musl')]);
const SOURCE = join(import.meta.dirname, 'resolve.c');
const MANY = Array.from({ length: 200 }, (_, index) => `10.9.${index >> 7}.${(index & 127) + 1}`);

async function compile(out: string, args: readonly string[]): Promise<string> {
  const { status, stderr } = await runProgram('/usr/bin/gcc', ['-O1', '-o', out, ...args]);
  if (status !== 0) throw new Error(stderr);
  return out;
}

/** Against musl as Alpine has it: its resolver asks all name servers at once and both families together. */
function compileMusl(library: string, out: string): Promise<string> {
  const at = dirname(library);
  const headers = at.replace('/lib/', '/include/');
  const start = ['-static', '-nostdinc', '-isystem', headers, '-nostartfiles', '-nostdlib'];
  return compile(out, [...start, join(at, 'crt1.o'), join(at, 'crti.o'), SOURCE, library, '-lgcc', join(at, 'crtn.o')]);
}

describe('resolvers of the world', () => {
  let world: World;
  let web: Member;
  let asker: Member;
  let outside: Dnsmasq | undefined;
  let resolvConf: string;

  /** Runs a client in a member with the resolv.conf that containers get. */
  const inside = (place: Place, ...command: string[]) => {
    const script = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"';
    return place.run('/usr/bin/unshare', '-m', '/bin/sh', '-c', script, 'sh', resolvConf, ...command);
  };
  const ask = async (place: Place, ...args: string[]) => {
    if ('reason' in dig) throw new Error(dig.reason);
    return place.run(dig.path, '@127.0.0.11', '+tries=1', '+time=4', ...args);
  };
  const sorted = (text: string) => text.trim().split(/\s+/).toSorted();

  beforeAll(async () => {
    world = await World.make();
    await world.service.create({ name: 'front', enableIpv6: true });
    await world.service.create({ name: 'old' });
    web = await world.start('web', [{ network: 'front', aliases: ['www', 'Mixed_Case'] }]);
    await world.start('plain', [{ network: 'old', aliases: ['four'] }]);
    asker = await world.start('asker', [{ network: 'front' }, { network: 'old' }], [], { servers: [NEIGHBOUR] });
    resolvConf = join(world.directory, 'container-resolv.conf');
    await writeFile(resolvConf, (await world.service.nameFiles(asker.id, { hostname: 'asker' })).resolvConf);
    if ('reason' in dnsmasq) return;
    const records = [
      '--host-record=outside.example,203.0.113.9,2001:db8:9::9',
      '--mx-host=outside.example,mail.example',
      ...MANY.map((address) => `--address=/large.example/${address}`),
    ];
    const args = ['--no-resolv', '--local=/example/', ...records];
    outside = await Dnsmasq.start(dnsmasq.path, world.neighbour, { directory: world.directory, name: 'outside', args });
  });
  afterAll(async () => {
    await outside?.stop();
    await world.close();
  });

  describe.skipIf('reason' in dig || 'reason' in dnsmasq)('dig', () => {
    it('gets addresses of both families, the names behind them, and the letters as it wrote them', async () => {
      expect(await ask(asker, '+short', 'web', 'A')).toBe(`${web.address}\n`);
      expect(await ask(asker, '+short', 'web.front', 'AAAA')).toBe(`${web.address6}\n`);
      expect(await ask(asker, '+short', '-x', web.address)).toBe('web.front.\n');
      expect(await ask(asker, '+short', '-x', web.address6)).toBe('web.front.\n');
      // Resolvers that mix the case to tell forged answers need it back.
      expect(await ask(asker, '+noall', '+answer', 'wWw', 'A')).toMatch(/^wWw\.\s+5\s+IN\s+A\s/);
      expect(await ask(asker, '+short', 'MIXED_case', 'A')).toBe(`${web.address}\n`);
    });

    it('gets no data, not "no such name", for other types and the family a name does not have', async () => {
      for (const [name, type] of [
        ['web', 'MX'],
        ['web', 'TXT'],
        ['web', 'HTTPS'],
        ['web', 'SVCB'],
        ['web', 'SRV'],
        ['four', 'AAAA'],
      ] as const) {
        const answer = await ask(asker, name, type);
        expect([name, type, answer]).toEqual([name, type, expect.stringContaining('status: NOERROR')]);
        expect([name, type, answer]).toEqual([name, type, expect.stringContaining('ANSWER: 0')]);
      }
      expect(await ask(asker, '+short', 'web', 'ANY', '+notcp')).toBe(`${web.address}\n`);
      // Nothing of ours was asked outside.
      expect(await outside?.asked()).toEqual([]);
    });

    it('is relayed: other types, EDNS, truncation and TCP, "no such name"', async () => {
      expect(await ask(asker, '+short', 'outside.example', 'MX')).toBe('1 mail.example.\n');
      expect(await ask(asker, '+short', 'outside.example', 'AAAA')).toBe('2001:db8:9::9\n');
      expect(await ask(asker, 'nowhere.example', 'A')).toContain('status: NXDOMAIN');
      const edns = await ask(asker, '+bufsize=1232', 'outside.example', 'A');
      expect(edns).toContain('EDNS: version: 0');
      expect(await ask(asker, '+noedns', '+ignore', 'large.example', 'A')).toMatch(/flags: [^;]*\btc\b/);
      expect(sorted(await ask(asker, '+short', 'large.example', 'A'))).toEqual(MANY.toSorted());
      expect(sorted(await ask(asker, '+short', '+tcp', 'large.example', 'A'))).toEqual(MANY.toSorted());
      // Several questions over one connection.
      const both = await ask(asker, '+short', '+tcp', '+keepopen', 'web', 'A', 'outside.example', 'A');
      expect(both).toBe(`${web.address}\n203.0.113.9\n`);
    });

    it('gets all of a name with many replicas, over TCP when they do not fit', async () => {
      const zone = Object.fromEntries([['many', MANY]]);
      await world.link.publishZone('many', zone);
      const crowd = await world.start('crowd', [{ network: 'front' }]);
      const names = { name: crowd.id, zones: ['many'], extra: {}, upstreams: [], internal: true, search: [] };
      await world.link.publishNames(names);
      expect(await ask(crowd, '+noedns', '+ignore', 'many', 'A')).toMatch(/flags: [^;]*\btc\b/);
      expect(sorted(await ask(crowd, '+short', 'many', 'A'))).toEqual(MANY.toSorted());
      const firsts = new Set<string>();
      for (let turn = 0; turn < 4; turn++)
        firsts.add((await ask(crowd, '+short', '+tcp', 'many', 'A')).split('\n')[0] ?? '');
      expect(firsts.size).toBe(4);
    });
  });

  it.skipIf('reason' in dnsmasq)('glibc: both families, one of them, the name of nobody', async () => {
    const program = await compile(join(world.directory, 'resolve-glibc'), [SOURCE]);
    expect(sorted(await inside(asker, program, 'web'))).toEqual([web.address, web.address6].toSorted());
    expect(await inside(asker, program, 'four', '4')).toMatch(/^\d+\.\d+\.\d+\.\d+\n$/);
    expect(await inside(asker, program, 'four', '6')).not.toMatch(/\d+\.\d+/);
    expect(await inside(asker, program, 'nobody.example')).toBe('EAI_NONAME\n');
  });

  it.skipIf('reason' in musl || 'reason' in dnsmasq)('musl: the same', async () => {
    if ('reason' in musl) return;
    const program = await compileMusl(musl.path, join(world.directory, 'resolve-musl'));
    expect(sorted(await inside(asker, program, 'web'))).toEqual([web.address, web.address6].toSorted());
    expect(await inside(asker, program, 'four')).toMatch(/^\d+\.\d+\.\d+\.\d+\n$/);
    expect(await inside(asker, program, 'outside.example', '4')).toBe('203.0.113.9\n');
    expect(await inside(asker, program, 'large.example', '4')).toMatch(/^10\.9\./);
    expect(await inside(asker, program, 'nobody.example')).toBe('EAI_NONAME\n');
  });

  it('busybox nslookup', async () => {
    const found = await inside(asker, '/usr/bin/busybox', 'nslookup', 'web');
    expect(found).toContain(web.address);
    expect(await inside(asker, '/usr/bin/busybox', 'nslookup', web.address)).toContain('web.front');
  });

  describe.skipIf('reason' in dig || 'reason' in dnsmasq)('a container that is a name server itself', () => {
    it('has port 53, UDP and TCP, and still asks for names at 127.0.0.11', async () => {
      if ('reason' in dnsmasq) return;
      const server = await world.start('dns', [{ network: 'front' }], [], { servers: [NEIGHBOUR] });
      const args = ['--no-resolv', '--server=127.0.0.11', '--address=/inner.test/10.1.2.3'];
      const own = await Dnsmasq.start(dnsmasq.path, server, { directory: world.directory, name: 'own', args });
      try {
        if ('reason' in dig) return;
        const at = (...query: string[]) => asker.run(dig.path, `@${server.address}`, '+short', '+tries=1', ...query);
        expect(await at('inner.test', 'A')).toBe('10.1.2.3\n');
        expect(await at('+tcp', 'inner.test', 'A')).toBe('10.1.2.3\n');
        // It relays to our server, and that one to the outside.
        expect(await at('web.front', 'A')).toBe(`${web.address}\n`);
        expect(await at('outside.example', 'A')).toBe('203.0.113.9\n');
        expect(await ask(server, '+short', 'web', 'A')).toBe(`${web.address}\n`);
        expect(await ask(server, '+short', '+tcp', 'web', 'A')).toBe(`${web.address}\n`);
      } finally {
        await own.stop();
      }
    });

    it('asked by our server and asking it, makes a circle that ends', async () => {
      if ('reason' in dnsmasq) return;
      const circle = await world.start('circle', [{ network: 'front' }], [], { servers: ['127.0.0.1'] });
      const args = ['--no-resolv', '--server=127.0.0.11', '--dns-forward-max=5000'];
      const own = await Dnsmasq.start(dnsmasq.path, circle, { directory: world.directory, name: 'circle', args });
      try {
        expect(await ask(circle, '+time=10', 'round.example', 'A')).toMatch(/status: (SERVFAIL|REFUSED)/);
        expect(await ask(circle, '+short', 'web', 'A')).toBe(`${web.address}\n`);
        expect(await ask(asker, '+short', 'web', 'A')).toBe(`${web.address}\n`);
      } finally {
        await own.stop();
      }
    });
  });
});
