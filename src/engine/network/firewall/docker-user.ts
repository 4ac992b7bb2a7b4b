import { pathExists, readTextIfExists } from '../../../host/index.ts';
import type { KeeperPort } from '../keeper-port.ts';
import { bridgePatterns } from './bridge-patterns.ts';

/**
 * Docker sets the policy of its FORWARD chain to drop and leaves DOCKER-USER to others: without rules there, packets of our
 * bridges die in its table whatever ours says. There may be one such chain per family, and per kind of table: nftables, or the
 * legacy ones where Docker was started with them. A chain is only touched when it exists; our rules carry our tag.
 */
interface Chain {
  /** Rules with our tag; undefined: no such chain. */
  list(): Promise<readonly FoundRule[] | undefined>;
  change(remove: readonly FoundRule[], add: readonly PassRule[]): Promise<void>;
}

/** What comes from interfaces of this name (`in`), or goes to them, is judged by our own table alone. A `+` ends a name that stands for many. */
interface PassRule {
  readonly side: 'in' | 'out';
  readonly name: string;
}

/** A rule that stands, and how the one who lists it names it. */
interface FoundRule extends PassRule {
  readonly reference: string;
}

interface Tools {
  readonly keeper: KeeperPort;
  readonly nft: string;
  readonly instance: string;
}

const NAME = 'DOCKER-USER';
const FAMILIES = ['ip', 'ip6'] as const;
type Family = (typeof FAMILIES)[number];

function tag(instance: string): string {
  return `tscompose:${instance}`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** A value inside of parsed JSON. */
function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>((each, key) => (isRecord(each) ? each[key] : undefined), value);
}

/** Our rules in `nft -j -a list chain` output; one that is not as we write it has no name. Pure. */
export function parseNftRules(json: string, instance: string): readonly FoundRule[] {
  const items = at(JSON.parse(json), 'nftables');
  return (Array.isArray(items) ? items : []).flatMap((item: unknown) => {
    const rule = at(item, 'rule');
    const handle = at(rule, 'handle');
    if (at(rule, 'comment') !== tag(instance) || typeof handle !== 'number') return [];
    const name = at(rule, 'expr', 0, 'match', 'right');
    const side = at(rule, 'expr', 0, 'match', 'left', 'meta', 'key') === 'iifname' ? 'in' : 'out';
    return [{ side, name: typeof name === 'string' ? name.replace(/\*$/, '+') : '', reference: String(handle) }];
  });
}

export function renderNftRules(
  family: Family,
  instance: string,
  remove: readonly FoundRule[],
  add: readonly PassRule[],
): string {
  const chain = `${family} filter ${NAME}`;
  return [
    ...remove.map(({ reference }) => `delete rule ${chain} handle ${reference}\n`),
    ...add.map(
      ({ side, name }) =>
        `insert rule ${chain} ${side === 'in' ? 'iifname' : 'oifname'} "${name.replace(/\+$/, '*')}" accept comment "${tag(instance)}"\n`,
    ),
  ].join('');
}

function nftChain({ keeper, nft, instance }: Tools, family: Family): Chain {
  return {
    async list() {
      const { status, stdout } = await keeper.run({
        file: nft,
        args: ['-j', '-a', 'list', 'chain', family, 'filter', NAME],
      });
      return status === 0 ? parseNftRules(stdout, instance) : undefined;
    },
    async change(remove, add) {
      await keeper.run({ file: nft, args: ['-f', '-'], stdin: renderNftRules(family, instance, remove, add) });
    },
  };
}

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

function legacyChain({ keeper, instance }: Tools, family: Family): Chain {
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

function chains(tools: Tools): readonly Chain[] {
  return FAMILIES.flatMap((family) => [nftChain(tools, family), legacyChain(tools, family)]);
}

/** What makes the found rules be the wanted ones. Pure. */
export function compareRules(
  found: readonly FoundRule[],
  wanted: readonly PassRule[],
): { readonly remove: readonly FoundRule[]; readonly add: readonly PassRule[] } {
  const key = ({ side, name }: PassRule) => `${side} ${name}`;
  const missing = new Map(wanted.map((rule) => [key(rule), rule]));
  // A second one of the same is too much.
  const remove = found.filter((rule) => !missing.delete(key(rule)));
  return { remove, add: [...missing.values()] };
}

async function settle(tools: Tools, wanted: readonly PassRule[]): Promise<void> {
  await Promise.all(
    chains(tools).map(async (chain) => {
      const found = await chain.list();
      if (!found) return;
      const { remove, add } = compareRules(found, wanted);
      if (remove.length + add.length > 0) await chain.change(remove, add);
    }),
  );
}

/** Lets our bridges through Docker's chains, where there are any. */
export function passDocker(tools: Tools, bridges: readonly string[]): Promise<void> {
  const names = bridgePatterns(tools.instance, bridges);
  return settle(
    tools,
    names.flatMap((name) => [
      { side: 'in', name },
      { side: 'out', name },
    ]),
  );
}

/** Removes our rules from Docker's chains, if any. */
export function unpassDocker(tools: Tools): Promise<void> {
  return settle(tools, []);
}
