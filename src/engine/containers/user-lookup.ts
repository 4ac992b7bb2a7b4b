import { TscError } from '../../core/index.ts';

/** A user as the process gets it. */
export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  /** From the password file; `/` when it does not name one. */
  readonly home: string;
}

/** Reads a file of the container's own root; undefined when it is absent. */
export type AccountReader = (path: '/etc/passwd' | '/etc/group') => Promise<string | undefined>;

const LARGEST_ID = 2 ** 32 - 2;

/**
 * Resolves `user[:group]`. A text of digits is a number and never looked up as a name, so that no line of the image can
 * turn it into another user. Without a group, the password file's; supplementary groups are those that list the user.
 * Throws `container/invalid`.
 */
export async function resolveUser(
  text: string,
  groupAdd: readonly string[],
  read: AccountReader,
): Promise<ResolvedUser> {
  const [userText = '', groupText, ...more] = text.split(':');
  if (more.length > 0)
    throw new TscError('container/invalid', `invalid user ${JSON.stringify(text)}: expected user[:group]`);
  const [passwd, group] = await Promise.all([read('/etc/passwd'), read('/etc/group')]);
  const accounts = parseAccounts(passwd ?? '');
  const groups = parseGroups(group ?? '');
  const account = findAccount(userText, accounts);
  const uid = account.uid;
  const gid = groupText ? findGroup(groupText, groups) : account.gid;
  const listed = groupText
    ? []
    : groups.filter((group) => group.members.includes(account.name)).map((group) => group.gid);
  const added = groupAdd.map((group) => findGroup(group, groups));
  return { uid, gid, additionalGids: [...new Set([...listed, ...added])], home: account.home };
}

interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface Group {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

function findAccount(text: string, accounts: readonly Account[]): Account {
  const number = parseId(text === '' ? '0' : text, 'user');
  if (number !== undefined) {
    return accounts.find((account) => account.uid === number) ?? { name: '', uid: number, gid: 0, home: '/' };
  }
  const account = accounts.find((candidate) => candidate.name === text);
  if (!account) {
    throw new TscError('container/invalid', `unable to find user ${text}: no matching entries in passwd file`, {
      hint: 'give a number, or add the user to the image',
    });
  }
  return account;
}

function findGroup(text: string, groups: readonly Group[]): number {
  const number = parseId(text, 'group');
  if (number !== undefined) return number;
  const group = groups.find((candidate) => candidate.name === text);
  if (!group) {
    throw new TscError('container/invalid', `unable to find group ${text}: no matching entries in group file`, {
      hint: 'give a number, or add the group to the image',
    });
  }
  return group.gid;
}

/** The number a text of digits stands for; undefined for a name. */
function parseId(text: string, what: string): number | undefined {
  if (!/^[-+]?\d+$/.test(text)) return undefined;
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= LARGEST_ID)) {
    throw new TscError('container/invalid', `invalid ${what} id ${text}: outside 0 to ${LARGEST_ID}`);
  }
  return value;
}

const MAX_LINES = 100_000;

function fields(text: string): string[][] {
  return text
    .split('\n', MAX_LINES)
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.trim().split(':'));
}

const isId = (text: string | undefined): text is string =>
  text !== undefined && /^\d{1,10}$/.test(text) && Number(text) <= LARGEST_ID;

function parseAccounts(text: string): Account[] {
  return fields(text).flatMap(([name = '', , uid, gid, , home]) =>
    isId(uid) && isId(gid) ? [{ name, uid: Number(uid), gid: Number(gid), home: home || '/' }] : [],
  );
}

function parseGroups(text: string): Group[] {
  return fields(text).flatMap(([name = '', , gid, members]) =>
    isId(gid)
      ? [{ name, gid: Number(gid), members: (members ?? '').split(',').filter((member) => member !== '') }]
      : [],
  );
}
