import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { TscError } from '../core/index.ts';
import { readJsonIfExists, readTextIfExists } from '../host/index.ts';
import { record, text } from './read-answers.ts';

export interface EngineEndpoint {
  /** `unix:///run/tscompose/tscompose.sock`, for messages. */
  readonly address: string;
  /** Our own daemon's socket: it may be started when absent. */
  readonly isLocalDefault: boolean;
  readonly socketPath?: string;
  /** Connection options of the transport. */
  readonly options: {
    readonly socketPath?: string;
    readonly host?: string;
    readonly port?: number;
    readonly protocol?: 'http' | 'https';
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
  };
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Run directory of the local daemon: `TSCOMPOSE_RUN_DIR`, else `/run/tscompose`. */
export function runDirectory(environment: Environment): string {
  return environment['TSCOMPOSE_RUN_DIR'] || '/run/tscompose';
}

/**
 * Which engine to talk to: `--host`, else `DOCKER_HOST`, else `DOCKER_CONTEXT`, else our own daemon. Throws `client/invalid` for an address that
 * is none, `client/unsupported` for ssh and npipe.
 */
export async function resolveEndpoint(host: string | undefined, environment: Environment): Promise<EngineEndpoint> {
  const given = host || environment['DOCKER_HOST'] || (await contextHost(environment));
  if (given) return parseEndpoint(given, environment);
  const socketPath = join(runDirectory(environment), 'tscompose.sock');
  return { address: `unix://${socketPath}`, isLocalDefault: true, socketPath, options: { socketPath } };
}

/** Reads an address such as `unix:///path` or `tcp://host:2375`. */
export async function parseEndpoint(address: string, environment: Environment = {}): Promise<EngineEndpoint> {
  const match = /^(?:([a-z]+):\/\/)?(.*)$/.exec(address);
  const scheme = match?.[1] ?? 'tcp';
  const rest = match?.[2] ?? '';
  if (scheme === 'unix' && rest !== '') {
    return { address, isLocalDefault: false, socketPath: rest, options: { socketPath: rest } };
  }
  if (scheme === 'ssh' || scheme === 'npipe' || scheme === 'fd') {
    throw new TscError('client/unsupported', `engine address ${address}: ${scheme} is not supported`, {
      hint: 'use unix:// or tcp://; for a remote engine forward its socket with ssh -L',
    });
  }
  const url = URL.parse(`http://${rest}`);
  if (!url || !['tcp', 'http', 'https'].includes(scheme)) {
    throw new TscError('client/invalid', `invalid engine address ${JSON.stringify(address)}`, {
      hint: 'write unix:///path/to.sock or tcp://host:port',
    });
  }
  const tls = scheme === 'https' || Boolean(environment['DOCKER_TLS_VERIFY']);
  return {
    address,
    isLocalDefault: false,
    options: {
      host: url.hostname,
      port: Number(url.port || (tls ? 2376 : 2375)),
      protocol: tls ? 'https' : 'http',
      ...(tls && (await readCertificates(environment))),
    },
  };
}

async function readCertificates(environment: Environment): Promise<{ ca?: string; cert?: string; key?: string }> {
  const directory = environment['DOCKER_CERT_PATH'];
  if (!directory) return {};
  const [ca, cert, key] = await Promise.all(
    ['ca.pem', 'cert.pem', 'key.pem'].map((name) => readTextIfExists(join(directory, name))),
  );
  if (ca && cert && key) return { ca, cert, key };
  throw new TscError('client/invalid', `ca.pem, cert.pem or key.pem is missing in DOCKER_CERT_PATH (${directory})`);
}

/** Address behind `DOCKER_CONTEXT`, from the context store of the docker command. */
async function contextHost(environment: Environment): Promise<string | undefined> {
  const name = environment['DOCKER_CONTEXT'];
  if (!name || name === 'default') return undefined;
  const config = environment['DOCKER_CONFIG'] || join(environment['HOME'] ?? '/', '.docker');
  const folder = createHash('sha256').update(name).digest('hex');
  const meta = record(await readJsonIfExists(join(config, 'contexts', 'meta', folder, 'meta.json')));
  const address = text(record(record(meta['Endpoints'])['docker'])['Host']);
  if (address) return address;
  throw new TscError('client/not-found', `no docker context named ${JSON.stringify(name)}`, {
    hint: 'unset DOCKER_CONTEXT to use the local tscompose daemon',
  });
}
