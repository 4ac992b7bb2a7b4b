/**
 * Runs what one half of the program does in everyday use, then keeps what V8 has compiled by then:
 * `node rehearse.ts DIST HALF`.
 */
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compiledFolder, type Half, keepCode, openBundle } from './open-bundle.ts';
import { REHEARSALS, SAMPLE } from './rehearsal.ts';
import { openRehearsalEngine } from './rehearsal-engine.ts';

interface Main {
  readonly finished: Promise<void>;
  readonly runCommand: (argv: readonly string[]) => Promise<number>;
  readonly loadDaemon: () => Promise<object>;
}

// What the builder has set for its own stacks says nothing about the rehearsal.
for (const name of Object.keys(process.env)) if (/^(?:COMPOSE|DOCKER|TSCOMPOSE)_/.test(name)) delete process.env[name];

const [, , dist = '', half = 'command'] = process.argv as [string, string, string?, Half?];
const bundle = openBundle(dist, undefined);
process.argv = [process.execPath, join(dist, 'tscompose.cjs'), '--version'];
const main = bundle.load('main.cjs') as Main;
await main.finished;
if (half === 'daemon') await main.loadDaemon();
else await rehearseCommands();

// Complete or not there: a half-written folder would be taken for the whole.
const made = compiledFolder(dist, half);
rmSync(`${made}.tmp`, { recursive: true, force: true });
mkdirSync(`${made}.tmp`, { recursive: true });
keepCode(bundle, `${made}.tmp`);
rmSync(made, { recursive: true, force: true });
renameSync(`${made}.tmp`, made);
process.exit(0);

async function rehearseCommands(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tscompose-rehearsal-'));
  try {
    for (const [file, text] of Object.entries(SAMPLE)) writeFileSync(join(folder, file), text);
    process.chdir(folder);
    const socket = join(folder, 'engine.sock');
    process.env['DOCKER_HOST'] = `unix://${socket}`;
    const engine = await openRehearsalEngine(socket);
    engine.unref();
    for (const argv of REHEARSALS) {
      const status = await main.runCommand(argv);
      if (status !== 0) throw new Error(`tscompose ${argv.join(' ')} ended with ${status}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
