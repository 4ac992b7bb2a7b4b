import type { Clock } from '../../host/index.ts';
import type { Firewall } from './firewall/firewall.ts';
import type { KeeperPort } from './keeper-port.ts';
import type { AddressPool } from './pools.ts';
import type { Records } from './records.ts';
import type { NetworkState } from './state.ts';

/** Paths of the host's files that containers' names are made from. */
export interface HostFiles {
  readonly resolvConf: string;
  readonly hosts: string;
}

/** What the acts of this room work with. */
export interface NetworkContext {
  readonly instance: string;
  readonly keeper: KeeperPort;
  readonly records: Records;
  readonly state: NetworkState;
  readonly firewall: Firewall;
  readonly clock: Clock;
  readonly nft: string;
  readonly hostFiles: HostFiles;
  readonly addressPools: readonly AddressPool[];
  readonly firewallCmd: string;
}
