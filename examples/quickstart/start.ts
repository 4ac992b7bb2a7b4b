/** `npm start`: makes the base image if need be, brings the stack up, proves that it works, and says what to try next. */
import { spawn } from 'node:child_process';
import { ensureBaseImage, finished } from '../base-image.ts';

const FOLDER = import.meta.dirname;
const COMMAND = new URL('../../src/launch/tscompose', import.meta.url).pathname;
const PORT = process.env['QUICKSTART_PORT'] ?? '8080';
const URL_OF_WEB = `http://127.0.0.1:${PORT}/`;

const say = (text: string) => void process.stderr.write(`quickstart: ${text}\n`);

function tscompose(...args: string[]): Promise<void> {
  return finished(spawn(COMMAND, args, { cwd: FOLDER, stdio: 'inherit' }), `tscompose ${args.join(' ')}`);
}

/** Sends one job the way a browser does and waits for its result. */
async function proveItWorks(): Promise<void> {
  const text = 'made by npm start';
  const signal = AbortSignal.timeout(20_000);
  const posted = await fetch(`${URL_OF_WEB}jobs`, { method: 'POST', body: text, signal });
  const { id } = (await posted.json()) as { id: string };
  const job = (await (await fetch(`${URL_OF_WEB}jobs/${id}`, { signal })).json()) as Record<string, string>;
  if (job['state'] !== 'done' || job['words'] !== '4') throw new Error(`unexpected result ${JSON.stringify(job)}`);
  say(`job ${id} went web → queue → worker → database: “${text}” has ${job['words']} words`);
}

try {
  await ensureBaseImage();
  await tscompose('up', '-d', '--build', '--wait');
  await proveItWorks();
  process.stdout.write(`
The stack is up: ${URL_OF_WEB}

Next, in examples/quickstart (tscompose is src/launch/tscompose of this checkout):
  tscompose ps                 what is running
  tscompose logs -f            its output
  tscompose up --watch         then edit web/page/index.html, worker/worker.py or a Dockerfile
  tscompose exec db redis-cli  a shell into the database
  tscompose down -v            remove everything, the data too
`);
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
