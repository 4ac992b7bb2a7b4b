import type { Clock } from '../../host/index.ts';
import type { KeeperPort } from './keeper-port.ts';
import type { NetworkService } from './network.ts';

export interface NetworkServiceOptions {
  readonly keeper: KeeperPort;
  /** At most 7 of `[a-z0-9]`; every kernel object's name starts with it. */
  readonly instance: string;
  /** The daemon's data directory; records live in `networks/` and `endpoints/` below it. */
  readonly dataDirectory: string;
  readonly clock?: Clock;
  /** Path of the nft program; default `/usr/sbin/nft`. */
  readonly nft?: string;
}

export declare function createNetworkService(options: NetworkServiceOptions): NetworkService;
