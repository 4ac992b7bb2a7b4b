/** A compose file that is not on this machine. */
export type RemoteAddress = GitAddress | OciAddress;

export interface GitAddress {
  readonly kind: 'git';
  /** As written. */
  readonly text: string;
  /** What git is told. */
  readonly repository: string;
  /** Branch, tag or full commit; the default branch otherwise. */
  readonly ref?: string;
  /** Folder or file inside the repository, without `..`. */
  readonly path?: string;
}

export interface OciAddress {
  readonly kind: 'oci';
  readonly text: string;
  /** Image reference, unchecked. */
  readonly reference: string;
}

/** Why an address is not taken. */
export interface BadAddress {
  readonly kind: 'bad';
  readonly problem: string;
  readonly hint: string;
}

const SCP_STYLE = /^[\w.-]+@[^/:@\s]+:/;
const SCHEME = /^[a-z][a-z0-9+.-]*:\/\//i;
/** A user or host that begins with a dash would be an option of ssh. */
const AUTHORITY = /^(?:[\w.~%+][\w.~%+:-]*@)?(?:[A-Za-z0-9][\w.-]*|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;
const COMMON_HINT =
  'write https://host/path.git#ref:folder, git@host:path.git#ref:folder or oci://registry/repository:tag';

/** Whether a file is named by an address; everything else is a path. */
export function isRemoteFile(text: string): boolean {
  if (/^\.{0,2}\//.test(text)) return false;
  return SCHEME.test(text) || SCP_STYLE.test(text) || text.startsWith('github.com/');
}

/**
 * Reads an address: `https:`, `http:`, `ssh:` and `git:` repositories, `user@host:path`, `github.com/…` and `oci://…`. Everything that
 * could be an option of git or ssh, or lead out of the repository, is refused here, before any program sees it.
 */
export function parseRemoteAddress(text: string): RemoteAddress | BadAddress {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\x00-\x20\x7f]/.test(text)) return bad('has a blank or a control character');
  if (text.startsWith('oci://')) return { kind: 'oci', text, reference: text.slice('oci://'.length) };
  const hash = text.indexOf('#');
  const address = hash < 0 ? text : text.slice(0, hash);
  const fragment = hash < 0 ? '' : text.slice(hash + 1);
  const repository = address.startsWith('github.com/') ? `https://${address}` : address;
  const problem = repositoryProblem(repository, address);
  if (problem) return problem;
  const colon = fragment.indexOf(':');
  const ref = colon < 0 ? fragment : fragment.slice(0, colon);
  const path = colon < 0 ? '' : fragment.slice(colon + 1);
  if (ref !== '' && !isSafeRef(ref)) return bad(`names ${JSON.stringify(ref)}, which is no branch, tag or commit`);
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.some((part) => part === '..'))
    return bad('leads out of the repository with ..', 'name a folder inside the repository');
  if (parts.some((part) => part.startsWith('-') || part.includes('\\') || part.toLowerCase() === '.git'))
    return bad(`names ${JSON.stringify(path)}, which is no folder of a repository`);
  return {
    kind: 'git',
    text,
    repository,
    ...(ref !== '' && { ref }),
    ...(parts.length > 0 && { path: parts.join('/') }),
  };
}

function bad(problem: string, hint = COMMON_HINT): BadAddress {
  return { kind: 'bad', problem, hint };
}

function repositoryProblem(repository: string, written: string): BadAddress | undefined {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\/([^/]*)(\/.*)?$/i.exec(repository);
  if (!scheme) {
    const at = repository.indexOf(':');
    const path = repository.slice(at + 1);
    if (!AUTHORITY.test(repository.slice(0, at))) return bad('has no valid host');
    return path === '' || path.startsWith('-') ? bad('has no valid path') : undefined;
  }
  const [, name = '', authority = '', path = ''] = scheme;
  const protocol = name.toLowerCase();
  if (!['https', 'http', 'ssh', 'git'].includes(protocol)) return bad(`uses ${name}://, which is not fetched from`);
  if (!AUTHORITY.test(authority)) return bad('has no valid host');
  if (path.length < 2 || path.startsWith('/-')) return bad('has no valid path');
  const web = protocol === 'https' || protocol === 'http';
  if (web && !written.startsWith('github.com/') && !path.endsWith('.git'))
    return bad('is no git repository: its path must end in .git', `single files are not fetched; ${COMMON_HINT}`);
  return undefined;
}

/** The rules of git for names, and no leading dash. */
function isSafeRef(ref: string): boolean {
  return !/^[-/.]|\.\.|@\{|[~^:?*[\\]|\/\/|\/\.|\/$|\.$|\.lock$/.test(ref);
}

/** An address to show: without the password or token it may carry. */
export function withoutPassword(address: string): string {
  return address.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, (_all, scheme: string) =>
    scheme.toLowerCase() === 'ssh://'
      ? address.slice(0, address.indexOf('@') + 1).replace(/:[^/@:]*@$/, '@')
      : `${scheme}***@`,
  );
}

/** Whether one of the trusted addresses covers this one: it is equal, or names the repository of any ref, tag or digest. */
export function isCovered(address: string, trusted: readonly string[]): boolean {
  return trusted.some((item) => {
    if (item === address) return true;
    return item !== '' && address.startsWith(item) && /^[#:@]/.test(address.slice(item.length));
  });
}

const COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/** Whether a ref is a full commit, which means the same content for ever. */
export function isCommit(ref: string): boolean {
  return COMMIT.test(ref);
}

/** Whether somebody on the way could put another content in the place of this one: plain text, and no commit that would tell. */
export function isForgeable({ repository, ref = '' }: GitAddress): boolean {
  if (!/^(?:http|git):/i.test(repository) || isCommit(ref)) return false;
  return !/^[a-z]+:\/\/(?:[^/@]*@)?(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?\//i.test(repository);
}
