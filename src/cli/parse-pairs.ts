import { parse } from 'node:path';
import type { MountSpec, PortPublication } from '../client/index.ts';
import { TscError } from '../core/index.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** `NAME=value` items; a bare name takes the caller's value, and is left out when the caller has none. */
export function parsePairs(items: readonly string[], flag: string, environment: Environment): Map<string, string> {
  return new Map(
    items.flatMap((item): [string, string][] => {
      const at = item.indexOf('=');
      const name = at < 0 ? item : item.slice(0, at);
      if (name === '') throw new TscError('cli/invalid', `${flag} ${item} has no name`, { hint: 'write NAME=value' });
      const value = at < 0 ? environment[name] : item.slice(at + 1);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** `[address:][host:]container[/protocol]`; host may be a range or absent. */
export function parsePublication(text: string): PortPublication {
  const match = /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?(?:(\d*(?:-\d+)?):)?(\d+)(?:\/(tcp|udp|sctp))?$/.exec(text);
  // `8080:80` must not be read as an address.
  const short = /^(\d+(?:-\d+)?):(\d+)(?:\/(tcp|udp|sctp))?$/.exec(text);
  if (short) return { containerPort: Number(short[2]), protocol: short[3] ?? 'tcp', hostPort: short[1] ?? '' };
  if (!match) {
    throw new TscError('cli/invalid', `--publish ${text} is not a port`, {
      hint: 'write 8080:80, 127.0.0.1:8080:80 or 80',
    });
  }
  const address = match[1] ?? match[2];
  return {
    containerPort: Number(match[4]),
    protocol: match[5] ?? 'tcp',
    ...(address && { hostAddress: address }),
    ...(match[3] && { hostPort: match[3] }),
  };
}

/** `source:target[:ro]`; a source with a slash or a leading dot is a host path, else a volume. */
export function parseVolume(text: string, resolve: (path: string) => string): MountSpec {
  const [source = '', target, options = ''] = text.split(':');
  if (target === undefined) return { type: 'volume', target: source };
  const readOnly = options.split(',').includes('ro') ? { readOnly: true } : {};
  if (!parse(target).root) throw new TscError('cli/invalid', `--volume ${text}: the target is not an absolute path`);
  if (/^[./~]/.test(source))
    return { type: 'bind', source: resolve(source), target, createHostPath: true, ...readOnly };
  return { type: 'volume', source, target, ...readOnly };
}
