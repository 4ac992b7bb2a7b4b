import type { KeeperPort } from '../keeper-port.ts';

/** What comes from interfaces of this name (`in`), or goes to them, is judged by our own table alone. A `+` ends a name that stands for many. */
export interface PassRule {
  readonly side: 'in' | 'out';
  readonly name: string;
}

/** A rule that stands, and how the one who lists it names it. */
export interface FoundRule extends PassRule {
  readonly reference: string;
}

/** A chain of another program in which we are guests; our rules carry our tag. */
export interface GuestChain {
  /** Rules with our tag; undefined: no such chain. */
  list(): Promise<readonly FoundRule[] | undefined>;
  change(remove: readonly FoundRule[], add: readonly PassRule[]): Promise<void>;
}

export interface GuestTools {
  readonly keeper: KeeperPort;
  readonly nft: string;
  readonly instance: string;
}

export function tag(instance: string): string {
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

/** What nft reads; `chain` are its family, table and name. Pure. */
export function renderNftRules(
  chain: string,
  instance: string,
  remove: readonly FoundRule[],
  add: readonly PassRule[],
): string {
  return [
    ...remove.map(({ reference }) => `delete rule ${chain} handle ${reference}\n`),
    ...add.map(
      ({ side, name }) =>
        `insert rule ${chain} ${side === 'in' ? 'iifname' : 'oifname'} "${name.replace(/\+$/, '*')}" accept comment "${tag(instance)}"\n`,
    ),
  ].join('');
}

/** A chain of nftables; `path` are its family, table and name. */
export function nftChain(
  { keeper, nft, instance }: GuestTools,
  ...path: readonly [string, string, string]
): GuestChain {
  return {
    async list() {
      const { status, stdout } = await keeper.run({ file: nft, args: ['-j', '-a', 'list', 'chain', ...path] });
      return status === 0 ? parseNftRules(stdout, instance) : undefined;
    },
    async change(remove, add) {
      await keeper.run({ file: nft, args: ['-f', '-'], stdin: renderNftRules(path.join(' '), instance, remove, add) });
    },
  };
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

/** Makes our rules in the chain, where there is one, be the wanted ones. */
export async function settle(chain: GuestChain, wanted: readonly PassRule[]): Promise<void> {
  const found = await chain.list();
  if (!found) return;
  const { remove, add } = compareRules(found, wanted);
  if (remove.length + add.length > 0) await chain.change(remove, add);
}
