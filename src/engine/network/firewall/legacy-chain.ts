import { pathExists, readTextIfExists } from '../../../host/index.ts';
import { type FoundRule, type GuestChain, type GuestTools, type PassRule, tag } from './guest-chain.ts';

const NAME = 'DOCKER-USER';
const LEGACY = {
  ip: { tables: '/proc/net/ip_tables_names', program: '/usr/sbin/iptables-legacy' },
  ip6: { tables: '/proc/net/ip6_tables_names', program: '/usr/sbin/ip6tables-legacy' },
} as const;
/** Seconds to wait for the lock that all of these programs share. */
const WAIT = ['-w', '5'];

/** Our rules in what `iptables -S` prints; one that is not as we write it has no name. Pure. */
export function parseLegacyRules(text: string, instance: string): readonly FoundRule[] {
  return text.split('\n').flatMap((line) => {
    const [, specification, comment] = /^-A \S+ (.*--comment "?([^ "]+)"?.*)$/.exec(line) ?? [];
    if (specification === undefined || comment !== tag(instance)) return [];
    const [, side, name = ''] = /^-([io]) (\S+) -m comment --comment \S+ -j ACCEPT$/.exec(specification) ?? [];
    return [{ side: side === 'i' ? 'in' : 'out', name, reference: specification }];
  });
}

/** What `iptables-restore` reads. Pure. */
export function renderLegacyRules(instance: string, remove: readonly FoundRule[], add: readonly PassRule[]): string {
  return [
    '*filter',
    ...remove.map(({ reference }) => `-D ${NAME} ${reference}`),
    ...add.map(
      ({ side, name }) =>
        `-I ${NAME} -${side === 'in' ? 'i' : 'o'} ${name} -m comment --comment ${tag(instance)} -j ACCEPT`,
    ),
    'COMMIT\n',
  ].join('\n');
}

/** DOCKER-USER of a Docker that was started with iptables-legacy. */
export function legacyChain({ keeper, instance }: GuestTools, family: 'ip' | 'ip6'): GuestChain {
  const { tables, program } = LEGACY[family];
  return {
    async list() {
      // To ask the program would make the table, for every packet to pass.
      const names = await readTextIfExists(tables);
      if (!names?.split('\n').includes('filter') || !(await pathExists(program))) return undefined;
      const { status, stdout } = await keeper.run({ file: program, args: [...WAIT, '-S', NAME] });
      return status === 0 ? parseLegacyRules(stdout, instance) : undefined;
    },
    async change(remove, add) {
      const stdin = renderLegacyRules(instance, remove, add);
      await keeper.run({ file: `${program}-restore`, args: [...WAIT, '--noflush'], stdin });
    },
  };
}
