import { join } from 'node:path';
import { type FetchedFile, isCovered, type RemoteAddress, type RemoteFiles } from '../../compose/index.ts';
import { TscError } from '../../core/index.ts';
import { lstatIfExists } from '../../host/index.ts';
import { RemoteCache } from './remote-cache.ts';
import type { Fetched, FetchOptions } from './remote-tree.ts';

const NAMES = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'];
const SWITCHES = { git: 'COMPOSE_EXPERIMENTAL_GIT_REMOTE', oci: 'COMPOSE_EXPERIMENTAL_OCI_REMOTE' } as const;

/** Those of the command line: `--trust-remote` and, for scripts, TSCOMPOSE_TRUST_REMOTE with blanks between addresses. */
export function remoteFiles(
  trusted: readonly string[] | undefined,
  environment: FetchOptions['environment'],
  offline = false,
): RemoteFiles {
  const named = (environment['TSCOMPOSE_TRUST_REMOTE'] ?? '').split(/\s+/);
  return openRemoteFiles({ environment, offline, trusted: [...(trusted ?? []), ...named] });
}

/** Remote files by git and from registries, each address asked for once. `trusted`: addresses that may use what this machine has. */
function openRemoteFiles(options: FetchOptions & { readonly trusted: readonly string[] }): RemoteFiles {
  let cache: RemoteCache | undefined;
  const known = new Map<string, Promise<FetchedFile>>();
  return {
    fetch: (address) => {
      cache ??= new RemoteCache(options.environment);
      const started = known.get(address.text) ?? fetchFile(address, cache, options);
      known.set(address.text, started);
      return started;
    },
  };
}

async function fetchFile(
  address: RemoteAddress,
  cache: RemoteCache,
  options: FetchOptions & { readonly trusted: readonly string[] },
): Promise<FetchedFile> {
  refuseDisabled(address, options);
  const { root, warning } = await fetchTree(address, cache, options);
  const file = await composeFile(root, address.kind === 'git' ? (address.path ?? '') : 'compose.yaml');
  return { file, root, trusted: isCovered(address.text, options.trusted), ...(warning !== undefined && { warning }) };
}

/** The clients are loaded when they are needed; hardly any project has remote files. */
async function fetchTree(address: RemoteAddress, cache: RemoteCache, options: FetchOptions): Promise<Fetched> {
  if (address.kind === 'git') return (await import('./fetch-git.ts')).fetchGit(address, cache, options);
  return (await import('./fetch-oci.ts')).fetchOci(address, cache, options);
}

function refuseDisabled({ kind }: RemoteAddress, { environment }: FetchOptions): void {
  const name = SWITCHES[kind];
  if (!/^(?:0|f|false)$/i.test(environment[name] ?? '')) return;
  throw new TscError('cli/unsupported', `it is switched off by ${name}`, { hint: `unset ${name}` });
}

/** A folder stands for the compose file in it. */
async function composeFile(root: string, path: string): Promise<string> {
  const place = join(root, path);
  const found = await lstatIfExists(place);
  if (!found) throw new TscError('cli/not-found', `it has no ${path}`, { hint: 'check what follows the colon' });
  if (!found.isDirectory()) return place;
  for (const name of NAMES) if (await lstatIfExists(join(place, name))) return join(place, name);
  throw new TscError('cli/not-found', `there is no compose file in ${path || 'its top folder'}`, {
    hint: 'name the file after # and a colon: #ref:folder/file.yaml',
  });
}
