/**
 * network: networks, addresses, sandboxes, published ports, firewall and names of containers. It decides and asks the keeper
 * to act; the kernel objects all carry the instance's name. Refuses: drivers other than bridge, macvlan,
 * ipvlan, host and none, and touching any table, bridge or route it did not make.
 */
export { parseEgressLabel } from './egress/egress.ts';
export type {
  KeeperPort,
  PortHold,
  ProgramRequest,
  ProgramResult,
  SandboxConfig,
  SandboxLink,
  SandboxNames,
  SandboxRoute,
} from './keeper-port.ts';
export { checkNameWishes } from './names/check-wishes.ts';
export { amendHosts } from './names/hosts.ts';
export type {
  AttachmentSpec,
  BoundPort,
  DnsSettings,
  Endpoint,
  EndpointSpec,
  LiveNames,
  NameFiles,
  NameFilesSpec,
  NetworkDriver,
  NetworkRecord,
  NetworkService,
  NetworkSpec,
  NetworkView,
  Pool,
  PoolSpec,
  PortConflict,
  PortRequest,
  Protocol,
  Readiness,
  RecoveryReport,
  Sandbox,
} from './network.ts';
export { type AddressPool, DEFAULT_POOLS } from './pools.ts';
export { createNetworkService, type NetworkServiceOptions } from './service.ts';
