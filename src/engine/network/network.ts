import type { NetworkId } from '../../core/index.ts';
import type { ProcessIdentity } from '../../host/index.ts';

export type NetworkDriver = 'bridge' | 'host' | 'ipvlan' | 'macvlan' | 'null';

/** One address pool as the caller wrote it; absent parts are chosen. */
export interface PoolSpec {
  /** CIDR, for example `172.20.0.0/24` or `fd00:1::/64`. */
  readonly subnet?: string;
  readonly gateway?: string;
  /** Part of the subnet that addresses are taken from. */
  readonly ipRange?: string;
  /** Addresses that are never handed out, by name. */
  readonly auxiliary?: Readonly<Record<string, string>>;
}

/** What a new network is made from. */
export interface NetworkSpec {
  readonly name: string;
  /** Default `bridge`; `macvlan` and `ipvlan` are the others that can be made. */
  readonly driver?: string;
  /** No way out and no way in except from its own members. */
  readonly internal?: boolean;
  readonly attachable?: boolean;
  /** Default true; without it IPv6 is needed. */
  readonly enableIpv4?: boolean;
  readonly enableIpv6?: boolean;
  readonly labels?: Readonly<Record<string, string>>;
  /** Driver options: `com.docker.network.driver.mtu`, `com.docker.network.bridge.name` and others; unknown ones are refused. */
  readonly options?: Readonly<Record<string, string>>;
  /** At most one pool of each family. */
  readonly pools?: readonly PoolSpec[];
  readonly ipamDriver?: string;
  readonly ipamOptions?: Readonly<Record<string, string>>;
}

/** A chosen pool of a network. */
export interface Pool {
  readonly subnet: string;
  readonly gateway: string;
  readonly ipRange?: string;
  readonly auxiliary: Readonly<Record<string, string>>;
}

/** What the links of a macvlan or ipvlan network stand on. */
export interface ParentLink {
  /** Interface of the host. */
  readonly name: string;
  /** `bridge`, `private`, `vepa`, `passthru`; `l2`, `l3`, `l3s`. */
  readonly mode: string;
  /** ipvlan alone: `bridge`, `private`, `vepa`. */
  readonly flag?: string;
  /** We make it where it is missing: a VLAN of another interface, or a dummy that leads nowhere. */
  readonly made?: { readonly base: string; readonly vlan: number } | 'dummy';
}

/** What a network changed of a bridge that somebody else made. */
export interface Adoption {
  /** Addresses that it did not have before, with prefix lengths. */
  readonly addresses: readonly string[];
  /** Settings that we change, as they were: path below /proc/sys → value. */
  readonly sysctls: Readonly<Record<string, string>>;
}

/** A network as it is recorded on disk. */
export interface NetworkRecord {
  readonly id: NetworkId;
  readonly name: string;
  /** RFC 3339. */
  readonly created: string;
  readonly driver: NetworkDriver;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  /** IPv4; absent for `host` and `none`, and on networks of IPv6 alone. */
  readonly pool?: Pool;
  /** Present when the network has IPv6. */
  readonly pool6?: Pool;
  /** Interface name of the bridge; absent for `host` and `none`. */
  readonly bridge?: string;
  /** Present: somebody else made the bridge, and keeps it. */
  readonly adopted?: Adoption;
  /** Present on macvlan and ipvlan networks. */
  readonly parent?: ParentLink;
  /** Whether the pool was given by the caller (shown by inspect) or chosen. */
  readonly chosenPool: boolean;
  readonly mtu: number;
  readonly masquerade: boolean;
  /** Addresses of the host that containers go out under, one of each family at most; absent: that of the way out. */
  readonly sources?: readonly string[];
  /** Present and true: its containers do not reach each other. */
  readonly apart?: boolean;
  /** Present and true: nothing leaves a container's link under an address that is not its own, ARP and neighbour discovery included. */
  readonly sourceCheck?: boolean;
  /** Host address of published ports that name none. */
  readonly hostBinding?: string;
  /** Beginning of interface names inside containers; absent: `eth`. */
  readonly interfacePrefix?: string;
  /** Families whose gateway address the bridge does not carry (gateway mode `isolated`, `inhibit_ipv4`). */
  readonly withoutGateway?: readonly (4 | 6)[];
  /** Present and true: the IPv4 gateway is not the host but something behind the bridge; packets of others come over it. */
  readonly gatewayElsewhere?: boolean;
  /** Host interfaces from which published ports are reached at the container's address, too. */
  readonly trusted?: readonly string[];
  /** Families in which every port is open to whoever has a route (gateway mode `nat-unprotected`). */
  readonly unprotected?: readonly (4 | 6)[];
  /** Families without address translation, whose published ports are reached at the container's address (mode `routed`). */
  readonly routed?: readonly (4 | 6)[];
  /** The network named `bridge`: containers get no names for each other there. */
  readonly isDefault: boolean;
}

/** How a container wants to be on a network. */
export interface EndpointSpec {
  /** Id, unique id prefix, or name. */
  readonly network: string;
  readonly aliases?: readonly string[];
  /** `container:alias`, or `container`: names for other members of the network that only this one sees. */
  readonly links?: readonly string[];
  readonly ipv4?: string;
  readonly ipv6?: string;
  /** Further addresses of the link, of either family, from the link-local ranges. */
  readonly linkLocal?: readonly string[];
  readonly mac?: string;
  /** The network with the highest value gives the default route; ties go to the first name. Default 0. */
  readonly gatewayPriority?: number;
  readonly driverOptions?: Readonly<Record<string, string>>;
}

/** A name for another container; whoever has that container name when it is asked for. */
export interface Link {
  readonly container: string;
  readonly alias: string;
}

/** A container's place on one network, recorded on disk. */
export interface Endpoint {
  readonly endpointId: string;
  readonly networkId: NetworkId;
  readonly networkName: string;
  readonly aliases: readonly string[];
  /** Names this container alone has for others of the network, by their container names. */
  readonly links?: readonly Link[];
  /** IPv4 address without prefix length; empty where the network has none. */
  readonly address: string;
  readonly prefixLength: number;
  /** Gateway of the network; empty when internal, `host`, `none` or direct. */
  readonly gateway: string;
  /** The way out leads over the link itself, without a gateway (ipvlan l3). */
  readonly direct?: boolean;
  /** On networks with IPv6; absent elsewhere and in records of older versions. */
  readonly address6?: string;
  readonly prefixLength6?: number;
  /** Absent when internal. */
  readonly gateway6?: string;
  /** With prefix lengths. */
  readonly linkLocal?: readonly string[];
  /** Settings below `net.` for this link, with its name filled in. */
  readonly sysctls?: Readonly<Record<string, string>>;
  readonly mac: string;
  /** Name inside the container (`eth0`). */
  readonly interface: string;
  /** Name of the host end; empty when there is none. */
  readonly hostInterface: string;
  /** Whether the caller asked for this address. */
  readonly fixedAddress: boolean;
  readonly gatewayPriority: number;
}

/** A network with what is attached to it. */
export interface NetworkView extends NetworkRecord {
  readonly endpoints: readonly (Endpoint & {
    readonly containerId: string;
    readonly containerName: string;
    /** Whether the container's sandbox is up. */
    readonly active: boolean;
  })[];
}

export type Protocol = 'tcp' | 'udp' | 'sctp';

/** A port to publish. */
export interface PortRequest {
  readonly containerPort: number;
  readonly protocol: Protocol;
  /** Empty or absent: every address, IPv4 and IPv6. */
  readonly hostIp?: string;
  /** Absent or 0: an ephemeral one from 32768 on; a range: the first free one in it. */
  readonly hostPort?: number | { readonly first: number; readonly last: number };
}

/** Why a port cannot be published, found before anything starts. */
export interface PortConflict {
  readonly hostIp: string;
  readonly hostPort: number;
  /** Of a range, all of which is taken; the address and the holder are then those of its first port. */
  readonly lastPort?: number;
  readonly protocol: Protocol;
  /** `container web`, or `nginx (process 12)`; absent when it does not show. */
  readonly holder?: string;
}

/** A published port; a request for every address gives one for `0.0.0.0` and one for `::`. */
export interface BoundPort {
  readonly containerPort: number;
  readonly protocol: Protocol;
  readonly hostIp: string;
  /** 0: none of the host's; open at the container's address (gateway mode `routed`). */
  readonly hostPort: number;
}

/** Resolver settings of a container; absent parts come from the host's resolv.conf. */
export interface DnsSettings {
  readonly servers?: readonly string[];
  readonly search?: readonly string[];
  readonly options?: readonly string[];
}

/** What a container's networking is prepared from at create. */
export interface AttachmentSpec {
  readonly containerId: string;
  /** Container name without slash. */
  readonly name: string;
  /** In order: `eth0`, `eth1`, … Exactly one when it is `host` or `none`. */
  readonly endpoints: readonly EndpointSpec[];
  readonly dns?: DnsSettings;
  /** `net.*` settings written inside the namespace. */
  readonly sysctls?: Readonly<Record<string, string>>;
  /** All it may reach outside its networks (see egress/); absent: everything. */
  readonly egress?: readonly string[];
}

/** What is known of a container's health: names that several containers share lead to the best of them. */
export type Readiness = 'ready' | 'starting' | 'unhealthy';

/** A container's open network namespace. */
export interface Sandbox {
  /** Path for the namespace in config.json; null: the host's own namespace (network `host`). */
  readonly path: string | null;
  readonly endpoints: readonly Endpoint[];
}

/** Texts of the files every container gets; the caller writes and mounts them. */
export interface NameFiles {
  /** Text of /etc/resolv.conf. */
  readonly resolvConf: string;
  /** Text of /etc/hosts. */
  readonly hosts: string;
}

/** The part of the name files that changes with the networks of a running container. */
export interface LiveNames {
  /** Text of /etc/resolv.conf. */
  readonly resolvConf: string;
  /** Lines of /etc/hosts with which the container names itself. */
  readonly ownHosts: readonly string[];
}

export interface NameFilesSpec {
  readonly hostname: string;
  readonly domainname?: string;
  /** `name:address` pairs; the address `host-gateway` means the host as this container sees it. */
  readonly extraHosts?: readonly string[];
}

/** What start-up found and did. */
export interface RecoveryReport {
  /** Containers whose sandboxes are alive. */
  readonly alive: readonly string[];
  /** One line per thing that was finished, undone or could not be read. */
  readonly notes: readonly string[];
}

/**
 * Networks and the containers on them. Calls for one container must not overlap; everything else may.
 * Networks are named by id, unique id prefix (3 digits or more) or name. Errors have codes `network/…`.
 */
export interface NetworkService {
  /**
   * First call of a daemon's life: reads the records, compares with the kernel, finishes or undoes. What belongs to a container
   * that is not known (a create or a build that was cut short) is given back; without the argument all are known.
   */
  recover(isKnown?: (containerId: string) => boolean): Promise<RecoveryReport>;

  /** Throws conflict for a taken name or overlapping subnet, exhausted without a free pool, unsupported for what is not offered. */
  create(spec: NetworkSpec): Promise<NetworkRecord>;
  /** Throws not-found, conflict for an ambiguous prefix. */
  inspect(idOrName: string): NetworkView;
  list(): readonly NetworkView[];
  /** Throws in-use while containers are attached, denied for `bridge`, `host` and `none`. */
  remove(idOrName: string): Promise<void>;
  /** Removes several at once behind one kernel barrier (`down`). All are checked before any goes. */
  removeAll(idsOrNames: readonly string[]): Promise<void>;
  /** Removes networks nobody is attached to that `wanted` accepts; returns their names. */
  prune(wanted?: (network: NetworkRecord) => boolean): Promise<readonly string[]>;

  /** At create: allocates addresses and records them. A second call for the same container replaces the first. */
  prepare(spec: AttachmentSpec): Promise<readonly Endpoint[]>;
  /** Whether a container's place on its networks is known. */
  isPrepared(containerId: string): boolean;
  /** At create or start: makes bridges that are missing and the namespace. Returns the open one when it is already there. */
  openSandbox(containerId: string): Promise<Sandbox>;
  /**
   * At start, when the process is about to run: names become visible, ports reachable. Nothing stays on failure. Ports of the
   * container `replaces` may be asked for although it runs: they lead to the new one as soon as that is ready.
   */
  publish(containerId: string, ports: readonly PortRequest[], replaces?: string): Promise<readonly BoundPort[]>;
  /**
   * Which of these ports could not be taken now, those apart that the containers in `except` hold. Ephemeral ones always
   * can, a range when one port of it can. Nothing stays taken.
   */
  findPortConflicts(ports: readonly PortRequest[], except: readonly string[]): Promise<readonly PortConflict[]>;
  /** At stop: the inverse of publish; idempotent. */
  withdraw(containerId: string): Promise<void>;
  /** After stop: withdraws and lets the namespace go; idempotent. Addresses stay reserved. */
  closeSandbox(containerId: string): Promise<void>;
  /** At remove: closes the sandbox and frees the addresses; idempotent. */
  release(containerId: string): Promise<void>;
  /** The container's health changed; one without health checks is ready. */
  setReadiness(containerId: string, readiness: Readiness): Promise<void>;
  /** Before a container's end: ports that it shares with the one it replaces lead to that one from now on. */
  stepAside(containerId: string): Promise<void>;
  /** The container got another name. */
  rename(containerId: string, name: string): Promise<void>;
  /** After a lost keeper: takes the namespace of a running container over and publishes again what was published. */
  adopt(containerId: string, process: ProcessIdentity): Promise<Sandbox>;

  /** Attaches a container, live when its sandbox is open. */
  connect(
    network: string,
    containerId: string,
    containerName: string,
    spec: Omit<EndpointSpec, 'network'>,
  ): Promise<Endpoint>;
  /** Detaches a container, live when its sandbox is open. Throws not-found when it is not attached. */
  disconnect(network: string, containerId: string): Promise<void>;

  /** Endpoints of a prepared container, `eth0` first; empty for an unknown one. */
  endpoints(containerId: string): readonly Endpoint[];
  /** Ports published now. */
  boundPorts(containerId: string): readonly BoundPort[];
  /** resolv.conf and hosts of a prepared container. */
  nameFiles(containerId: string, spec: NameFilesSpec): Promise<NameFiles>;
  /** What of them is to be so now. */
  liveNames(containerId: string, spec: Omit<NameFilesSpec, 'extraHosts'>): Promise<LiveNames>;

  /** Loads our firewall table again when something removed it or rules of it; true when it did. */
  checkFirewall(): Promise<boolean>;
  /** Relays to the name servers the host has now; true when they changed. Meant for a periodic check. */
  checkResolver(): Promise<boolean>;
  /**
   * Waits until somebody else touches our firewall table, or a chain of Docker's that our packets pass: then `changed`, or
   * `quiet` after a few seconds. `idle` at once when there is no table yet.
   */
  watchFirewall(): Promise<'changed' | 'idle' | 'quiet'>;
  /** What the administrator has to allow in a firewall that is not ours to change: one line each. */
  advice(): Promise<readonly string[]>;
  /** Daemon shutdown with nothing left running: removes bridges and the firewall table. */
  dismantle(): Promise<void>;
}
