/** One published port of the short form, ranges expanded. */
export interface PortSpec {
  readonly hostIp?: string;
  readonly target: number;
  /** A port, or a range of which the engine picks one. */
  readonly published?: string;
  readonly protocol: string;
}

/**
 * Parses `[[ip:]host:]container[/protocol]`. Ranges of equal length are paired; a host range for one container port
 * stays a range. Returns why the text is refused otherwise.
 */
export function parsePort(text: string): readonly PortSpec[] | { readonly problem: string } {
  const slash = text.lastIndexOf('/');
  const protocol = slash < 0 ? 'tcp' : text.slice(slash + 1).toLowerCase();
  const address = slash < 0 ? text : text.slice(0, slash);
  if (!['tcp', 'udp', 'sctp'].includes(protocol)) return { problem: 'the protocol is tcp, udp or sctp' };
  const match = /^(?:(?:(\[[^\]]*\]|.*):)?([^:]*):)?([^:]*)$/.exec(address);
  if (!match) return { problem: 'write [[ip:]host:]container[/protocol]' };
  const [, ipText, hostText = '', containerText = ''] = match;
  const hostIp = ipText?.replace(/^\[(.*)\]$/, '$1');
  // Without brackets nobody can tell where the address ends.
  if (ipText?.startsWith('[') === false && ipText.includes(':'))
    return { problem: 'write an IPv6 address in brackets' };
  if (hostIp !== undefined && hostIp !== '' && !isAddress(hostIp)) {
    return { problem: `${JSON.stringify(hostIp)} is not an IP address` };
  }
  const container = parseRange(containerText);
  if (container === undefined) return { problem: `${JSON.stringify(containerText)} is not a container port` };
  const host = hostText === '' ? undefined : parseRange(hostText);
  if (hostText !== '' && host === undefined) return { problem: `${JSON.stringify(hostText)} is not a host port` };
  const count = container.last - container.first + 1;
  const hostCount = host === undefined ? count : host.last - host.first + 1;
  if (hostCount !== count && count !== 1) return { problem: 'the two port ranges differ in length' };
  return Array.from({ length: count }, (_, index) => ({
    ...(hostIp !== undefined && hostIp !== '' && { hostIp }),
    target: container.first + index,
    ...(host !== undefined && { published: hostCount === count ? String(host.first + index) : hostText }),
    protocol,
  }));
}

/** Writes the short form; {@link parsePort} reads it back to the same port. */
export function formatPort({ hostIp, target, published, protocol }: PortSpec): string {
  const ip = hostIp === undefined ? '' : `${hostIp.includes(':') ? `[${hostIp}]` : hostIp}:`;
  const host = published === undefined && ip === '' ? '' : `${published ?? ''}:`;
  return `${ip}${host}${target}/${protocol}`;
}

/** `80` or `80-90`, each 0 to 65535, first not above last. */
export function parseRange(text: string): { readonly first: number; readonly last: number } | undefined {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (!match) return undefined;
  const first = Number(match[1]);
  const last = match[2] === undefined ? first : Number(match[2]);
  return first <= last && last <= 65_535 ? { first, last } : undefined;
}

/** Whether the text is an IPv4 or IPv6 address. */
export function isAddress(text: string): boolean {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return text.split('.').every((part) => Number(part) <= 255);
  return (
    /^[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(?:%[\w.-]+)?$/.test(text) &&
    text.length >= 2 &&
    URL.canParse(`http://[${text.replace(/%.*/, '')}]/`)
  );
}
