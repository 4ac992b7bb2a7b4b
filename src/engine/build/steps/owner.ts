import { readArchive, readEntryBytes } from '../../../archive/index.ts';
import { isKind, type Position } from '../../../core/index.ts';
import { dockerfileError } from '../../../dockerfile/index.ts';
import { lowerOf, type Step } from '../stage-state.ts';

const MAX_ID = 2 ** 32 - 2;
const FILE_LIMIT = 1 << 20;

/** `user[:group]` of --chown as numbers; names are looked up in the stage's own files. A user alone gives its id to both, as the reference says. */
export async function resolveOwner(
  text: string,
  step: Step,
  at: Position,
): Promise<{ readonly uid: number; readonly gid: number }> {
  const [user = '', group] = text.split(':');
  const uid = await resolveId({ name: user, file: '/etc/passwd', what: 'user', step, at });
  return { uid, gid: group ? await resolveId({ name: group, file: '/etc/group', what: 'group', step, at }) : uid };
}

interface IdQuestion {
  readonly name: string;
  readonly file: string;
  readonly what: 'user' | 'group';
  readonly step: Step;
  readonly at: Position;
}

async function resolveId({ name, file, what, step, at }: IdQuestion): Promise<number> {
  if (/^\d+$/.test(name)) {
    if (Number(name) > MAX_ID) throw dockerfileError(at, `the ${what} id ${name} is too large`);
    return Number(name);
  }
  const row = (await readText(step, file))
    .split('\n')
    .map((line) => line.split(':'))
    .find((fields) => fields[0] === name);
  const id = row?.[2];
  if (name === '' || id === undefined || !/^\d{1,10}$/.test(id) || Number(id) > MAX_ID) {
    throw dockerfileError(
      at,
      `the ${what} ${JSON.stringify(name)} is not in ${file} of the stage`,
      'use a number, or create it in a RUN step before',
    );
  }
  return Number(id);
}

/** A small file of the stage, read confined by the native helper; empty when it is absent or not a file. */
async function readText(step: Step, path: string): Promise<string> {
  const lower = await lowerOf(step.state, step.tools);
  if (lower.length === 0) return '';
  try {
    for await (const entry of readArchive(step.tools.layers.tool.archive({ tree: { kind: 'overlay', lower }, path }))) {
      return entry.type === 'file' ? Buffer.from(await readEntryBytes(entry, FILE_LIMIT)).toString('utf8') : '';
    }
  } catch (error) {
    if (!isKind(error, 'not-found')) throw error;
  }
  return '';
}
