import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ABIS = ['x86_64', 'i386', 'x32'] as const;
const UPDATE = process.env['UPDATE_GOLDEN'] === '1';
/** Calls newer than the headers a machine may have. */
const NEWER =
  'cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat listxattrat removexattrat open_tree_attr file_getattr file_setattr listns';

/** Differences between what the prober printed and the golden files, one line each. With UPDATE_GOLDEN=1 the files are written anew. */
export function compareWithGolden(printed: string): string[] {
  const differences: string[] = [];
  for (const abi of ABIS) {
    const path = join(import.meta.dirname, 'golden', `${abi}.txt`);
    const verdicts = new Map<string, string>();
    for (const line of printed.split('\n')) {
      const [of, number, ...verdict] = line.split(' ');
      if (of === abi && number !== undefined) verdicts.set(number, verdict.join(' '));
    }
    if (UPDATE) writeGolden(path, abi, verdicts);
    differences.push(...compare(path, abi, verdicts));
  }
  return differences;
}

function compare(path: string, abi: string, verdicts: ReadonlyMap<string, string>): string[] {
  const golden = new Map(
    readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => /^\d/.test(line))
      .map((line) => {
        const [number = '', name = '', ...verdict] = line.split(' ');
        return [number, { name, verdict: verdict.join(' ') }] as const;
      }),
  );
  const numbers = new Set([...golden.keys(), ...verdicts.keys()]);
  return [...numbers].flatMap((number) => {
    const expected = golden.get(number);
    const actual = verdicts.get(number) ?? 'not asked';
    return actual === expected?.verdict
      ? []
      : [`${abi} ${number} ${expected?.name ?? '?'}: ${actual}, expected ${expected?.verdict ?? 'nothing'}`];
  });
}

function writeGolden(path: string, abi: string, verdicts: ReadonlyMap<string, string>): void {
  const names = callNames(abi);
  const lines = [...verdicts].map(([number, verdict]) => `${number} ${names.get(Number(number)) ?? '-'} ${verdict}`);
  writeFileSync(
    path,
    `# What the default policy says to every call of ${abi}: number, name, answer.\n${lines.join('\n')}\n`,
  );
}

function callNames(abi: string): Map<number, string> {
  const file = { x86_64: 'unistd_64.h', i386: 'unistd_32.h', x32: 'unistd_x32.h' }[abi] ?? '';
  const header = `/usr/include/x86_64-linux-gnu/asm/${file}`;
  const text = existsSync(header) ? readFileSync(header, 'utf8') : '';
  const names = new Map(
    [...text.matchAll(/#define __NR_(\w+) \(?(?:__X32_SYSCALL_BIT \+ )?(\d+)/g)].map(
      ([, name = '', number]) => [Number(number), name] as const,
    ),
  );
  for (const [index, name] of NEWER.split(' ').entries()) names.set(451 + index, name);
  return names;
}
