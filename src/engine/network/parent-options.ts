import { TscError } from '../../core/index.ts';
import { type BridgeOptions, DEFAULT_MTU, readMtu, unsupported } from './bridge-options.ts';
import type { NetworkDriver, NetworkSpec, ParentLink } from './network.ts';

type StackedDriver = Extract<NetworkDriver, 'ipvlan' | 'macvlan'>;

const MTU = 'com.docker.network.driver.mtu';

/** Options of the two drivers with the values they take; the first is the default. */
const CHOICES: Readonly<Record<StackedDriver, Readonly<Record<string, readonly string[]>>>> = {
  macvlan: { macvlan_mode: ['bridge', 'private', 'vepa', 'passthru'] },
  ipvlan: { ipvlan_mode: ['l2', 'l3', 'l3s'], ipvlan_flag: ['bridge', 'private', 'vepa'] },
};

function choose(driver: StackedDriver, key: string, options: Readonly<Record<string, string>>): string {
  const choices = CHOICES[driver][key] ?? [];
  const value = options[key] || choices[0] || '';
  if (!choices.includes(value))
    throw new TscError('network/invalid', `network option ${key}=${value} is not one of ${choices.join(', ')}`);
  return value;
}

/** An interface of the host, `eth0.10` for VLAN 10 of eth0; ours alone when it is missing. */
function readParent(text: string, exists: (name: string) => boolean): Pick<ParentLink, 'name' | 'made'> {
  const invalid = (why: string) =>
    new TscError('network/invalid', `network option parent=${text}: ${why}`, {
      hint: 'name an interface of this host (see: ip link), or one with a VLAN from 1 to 4094 behind a dot (eth0.10)',
    });
  if (!/^[a-zA-Z0-9_.@-]{1,15}$/.test(text) || ['.', '..', 'lo'].includes(text)) throw invalid('it cannot be a parent');
  if (exists(text)) return { name: text };
  const [, base = '', number = ''] = /^(.+)\.(\d{1,4})$/.exec(text) ?? [];
  const vlan = Number(number);
  if (base === '' || !exists(base)) throw invalid(`there is no interface ${base || text}`);
  if (vlan < 1 || vlan > 4094) throw invalid(`${number} is no VLAN`);
  return { name: text, made: { base, vlan } };
}

/** What the options of a macvlan or ipvlan network decide; without a parent it gets a dummy and is internal. */
export function readParentOptions(
  driver: StackedDriver,
  spec: NetworkSpec,
  host: { readonly exists: (name: string) => boolean; readonly dummy: string },
): Pick<BridgeOptions, 'mtu' | 'masquerade'> & { readonly parent: ParentLink; readonly internal?: true } {
  const options = spec.options ?? {};
  const unknown = Object.keys(options).find((key) => !['parent', MTU, ...Object.keys(CHOICES[driver])].includes(key));
  if (unknown) throw unsupported(`network option ${unknown} is not supported by the ${driver} driver`);
  const named = options['parent'];
  const link = named ? readParent(named, host.exists) : { name: host.dummy, made: 'dummy' as const };
  const mode = choose(driver, `${driver}_mode`, options);
  const parent = { ...link, mode, ...(driver === 'ipvlan' && { flag: choose(driver, 'ipvlan_flag', options) }) };
  const mtu = options[MTU] === undefined ? 0 : readMtu(MTU, options[MTU]);
  if (spec.enableIpv6 && mtu !== 0 && mtu < 1280)
    throw new TscError('network/invalid', `network ${spec.name}: IPv6 needs an MTU of 1280 at least, not ${mtu}`);
  return { mtu: mtu || (named ? 0 : DEFAULT_MTU), masquerade: false, parent, ...(!named && { internal: true }) };
}

/** Links of one parent that cannot stand side by side: passthru takes it alone, and it carries one kind and mode of ipvlan. */
export function findParentConflict(
  driver: StackedDriver,
  parent: ParentLink,
  others: readonly { readonly name: string; readonly driver: NetworkDriver; readonly parent?: ParentLink }[],
): string | undefined {
  for (const other of others) {
    if (other.parent?.name !== parent.name) continue;
    const owner = `network ${other.name} uses parent interface ${parent.name}`;
    if (other.driver !== driver) return `${owner} with the ${other.driver} driver`;
    if ([parent.mode, other.parent.mode].includes('passthru'))
      return `${owner}, which mode passthru needs for one alone`;
    if (driver === 'ipvlan' && (other.parent.mode !== parent.mode || other.parent.flag !== parent.flag))
      return `${owner} with another mode (${other.parent.mode}, ${other.parent.flag})`;
  }
  return undefined;
}
