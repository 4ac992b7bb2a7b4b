import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ASK } from '../kit/bundle.ts';
import { type Member, World } from '../network-reach/world.ts';

// N11: one container floods the name server of all.
const HALF_OPEN = 500;
const FLOOD_PER_SECOND = 10_000;
/** What others may wait at most, in µs. */
const ANSWERED_WITHIN = 50_000;

let world: World;
let attacker: Member;
let victim: Member;
const processes: ChildProcess[] = [];

const enter = (member: Member, ...command: string[]) => {
  const child = spawn('/usr/bin/nsenter', [`--net=${member.path}`, ...command], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  processes.push(child);
  return child;
};

async function measure(member: Member, ...args: string[]) {
  const child = enter(member, ASK, '127.0.0.11', ...args);
  let text = '';
  child.stdout?.on('data', (data: Buffer) => {
    text += data.toString();
  });
  const [status] = await once(child, 'close');
  if (status !== 0) throw new Error(`ask ended with ${status}`);
  return JSON.parse(text) as { qps: number; p99: number; worst: number; lost: number; refused: number };
}

const HOLD = `
const net = require('node:net');
let open = 0, ended = 0;
for (let index = 0; index < ${HALF_OPEN}; index++) {
  const socket = net.connect(53, '127.0.0.11', () => {
    // The length of a question that never comes.
    socket.write(Buffer.from([0, 40]));
    if (++open === ${HALF_OPEN}) console.log('open');
  });
  socket.on('error', () => {}).on('close', () => ended++);
}
setTimeout(() => {}, 60000);
`;

/** The question for `victim`, over TCP. */
const TCP = `
const question = Buffer.from('001d0007010000010000000000000676696374696d0000010001', 'hex');
question.writeUInt16BE(question.length - 2);
const socket = require('node:net').connect(53, '127.0.0.11', () => socket.write(question));
socket.on('data', (data) => { console.log(data[5] & 15 ? 'refused' : 'answered'); socket.destroy(); });
`;

beforeAll(async () => {
  world = await World.make();
  await world.service.create({ name: 'front' });
  attacker = await world.start('attacker', [{ network: 'front' }], [], { servers: ['192.0.2.9'] });
  victim = await world.start('victim', [{ network: 'front' }]);
});
afterAll(async () => {
  for (const child of processes) child.kill('SIGKILL');
  await world.close();
});

it('N11: half-open connections and a flood of one container delay no other', async () => {
  const holder = enter(attacker, process.execPath, '-e', HOLD);
  if (holder.stdout) await once(holder.stdout, 'data');
  // Half of it is answered here, half is relayed to a server that never answers: its quota fills up.
  const half = String(FLOOD_PER_SECOND / 2);
  const floods = ['victim', 'never.example'].map((name) =>
    enter(attacker, ASK, '127.0.0.11', name, 'rate', half, '60'),
  );
  // A machine that is busy with other tests may be late by itself, a starved server always is.
  let others = await measure(victim, 'attacker', 'rate', '200', '2');
  for (let again = 0; again < 3 && others.p99 >= ANSWERED_WITHIN; again++)
    others = await measure(victim, 'attacker', 'rate', '200', '2');
  expect(others).toMatchObject({ lost: 0, refused: 0 });
  expect(others.p99).toBeLessThan(ANSWERED_WITHIN);
  expect(floods.map((flood) => flood.exitCode)).toEqual([null, null]);
  // The attacker itself still gets answers, and over TCP too: the oldest of its connections made way.
  const tcp = await attacker.run(process.execPath, '-e', TCP);
  expect(tcp).toContain('answered');
});
