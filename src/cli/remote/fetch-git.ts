import { join } from 'node:path';
import { type GitAddress, isCommit, isForgeable, withoutPassword } from '../../compose/index.ts';
import { TscError } from '../../core/index.ts';
import {
  isErrno,
  listTree,
  type RunResult,
  removeFile,
  removeTree,
  resolveInside,
  runProgram,
  writeAtomically,
} from '../../host/index.ts';
import type { RemoteCache } from './remote-cache.ts';
import type { Fetched, FetchOptions } from './remote-tree.ts';

const DEADLINE_MS = 300_000;
/** git's status when the repository has no such ref. */
const NO_SUCH_REF = 2;

/** The tree of the commit that an address names now; the kept one when the repository cannot be asked. */
export async function fetchGit(address: GitAddress, cache: RemoteCache, options: FetchOptions): Promise<Fetched> {
  const asked = `git ${address.repository} ${address.ref ?? 'HEAD'}`;
  if (options.offline) return recalled(asked, cache, undefined);
  let commit: string;
  try {
    commit = await resolveCommit(address, options);
  } catch (error) {
    if (!(error instanceof TscError) || error.code !== 'cli/unavailable') throw error;
    return recalled(asked, cache, error);
  }
  const key = `git-${commit}`;
  const root =
    (await cache.find(key)) ?? (await cache.keep(key, (folder) => checkOut(address, commit, folder, options)));
  await cache.remember(asked, key);
  if (!isForgeable(address)) return { root };
  const shown = withoutPassword(address.repository);
  return {
    root,
    warning: `${shown} is read in the clear: anybody on the way can change it; use https, or name a commit`,
  };
}

async function recalled(asked: string, cache: RemoteCache, error: TscError | undefined): Promise<Fetched> {
  const known = await cache.recall(asked);
  if (!known) throw error ?? new TscError('cli/not-found', 'no copy is kept', { hint: 'run tscompose config once' });
  if (!error) return { root: known.path };
  return { root: known.path, warning: `${error.message}; the copy of ${known.at.slice(0, 16)} is used` };
}

async function resolveCommit({ repository, ref = 'HEAD' }: GitAddress, options: FetchOptions): Promise<string> {
  if (isCommit(ref)) return ref;
  const answer = await git(['ls-remote', '--exit-code', '--', repository, ref], '/', options);
  if (answer.status === NO_SUCH_REF)
    throw new TscError('cli/not-found', `the repository has no branch or tag ${ref}`, {
      hint: 'commits are named by all of their 40 digits',
    });
  if (answer.status !== 0) throw failure(answer, repository, 'the repository does not answer');
  const refs = new Map(answer.stdout.split('\n').map((line) => [line.split('\t')[1] ?? '', line.split('\t')[0] ?? '']));
  const names = [ref, `refs/heads/${ref}`, `refs/tags/${ref}`];
  const found = names.map((name) => refs.get(name)).find((value) => value !== undefined);
  if (found !== undefined && isCommit(found)) return found;
  throw new TscError('cli/not-found', `the repository has no branch or tag ${ref}`);
}

async function checkOut(
  { repository }: GitAddress,
  commit: string,
  folder: string,
  options: FetchOptions,
): Promise<void> {
  const steps = [
    ['init', '-q', '--template=', '.'],
    ['fetch', '-q', '--depth=1', '--no-tags', '--no-recurse-submodules', '--', repository, commit],
    ['checkout', '-q', '--detach', commit],
  ];
  for (const step of steps) {
    const answer = await git(step, folder, options);
    if (answer.status !== 0) throw failure(answer, repository, `cannot get the commit ${commit.slice(0, 12)}`);
  }
  await removeTree(join(folder, '.git'));
  await confineLinks(folder);
}

/** Links that lead out of the tree become files with their target as text, as git writes them where there are no links. */
async function confineLinks(root: string): Promise<void> {
  const links = (await listTree(root)).filter(({ kind }) => kind === 'link');
  const leading = await Promise.all(links.map(async ({ path }) => !(await staysInside(root, path))));
  for (const { path, target } of links.filter((_link, i) => leading[i])) {
    await removeFile(join(root, path));
    await writeAtomically(join(root, path), target, { mode: 0o644 });
  }
}

async function staysInside(root: string, path: string): Promise<boolean> {
  try {
    await resolveInside(root, path);
    return true;
  } catch (error) {
    if (error instanceof TscError || isErrno(error, 'EACCES', 'ENAMETOOLONG')) return false;
    throw error;
  }
}

/** What a repository must not decide, and what the user's own configuration must not add. */
const SETTINGS = [
  'advice.detachedHead=false',
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'credential.helper=',
  'protocol.ext.allow=never',
  'protocol.file.allow=never',
  'submodule.recurse=false',
].flatMap((setting) => ['-c', setting]);

/** Variables that git may see: how to reach the network, and where keys and .netrc are. */
const PASSED = [
  'PATH',
  'HOME',
  'SSH_AUTH_SOCK',
  'http_proxy',
  'https_proxy',
  'HTTPS_PROXY',
  'all_proxy',
  'no_proxy',
  'NO_PROXY',
];

async function git(args: readonly string[], folder: string, { environment }: FetchOptions): Promise<RunResult> {
  const passed = PASSED.flatMap((name): [string, string][] => {
    const value = environment[name];
    return value === undefined ? [] : [[name, value]];
  });
  try {
    return await runProgram('git', [...SETTINGS, ...args], {
      cwd: folder,
      environment: {
        PATH: '/usr/bin:/bin',
        ...Object.fromEntries(passed),
        LANG: 'C.UTF-8',
        GIT_ALLOW_PROTOCOL: 'https:http:ssh:git',
        GIT_ATTR_NOSYSTEM: '1',
        GIT_CONFIG_GLOBAL: '/dev/null',
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_SSH_COMMAND: 'ssh -o BatchMode=yes -o ControlMaster=no',
        GIT_ASKPASS: 'true',
        GIT_TERMINAL_PROMPT: '0',
      },
      signal: AbortSignal.timeout(DEADLINE_MS),
    });
  } catch (error) {
    if (isErrno(error instanceof TscError ? error.cause : error, 'ENOENT'))
      throw new TscError('cli/unsupported', 'there is no git on this machine', { hint: 'install git' });
    throw error;
  }
}

function failure(answer: RunResult, repository: string, what: string): TscError {
  const words = answer.stderr
    .replaceAll(repository, withoutPassword(repository))
    .split('\n')
    .map((line) =>
      line
        .replace(/^(?:fatal|error): /, '')
        .replace(/[^\P{C}]/gu, ' ')
        .trim(),
    )
    .filter((line) => line !== '');
  return new TscError(
    'cli/unavailable',
    `${what}: ${words.slice(0, 2).join('; ').slice(0, 300) || `git ended with ${answer.status}`}`,
    {
      hint: 'check the address and the network; private repositories are read with an ssh agent or ~/.netrc',
    },
  );
}
