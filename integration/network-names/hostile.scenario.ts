import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Member, NEIGHBOUR, World } from '../network-reach/world.ts';

// Packets of a container and of an upstream server that are damaged, cut, endless or lies; over UDP and TCP. The same parsers
// are fuzzed by byte in runtime/fuzz.

let world: World;
let member: Member;
let liar: ChildProcess;

/** A seeded generator: what failed once fails again. */
const RANDOM = `
let state = 20260730;
const random = (below) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 4294967296) * below);
};
const question = (name) => Buffer.concat([
  Buffer.from([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]),
  ...name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
  Buffer.from([0, 0, [1, 12, 28, 255, 65, 16][random(6)], 0, 1, 0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0]),
]);
const damaged = (packet) => {
  const copy = Buffer.from(packet);
  for (let count = random(6); count > 0; count--) copy[random(copy.length)] = [0, 0xc0, 0xff, 0x3f, random(256)][random(5)];
  return copy.subarray(0, random(3) === 0 ? random(copy.length + 1) : copy.length);
};
`;

const SENDER = `${RANDOM}
const socket = require('node:dgram').createSocket('udp4');
const net = require('node:net');
const names = ['member', 'out.example', '9.2.0.192.in-addr.arpa', 'x'.repeat(63) + '.' + 'y'.repeat(63)];
let left = 8000;
const more = () => {
  for (let burst = 0; burst < 50 && left > 0; burst++, left--)
    socket.send(damaged(question(names[random(names.length)])), 53, '127.0.0.11');
  if (left > 0) return setImmediate(more);
  let open = 200;
  for (let index = 0; index < 200; index++) {
    const body = damaged(question(names[random(names.length)]));
    const length = random(4) === 0 ? random(65536) : body.length;
    const stream = net.connect(53, '127.0.0.11', () => {
      stream.write(Buffer.concat([Buffer.from([length >> 8, length & 255]), body]));
      setTimeout(() => stream.destroy(), 50);
    });
    stream.on('error', () => {}).on('data', () => {}).on('close', () => --open || (socket.close(), console.log('sent')));
  }
};
socket.bind(0, more);
`;

/** An upstream server that answers with damage, several times, and now and then truly. */
const LIAR = `${RANDOM}
const answer = (query) => {
  const head = Buffer.from(query.subarray(0, query.length));
  head[2] |= random(4) === 0 ? 0x82 : 0x80;
  return random(3) === 0 ? head : damaged(Buffer.concat([head, Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 1, 2, 3, 4])]));
};
const udp = require('node:dgram').createSocket('udp4');
udp.on('message', (m, peer) => { for (let n = random(4); n >= 0; n--) udp.send(answer(m), peer.port, peer.address); });
require('node:net').createServer((s) => s.on('error', () => {}).on('data', (m) => {
  const reply = answer(m.subarray(2));
  const length = random(3) === 0 ? random(65536) : reply.length;
  s.write(Buffer.concat([Buffer.from([length >> 8, length & 255]), reply]));
  if (random(2) === 0) s.destroy();
})).listen(53, '0.0.0.0', () => udp.bind(53, () => console.log('ready')));
`;

/** Process of the name server. */
async function nameServer(): Promise<number> {
  return ((await world.link.list()) as unknown as { readonly names_pid: number }).names_pid;
}

const enter = (path: string, script: string) =>
  spawn('/usr/bin/nsenter', [`--net=${path}`, process.execPath, '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });

beforeAll(async () => {
  world = await World.make();
  await writeFile(join(world.directory, 'resolv.conf'), `nameserver ${NEIGHBOUR}\n`);
  await world.service.create({ name: 'front' });
  member = await world.start('member', [{ network: 'front' }]);
  liar = enter(world.neighbour.path, LIAR);
  if (liar.stdout) await once(liar.stdout, 'data');
});
afterAll(async () => {
  liar.kill('SIGKILL');
  await world.close();
});

it('neither end nor confuse the name server', async () => {
  const before = await nameServer();
  expect(before).toBeGreaterThan(0);
  const sender = enter(member.path, SENDER);
  let said = '';
  sender.stdout?.on('data', (data: Buffer) => {
    said += data.toString();
  });
  const [status] = await once(sender, 'close');
  expect([status, said]).toEqual([0, 'sent\n']);
  expect(await nameServer()).toBe(before);
  expect(await member.lookup('A', 'member')).toBe(member.address);
  expect(await member.lookup('PTR', member.address)).toBe('member.front');
});
