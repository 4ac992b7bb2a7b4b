import type { ChildProcess } from 'node:child_process';
import { request } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { PortRequest } from '../../src/engine/network/index.ts';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { freePort } from '../kit/free-port.ts';
import { identityOf, until } from '../kit/keeper.ts';
import { leftovers } from '../kit/ledger.ts';
import { HOST, INSTANCE, type Member, NEIGHBOUR, type Place, World } from '../network-reach/world.ts';

const NFT = '/usr/sbin/nft';
const CONNTRACK = '/usr/sbin/conntrack';

/** Answers every line and every datagram on port 81 with its name, and keeps connections open. */
const ECHO = `
const [name] = process.argv.slice(1);
const tcp = require('node:net').createServer((s) => s.on('error', () => {}).on('data', (m) => s.write(name + ' ' + m)));
const udp = require('node:dgram').createSocket('udp6');
udp.on('message', (m, peer) => udp.send(name + ' ' + m, peer.port, peer.address));
tcp.listen(81, '::', () => udp.bind(81, '::', () => console.log('ready')));
`;

/** A TCP connection and a UDP port to ADDRESS:8080; they send each line of stdin, and every answer and error is printed. */
const CLIENT = `
const [address] = process.argv.slice(1);
const udp = require('node:dgram').createSocket(address.includes(':') ? 'udp6' : 'udp4');
udp.on('message', (m) => console.log('udp ' + m)).on('error', (e) => console.log('udp ' + e.code));
const tcp = require('node:net').connect({ host: address, port: 8080 });
tcp.on('connect', () => console.log('connected')).on('data', (m) => console.log('tcp ' + m));
tcp.on('error', (e) => console.log('tcp ' + e.code));
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  tcp.write(line);
  udp.send(line, 8080, address);
});
`;

/** Binds port 8080 as any program might; prints what became of it. */
const STRANGER = `
const server = require('node:net').createServer().on('error', (e) => console.log(e.code));
server.listen(8080, '0.0.0.0', () => { console.log('bound'); server.close(); });
`;

const PORTS: readonly PortRequest[] = (['tcp', 'udp'] as const).map((protocol) => ({
  containerPort: 81,
  protocol,
  hostPort: 8080,
}));

/** A client with what it has printed. */
class Client {
  readonly #child: ChildProcess;
  text = '';

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.on('data', (data) => {
      this.text += data;
    });
  }

  send(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** Sends the line until it is answered so: a datagram may come while the port moves. */
  async hears(line: string, ...answers: string[]): Promise<void> {
    this.send(line);
    await until(`the client hears ${answers.join(', ')} (it has heard ${this.text})`, () =>
      answers.every((answer) => this.text.includes(`${answer} ${line}\n`)),
    );
  }
}

describe('a published port that moves to the container that replaces another', () => {
  let world: World;
  let old: Member;
  let next: Member;

  beforeAll(async () => {
    world = await World.make();
    await world.service.create({ name: 'front' });
  });
  afterAll(() => world.close());
  beforeEach(async () => {
    old = await world.start('web', [{ network: 'front' }], PORTS);
    await world.spawn(old, process.execPath, '-e', ECHO, 'old');
    next = await world.start('next', [{ network: 'front' }]);
    await world.spawn(next, process.execPath, '-e', ECHO, 'next');
    await world.service.setReadiness(next.id, 'starting');
  });
  afterEach(async () => {
    for (const { id } of [old, next]) await world.service.release(id);
    expect(await world.holds()).toEqual([]);
    for (const set of ['everywhere', 'everywhere6'] as const) expect(await world.elements(set)).toEqual([]);
  });

  async function client(place: Place, address: string): Promise<Client> {
    const made = new Client(await world.talk(place, process.execPath, '-e', CLIENT, address));
    await until('the client to be connected', () => made.text.includes('connected\n'));
    return made;
  }

  const tracked = async (protocol: 'tcp' | 'udp') =>
    (await world.host.run(CONNTRACK, '-L', '-p', protocol, '--orig-port-dst', '8080'))
      .split('\n')
      .filter((line) => line.includes(`src=${NEIGHBOUR} `));

  const leadsTo = (member: Member) => [
    [{ concat: ['tcp', 8080] }, { concat: [member.address, 81] }],
    [{ concat: ['udp', 8080] }, { concat: [member.address, 81] }],
  ];

  const bind = async () => (await world.host.run(process.execPath, '-e', STRANGER)).trim();

  it('by one swap of the element: TCP connections stay, datagrams go to the new one at once', async () => {
    const guest = await client(world.neighbour, HOST);
    await guest.hears('one', 'tcp old', 'udp old');
    await world.service.publish(next.id, PORTS, old.id);
    // It is not ready, and nobody notices that it is there.
    expect(world.service.boundPorts(next.id)).toEqual([]);
    expect(await world.elements('everywhere')).toEqual(leadsTo(old));
    const [before] = await tracked('tcp');
    expect(before).toContain(`src=${old.address} `);

    const monitor = await world.talk(world.host, NFT, 'monitor');
    let seen = '';
    monitor.stdout?.on('data', (data) => {
      seen += data;
    });
    // It listens when it tells of something.
    await until('the monitor listens', async () => {
      await world.host.run(NFT, 'add table ip beacon; delete table ip beacon');
      return seen.includes('beacon');
    });
    await world.service.setReadiness(next.id, 'ready');
    await until('the change is told', () => seen.includes(`${next.address} . 81`));
    const steps = seen.split('# new generation').filter((step) => step.includes(INSTANCE));
    expect(steps).toHaveLength(1);
    for (const protocol of ['tcp', 'udp']) {
      expect(steps[0]).toMatch(`delete element inet ${INSTANCE} everywhere`);
      expect(steps[0]).toMatch(`${protocol} . 8080 : ${next.address} . 81`);
    }
    expect(await world.elements('everywhere')).toEqual(leadsTo(next));
    expect(world.service.boundPorts(next.id)).toHaveLength(4);
    expect(world.service.boundPorts(old.id)).toEqual([]);

    const visitor = await client(world.neighbour, HOST);
    await guest.hears('two', 'tcp old', 'udp next');
    await visitor.hears('three', 'tcp next', 'udp next');
    const after = await tracked('tcp');
    expect(after).toContainEqual(expect.stringContaining(`src=${old.address} `));
    expect(after).toContainEqual(expect.stringContaining(`src=${next.address} `));
    expect((await tracked('udp')).filter((line) => line.includes(`src=${old.address} `))).toEqual([]);
    // The old one ends: nothing of the new one goes with it, and the port was never free.
    await world.service.closeSandbox(old.id);
    expect(await bind()).toBe('EADDRINUSE');
    await visitor.hears('four', 'tcp next');
  });

  it('goes back when the new one turns unhealthy or ends while the old one runs', async () => {
    await world.service.publish(next.id, PORTS, old.id);
    await world.service.setReadiness(next.id, 'ready');
    const guest = await client(world.neighbour, HOST);
    await guest.hears('one', 'tcp next', 'udp next');
    await world.service.setReadiness(next.id, 'unhealthy');
    expect(await world.elements('everywhere')).toEqual(leadsTo(old));
    await guest.hears('two', 'tcp next', 'udp old');
    await world.service.setReadiness(next.id, 'ready');
    expect(await world.elements('everywhere')).toEqual(leadsTo(next));
    await world.service.closeSandbox(next.id);
    expect(await world.elements('everywhere')).toEqual(leadsTo(old));
    expect(world.service.boundPorts(old.id)).toHaveLength(4);
    expect(await bind()).toBe('EADDRINUSE');
    await (await client(world.neighbour, HOST)).hears('three', 'tcp old', 'udp old');
  });

  it('leads to the new one at once when the old one ends before that is ready', async () => {
    await world.service.publish(next.id, PORTS, old.id);
    await world.service.closeSandbox(old.id);
    expect(await world.elements('everywhere')).toEqual(leadsTo(next));
    // Who comes back is a stranger to it.
    await world.service.openSandbox(old.id);
    await expect(world.service.publish(old.id, PORTS)).rejects.toMatchObject({
      code: 'network/conflict',
      message: expect.stringContaining('already used by container next'),
    });
  });

  it('also where a proxy carries it', async () => {
    await (await client(world.host, '::1')).hears('one', 'tcp old', 'udp old');
    await world.service.publish(next.id, PORTS, old.id);
    await (await client(world.host, '::1')).hears('two', 'tcp old', 'udp old');
    await world.service.setReadiness(next.id, 'ready');
    await (await client(world.host, '::1')).hears('three', 'tcp next', 'udp next');
    await world.service.closeSandbox(next.id);
    await (await client(world.host, '::1')).hears('four', 'tcp old', 'udp old');
  });

  it('is neither lost nor free when the daemon or the keeper goes meanwhile', async () => {
    await world.service.publish(next.id, PORTS, old.id);
    await world.service.setReadiness(next.id, 'ready');
    await world.restartService();
    expect(await world.elements('everywhere')).toEqual(leadsTo(next));
    expect(await world.holds()).toHaveLength(8);
    await world.service.closeSandbox(next.id);
    expect(await world.elements('everywhere')).toEqual(leadsTo(old));
    expect(await world.holds()).toHaveLength(4);
    expect(await bind()).toBe('EADDRINUSE');
  });

  for (const order of ['the old one', 'the new one'])
    it(`is taken up again after a lost keeper, ${order} first`, async () => {
      await world.service.publish(next.id, PORTS, old.id);
      await world.service.setReadiness(next.id, 'ready');
      await world.loseKeeper();
      for (const { id, server } of order === 'the old one' ? [old, next] : [next, old])
        await world.service.adopt(id, await identityOf(server));
      expect(await world.elements('everywhere')).toEqual(leadsTo(next));
      expect(await world.holds()).toHaveLength(8);
      await (await client(world.neighbour, HOST)).hears('one', 'tcp next', 'udp next');
      await (await client(world.host, '::1')).hears('two', 'tcp next', 'udp next');
      await world.service.closeSandbox(next.id);
      await (await client(world.host, '::1')).hears('three', 'tcp old', 'udp old');
    });

  it('what is not the same port of the one replaced is taken or refused as ever', async () => {
    const more: PortRequest = { containerPort: 81, protocol: 'tcp', hostPort: 8081 };
    await world.service.publish(next.id, [...PORTS, more], old.id);
    await world.service.setReadiness(next.id, 'ready');
    expect(world.service.boundPorts(next.id)).toHaveLength(6);
    const third = await world.start('third', [{ network: 'front' }]);
    for (const [wanted, replaces] of [
      [more, old.id],
      [{ ...more, hostPort: 8080, hostIp: '127.0.0.1' }, next.id],
      [{ ...more, hostPort: 8080 }, undefined],
    ] as const)
      await expect(world.service.publish(third.id, [wanted], replaces)).rejects.toMatchObject({
        code: 'network/conflict',
      });
    await world.service.release(third.id);
    expect(world.service.boundPorts(next.id)).toHaveLength(6);
  });
});

describe('the label dev.tscompose.replaces', () => {
  let daemon: TestDaemon;
  beforeAll(async () => {
    daemon = await startTestDaemon();
    await daemon.importBusybox();
  });
  afterAll(async () => {
    expect(leftovers(await daemon.stop())).toEqual([]);
  });

  async function run(name: string, hostPort: number, options: Record<string, unknown> = {}): Promise<number> {
    const made = await daemon.call('POST', `/containers/create?name=${name}`, {
      Image: 'busybox',
      Cmd: ['sh', '-c', `mkdir -p /www && echo ${name} > /www/index.html && exec httpd -f -p 80 -h /www`],
      HostConfig: { PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: String(hostPort) }] } },
      ...options,
    });
    expect(made.status, made.text()).toBe(201);
    return (await daemon.call('POST', `/containers/${name}/start`)).status;
  }

  const ask = (port: number) =>
    new Promise<string>((resolve, reject) => {
      request({ port, host: '127.0.0.1', agent: false }, (answer) =>
        text(answer).then((body) => resolve(body.trim()), reject),
      )
        .on('error', reject)
        .end();
    });

  const published = async (name: string) => {
    const shown = (await daemon.call('GET', `/containers/${name}/json`)).json<{ NetworkSettings: { Ports: object } }>();
    return JSON.stringify(shown.NetworkSettings.Ports);
  };

  it('moves the ports of a running container without one refused connection, and back', async () => {
    const port = await freePort();
    expect(await run('one', port)).toBe(204);
    await until('the first one to answer', () =>
      ask(port).then(
        (answer) => answer === 'one',
        () => false,
      ),
    );
    const kept = connect(port, '127.0.0.1');
    let done = false;
    const answers: string[] = [];
    const asking = (async () => {
      while (!done) answers.push(await ask(port).catch((error: Error) => error.message + Date.now()));
    })();
    const check = { Test: ['CMD', 'wget', '-q', '-O', '/dev/null', '127.0.0.1'], Interval: 100_000_000 };
    const Labels = { 'dev.tscompose.replaces': 'one' };
    expect(await run('two', port)).toBe(409);
    expect(await run('next', port, { Labels, Healthcheck: check })).toBe(204);
    await until('the next one to answer', () => answers.at(-1) === 'next');
    expect(await published('one')).not.toContain(String(port));
    expect(await published('next')).toContain(String(port));
    expect((await daemon.call('POST', '/containers/next/stop?t=0')).status).toBe(204);
    await until('the first one to answer again', () => answers.at(-1) === 'one');
    expect((await daemon.call('POST', '/containers/next/start')).status).toBe(204);
    await until('the next one to answer again', () => answers.at(-1) === 'next');
    // A connection of the first time is the first one's still.
    const said = text(kept);
    kept.write('GET / HTTP/1.0\r\n\r\n');
    expect(await said).toContain('one');
    expect((await daemon.call('DELETE', '/containers/one?force=1')).status).toBe(204);
    await until('the next one to answer alone', () => answers.at(-1) === 'next');
    done = true;
    await asking;
    // What the stopped one had begun to answer is its loss; nobody was refused.
    expect(answers.filter((answer) => answer.includes('ECONNREFUSED'))).toEqual([]);
    expect((await daemon.call('DELETE', '/containers/next?force=1')).status).toBe(204);
    expect((await daemon.call('DELETE', '/containers/two?force=1')).status).toBe(204);
  });
});
