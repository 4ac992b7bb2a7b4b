/** The image that the examples are built from: present, else pulled, else made from Debian packages. Run as a program it does just that. */
import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEngine, resolveEndpoint, runDirectory, startDaemon } from '../src/client/index.ts';

const BASE_IMAGE = 'debian:bookworm-slim';
/** A hub that does not answer must not cost more than this. */
const PULL_LIMIT_MS = 15_000;

const say = (text: string) => void process.stderr.write(`examples: ${text}\n`);

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

/** Leaves the engine with the base image. */
export async function ensureBaseImage(): Promise<void> {
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
    await using folder = await mkdtempDisposable(join(tmpdir(), 'tsc-examples-'));
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

/** Resolves when a child ended well; rejects with what it was for. */
export function finished(child: ReturnType<typeof spawn>, what: string): Promise<void> {
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

if (import.meta.main) await ensureBaseImage();
