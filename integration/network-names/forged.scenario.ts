import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../kit/keeper.ts';
import { type Member, World } from '../network-reach/world.ts';

// N10: answers of somebody else. The liar has all that a stranger would have to guess, and sends its lies before the truth: each
// has one thing wrong, so each check is the only one that stands before it.
const IP = '/usr/sbin/ip';
const TRUTH = '203.0.113.1';
const LIE = '203.0.113.66';

/** A name server that lies in the way its questions ask for, then says the truth; prints id and port of each question. */
const LIAR = `
const [own, other] = process.argv.slice(1);
const dgram = require('node:dgram');
const answer = (query, address) => {
  const head = Buffer.from(query);
  head[2] |= 0x80;
  head[7] = 1;
  return Buffer.concat([head, Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, ...address.split('.').map(Number)])]);
};
const true_one = dgram.createSocket('udp4');
const port = dgram.createSocket('udp4');
const address = dgram.createSocket('udp4');
const renamed = (lie) => { lie[13] ^= 1; return lie; };
const numbered = (lie, by) => { lie.writeUInt16BE((lie.readUInt16BE(0) + by) & 0xffff, 0); return lie; };
const LIES = {
  idno: (lie, send) => { for (let by = 1; by <= 500; by++) send(true_one, numbered(Buffer.from(lie), by)); },
  port: (lie, send) => send(port, lie),
  addr: (lie, send) => send(address, lie),
  name: (lie, send) => send(true_one, renamed(lie)),
  type: (lie, send) => { lie[lie.indexOf(0, 12) + 2] = 28; send(true_one, lie); },
  asks: (lie, send) => { lie[2] &= 0x7f; send(true_one, lie); },
  none: () => {},
};
true_one.on('message', (query, peer) => {
  console.log('asked ' + query.readUInt16BE(0) + ' ' + peer.port);
  const kind = query.toString('latin1', 13, 17);
  const sent = [];
  const send = (socket, lie) => sent.push(new Promise((done) => socket.send(lie, peer.port, peer.address, done)));
  LIES[kind](answer(query, '${LIE}'), send);
  Promise.all(sent).then(() => true_one.send(answer(query, '${TRUTH}'), peer.port, peer.address));
});
true_one.bind(53, own, () => port.bind(54, own, () => address.bind(53, other, () => console.log('ready'))));
`;

let world: World;
let asker: Member;
let liar: Member;

beforeAll(async () => {
  world = await World.make();
  await world.service.create({ name: 'front' });
  liar = await world.start('liar', [{ network: 'front' }]);
  const second = liar.address.replace(/\d+$/, '250');
  await liar.run(IP, 'addr', 'add', `${second}/24`, 'dev', 'eth0');
  await world.spawn(liar, process.execPath, '-e', LIAR, liar.address, second);
  // A server on the same network: nothing but the name server itself looks at the sender.
  asker = await world.start('asker', [{ network: 'front' }], [], { servers: [liar.address] });
});
afterAll(() => world.close());

/** The answer, whenever it comes: on a busy machine the question may outlive its asker. */
async function answerTo(name: string): Promise<string> {
  for (let turn = 0; turn < 8; turn++) {
    const answer = await asker.lookup('A', name);
    if (answer !== 'ETIMEOUT') return answer;
  }
  return 'ETIMEOUT';
}

it.each([
  ['another number', 'idno'],
  ['another port of the server', 'port'],
  ['another address', 'addr'],
  ['another name', 'name'],
  ['another kind of record', 'type'],
  ['a question', 'asks'],
])('an answer with %s is none', async (_what, kind) => {
  for (let turn = 0; turn < 5; turn++) expect(await answerTo(`${kind}${turn}.example`)).toBe(TRUTH);
});

it('the truth is taken from where it was asked, and each question asked anew: nothing is kept that could be poisoned', async () => {
  const count = () => world.output(liar).match(/asked/g)?.length ?? 0;
  const before = count();
  for (let turn = 0; turn < 3; turn++) expect(await answerTo('none.example')).toBe(TRUTH);
  await until('three questions', async () => count() >= before + 3);
});

it('numbers and ports of questions are no row', async () => {
  const ask = `
    const dns = require('node:dns').promises;
    const resolver = new dns.Resolver({ timeout: 5000 });
    resolver.setServers(['127.0.0.11']);
    (async () => { for (let n = 0; n < 200; n++) await resolver.resolve4('none' + n + '.example'); })();`;
  await asker.run(process.execPath, '-e', ask);
  const asked = [...world.output(liar).matchAll(/asked (\d+) (\d+)/g)].slice(-200);
  const ids = asked.map(([, id]) => Number(id));
  const steps = ids.slice(1).map((id, index) => (id - (ids[index] ?? 0)) & 0xffff);
  // Of 200 random numbers of 16 bits one in a thousand sets has more than three pairs that are equal.
  expect(new Set(ids).size).toBeGreaterThan(190);
  expect(new Set(steps).size).toBeGreaterThan(190);
  expect(new Set(asked.map(([, , port]) => port)).size).toBeGreaterThan(1);
});

it('a name that two networks know is answered in each by its own alone', async () => {
  await world.service.create({ name: 'back' });
  const mine = await world.start('mine', [{ network: 'front', aliases: ['db'] }]);
  const theirs = await world.start('theirs', [{ network: 'back', aliases: ['db', 'mine', 'none9', 'liar'] }]);
  for (let turn = 0; turn < 3; turn++) expect(await asker.lookup('A', 'db')).toBe(mine.address);
  expect(await asker.lookup('A', 'mine')).toBe(mine.address);
  expect(await asker.lookup('A', 'liar')).toBe(liar.address);
  expect(await theirs.lookup('A', 'db')).toBe(theirs.address);
  // Who is on both is answered from both, and from no third.
  await world.service.connect('back', asker.id, 'asker', {});
  const seen = (await asker.lookup('A', 'mine')).split(',').toSorted();
  expect([mine.address, theirs.address].toSorted()).toEqual(expect.arrayContaining(seen));
  await world.service.disconnect('back', asker.id);
  expect(await asker.lookup('A', 'mine')).toBe(mine.address);
});
