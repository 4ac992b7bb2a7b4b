import { isIP } from 'node:net';
import { TscError } from '../../core/index.ts';
import type { BoundPort, PortRequest, Protocol } from './network.ts';
import { formatAddress, parseAddress } from './subnet.ts';

/** First port handed out when the caller names none; the kernel's own ephemeral range starts there too. */
const EPHEMERAL = { first: 32768, last: 60999 };

/** Ports tried one by one at most, so that a host full of sockets ends in an error and not in a long search. */
export const TRIES = 2000;

/** One socket to reserve: an address family at a host port. */
export interface PortPlan {
  readonly protocol: Protocol;
  readonly containerPort: number;
  /** Host addresses this publication covers, IPv4 first: `0.0.0.0` and `::`, or the one given. */
  readonly hostIps: readonly string[];
  /** Those of a family without address translation: nothing of the host is taken, the container's own port is opened. */
  readonly routedIps: readonly string[];
  /** Host ports to try, in order. */
  readonly candidates: { readonly first: number; readonly last: number };
  readonly ephemeral: boolean;
}

function checkPort(port: number, what: string): number {
  if (!Number.isInteger(port) || port < 1 || port > 65535)
    throw new TscError('network/invalid', `${what} ${port} is not a port (1 to 65535)`);
  return port;
}

/** What can be published where: whether the host has IPv6, and the families in which the container has a way out. */
export interface PortFamilies {
  readonly host6: boolean;
  readonly container: readonly (4 | 6)[];
  /** Those of them without address translation. */
  readonly routed?: readonly (4 | 6)[];
}

/** SCTP is only ever rewritten by the kernel: no proxy carries it to the other family, nor from ::1. */
function sctpAddresses(request: PortRequest, ips: readonly string[], container: PortFamilies['container']) {
  const fit = ips.filter((ip) => ip !== '::1' && container.includes(ip.includes(':') ? 6 : 4));
  if (fit.length > 0) return fit;
  throw new TscError(
    'network/unsupported',
    `cannot publish ${request.containerPort}/sctp on ${ips.join(' and ')}: ${
      ips.includes('::1') ? 'SCTP is not carried from ::1' : 'the container has no address of that family'
    }`,
    { hint: 'publish it on an address of the other family, or give the network that family' },
  );
}

function addressesOf(
  request: PortRequest,
  { host6, container, routed = [] }: PortFamilies,
): Pick<PortPlan, 'hostIps' | 'routedIps'> {
  const wanted = listHostIps(request.hostIp, host6);
  const ips = request.protocol === 'sctp' ? sctpAddresses(request, wanted, container) : wanted;
  const family = (ip: string) => (ip.includes(':') ? 6 : 4);
  const isRouted = (ip: string) => routed.includes(family(ip));
  // A proxy from one family to the other would be the address translation that routed does without.
  const isCarried = (ip: string) => container.includes(family(ip)) || routed.length === 0;
  const found = { hostIps: ips.filter((ip) => !isRouted(ip) && isCarried(ip)), routedIps: ips.filter(isRouted) };
  if (found.hostIps.length + found.routedIps.length === 0)
    throw new TscError(
      'network/unsupported',
      `cannot publish ${request.containerPort}/${request.protocol} on ${ips.join(' and ')}: the container has no address of that family, and its network is routed`,
      { hint: 'publish it on an address of the other family, or give the network that family' },
    );
  return found;
}

function listHostIps(hostIp: string | undefined, ipv6: boolean): readonly string[] {
  const ip = (hostIp ?? '').replace(/^\[(.*)\]$/, '$1');
  if (ip === '') return ipv6 ? ['0.0.0.0', '::'] : ['0.0.0.0'];
  const address = parseAddress(ip);
  if (!address) {
    throw new TscError(
      'network/invalid',
      `host address ${JSON.stringify(hostIp)} of a published port is not an IP address`,
      {
        hint: 'use an address of this host, for example 127.0.0.1',
      },
    );
  }
  if (address.family === 6 && !ipv6)
    throw new TscError('network/unsupported', `cannot publish on ${ip}: this host has no IPv6`);
  return [formatAddress(address)];
}

/** What has to be reserved for the requests. Throws network/invalid, network/unsupported. */
export function planPorts(requests: readonly PortRequest[], families: PortFamilies): readonly PortPlan[] {
  const seen = new Set<string>();
  const plans: PortPlan[] = [];
  for (const request of requests) {
    const key = JSON.stringify([request.protocol, request.containerPort, request.hostIp ?? '', request.hostPort ?? 0]);
    // The same line twice is one publication (image EXPOSE with -P, merged files).
    if (seen.has(key)) continue;
    seen.add(key);
    checkPort(request.containerPort, 'container port');
    plans.push({
      protocol: request.protocol,
      containerPort: request.containerPort,
      ...addressesOf(request, families),
      ...candidatesOf(request.hostPort),
    });
  }
  // Fixed ports first, so that an ephemeral choice never takes a port asked for below it.
  return plans.sort((a, b) => Number(a.ephemeral) - Number(b.ephemeral));
}

function candidatesOf(hostPort: PortRequest['hostPort']): Pick<PortPlan, 'candidates' | 'ephemeral'> {
  if (hostPort === undefined || hostPort === 0) return { candidates: EPHEMERAL, ephemeral: true };
  if (typeof hostPort === 'number') {
    checkPort(hostPort, 'host port');
    return { candidates: { first: hostPort, last: hostPort }, ephemeral: false };
  }
  checkPort(hostPort.first, 'host port');
  checkPort(hostPort.last, 'host port');
  if (hostPort.last < hostPort.first)
    throw new TscError('network/invalid', `host port range ${hostPort.first}-${hostPort.last} is backwards`);
  return { candidates: hostPort, ephemeral: hostPort.first !== hostPort.last };
}

/** A port somebody of ours holds, for choosing and for naming the holder. */
export interface HeldPort extends BoundPort {
  readonly containerId: string;
  readonly containerName: string;
}

function isWildcard(ip: string): boolean {
  return ip === '0.0.0.0' || ip === '::';
}

/** The one of ours that stands in the way of this address and port. */
export function findHolder(
  held: readonly HeldPort[],
  protocol: Protocol,
  hostIp: string,
  port: number,
): HeldPort | undefined {
  return held.find(
    (other) =>
      other.protocol === protocol &&
      other.hostPort === port &&
      isIP(other.hostIp) === isIP(hostIp) &&
      (other.hostIp === hostIp || isWildcard(other.hostIp) || isWildcard(hostIp)),
  );
}

/** Key under which the keeper holds the socket. */
export function portKey(containerId: string, port: BoundPort): string {
  return `${containerId}/${port.protocol}/${port.hostIp}/${port.hostPort}`;
}

/** In front of a port: IPv6 in brackets. */
export function formatHostIp(ip: string): string {
  return ip.includes(':') ? `[${ip}]` : ip;
}
