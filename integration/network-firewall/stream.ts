import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Place, World } from '../network-reach/world.ts';

const ECHO = `
const socket = require('node:dgram').createSocket('udp4');
socket.on('message', (m, peer) => socket.send(m, peer.port, peer.address));
socket.bind(7007, () => console.log('ready'));
`;

/**
 * Keeps some packets under way: each answer sends the next one, so that no buffer overflows and what does not come back was
 * dropped. A lost one is sent again as a new packet, for the stream must not dry up. Told to stop, it prints what it saw.
 */
const STREAM = `
const [address] = process.argv.slice(1);
const socket = require('node:dgram').createSocket('udp4');
const under_way = new Map();
let next = 0, answered = 0, lost = 0, over = false;
const send = () => {
  const text = String(next++);
  under_way.set(text, Date.now());
  socket.send(text, 7007, address);
};
socket.on('message', (m) => {
  if (!under_way.delete(String(m))) return;
  if (++answered === 1) console.log('ready');
  if (!over) send();
});
for (let i = 0; i < 16; i++) send();
process.on('SIGTERM', () => { over = true; });
setInterval(() => {
  for (const [text, at] of under_way) {
    if (Date.now() - at < 2000) continue;
    under_way.delete(text);
    lost++;
    if (!over) send();
  }
  if (over && under_way.size === 0) {
    console.log(JSON.stringify({ answered, lost }));
    process.exit(0);
  }
}, 50);
`;

export interface Stream {
  /** Ends it, once every packet has been answered or given up. */
  stop(): Promise<{ readonly answered: number; readonly lost: number }>;
}

/** A steady stream of packets there and back between two places. */
export async function startStream(world: World, from: Place, to: Place, address: string): Promise<Stream> {
  const echo = await world.spawn(to, process.execPath, '-e', ECHO);
  const sender: ChildProcess = await world.spawn(from, process.execPath, '-e', STREAM, address);
  return {
    async stop() {
      const said = once(sender.stdout ?? sender, 'data');
      sender.kill('SIGTERM');
      const [text] = await said;
      const gone = once(echo, 'exit');
      echo.kill('SIGKILL');
      await gone;
      return JSON.parse(String(text));
    },
  };
}
