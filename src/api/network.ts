import type { EndpointSettings, StringMap } from './container.ts';

export interface IpamConfig {
  readonly Subnet?: string;
  readonly IPRange?: string;
  readonly Gateway?: string;
  readonly AuxiliaryAddresses?: StringMap | null;
}

export interface Ipam {
  readonly Driver?: string;
  readonly Options?: StringMap | null;
  readonly Config?: readonly IpamConfig[] | null;
}

/** Body of network create. */
export interface NetworkCreateRequest {
  readonly Name?: string;
  /** Ignored by the published API since 1.44: a name is always unique. */
  readonly CheckDuplicate?: boolean;
  readonly Driver?: string;
  readonly Scope?: string;
  readonly Internal?: boolean;
  readonly Attachable?: boolean;
  readonly Ingress?: boolean;
  readonly ConfigOnly?: boolean;
  readonly ConfigFrom?: { readonly Network?: string } | null;
  readonly IPAM?: Ipam | null;
  readonly EnableIPv4?: boolean | null;
  readonly EnableIPv6?: boolean | null;
  readonly Options?: StringMap | null;
  readonly Labels?: StringMap | null;
}

/** A network, in list and inspect. */
export interface Network {
  readonly Name: string;
  readonly Id: string;
  readonly Created: string;
  readonly Scope: string;
  readonly Driver: string;
  readonly EnableIPv4: boolean;
  readonly EnableIPv6: boolean;
  readonly IPAM: Ipam;
  readonly Internal: boolean;
  readonly Attachable: boolean;
  readonly Ingress: boolean;
  readonly ConfigFrom: { readonly Network: string };
  readonly ConfigOnly: boolean;
  readonly Containers?: Readonly<
    Record<
      string,
      {
        readonly Name: string;
        readonly EndpointID: string;
        readonly MacAddress: string;
        readonly IPv4Address: string;
        readonly IPv6Address: string;
      }
    >
  >;
  readonly Options: StringMap;
  readonly Labels: StringMap;
}

/** Body of connect. */
export interface NetworkConnectRequest {
  readonly Container?: string;
  readonly EndpointConfig?: EndpointSettings | null;
}

/** Body of disconnect. */
export interface NetworkDisconnectRequest {
  readonly Container?: string;
  readonly Force?: boolean;
}
