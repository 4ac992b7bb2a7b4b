/** `npm start`: makes the base image if need be, brings the stack up, proves that it works, and says what to try next. */
import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEngine, resolveEndpoint, runDirectory, startDaemon } from '../../src/client/index.ts';

const BASE_IMAGE = 'debian:bookworm-slim';
const FOLDER = import.meta.dirname;
const COMMAND = new URL('../../src/launch/tscompose', import.meta.url).pathname;
const PORT = process.env['QUICKSTART_PORT'] ?? '8080';
const URL_OF_WEB = `http://127.0.0.1:${PORT}/`;
/** A hub that does not answer must not cost more than this. */
const PULL_LIMIT_MS = 15_000;

const say = (text: string) => void process.stderr.write(`quickstart: ${text}\n`);

async function connectEngine() {
  const endpoint = await resolveEndpoint(undefined, process.env);
  if (endpoint.isLocalDefault && endpoint.socketPath) {
    await startDaemon({
      socketPath: endpoint.socketPath,
      runDirectory: runDirectory(process.env),
      instance: process.env['TSCOMPOSE_INSTANCE'] || 'tsc',
      deadline: 15_000,
      ...(process.env['TSCOMPOSE_DATA_DIR'] && { dataDirectory: process.env['TSCOMPOSE_DATA_DIR'] }),
    });
  }
  return openEngine(endpoint);
}

/** Present, else pulled, else made from Debian packages. */
async function ensureBaseImage(): Promise<void> {
  const client = await connectEngine();
  try {
    if (await client.inspectImage(BASE_IMAGE)) return;
    say(`pulling ${BASE_IMAGE}`);
    try {
      await client.pullImage(BASE_IMAGE, { signal: AbortSignal.timeout(PULL_LIMIT_MS) });
      return;
    } catch (error) {
      say(`${BASE_IMAGE} cannot be pulled here (${error instanceof Error ? error.message : String(error)})`);
    }
    say(`making ${BASE_IMAGE} from Debian packages with mmdebstrap instead, which takes about 20 seconds`);
    await using folder = await mkdtempDisposable(join(tmpdir(), 'tsc-quickstart-'));
    const archive = join(folder.path, 'debian.tar');
    await debootstrap(archive);
    await client.importImage(createReadStream(archive), BASE_IMAGE);
  } finally {
    client.close();
  }
}

/** A minimal Debian as a tar file. The machine's own download settings of apt go with it. */
async function debootstrap(file: string): Promise<void> {
  const options = ['Acquire::Check-Valid-Until', 'Acquire::Check-Date', 'Acquire::http::Proxy', 'Acquire::https::Proxy'];
  const dump = await output('apt-config', ['dump', ...options]);
  const settings = dump.split('\n').filter((line) => line.startsWith('Acquire::'));
  // What debian:bookworm-slim leaves out as well.
  const left = ['man', 'doc', 'locale', 'info', 'groff', 'lintian'];
  const args = [
    ...['--quiet', '--variant=minbase', '--mode=root', '--format=tar'],
    ...settings.map((line) => `--aptopt=${line.replace(/;$/, '')}`),
    ...left.map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`),
    ...['bookworm', file],
  ];
  await finished(spawn('mmdebstrap', args, { stdio: ['ignore', 'inherit', 'inherit'] }), 'mmdebstrap (apt-get install mmdebstrap)');
}

function finished(child: ReturnType<typeof spawn>, what: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  child.on('error', (error) => reject(new Error(`${what} cannot be run: ${error.message}`)));
  child.on('close', (status) => (status === 0 ? resolve() : reject(new Error(`${what} ended with status ${status}`))));
  promise.catch(() => undefined);
  return promise;
}

async function output(file: string, args: readonly string[]): Promise<string> {
  const child = spawn(file, [...args], { stdio: ['ignore', 'pipe', 'ignore'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  await finished(child, file).catch(() => undefined);
  return text;
}

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
