import { TscError } from '../../core/index.ts';
import type { NetworkRecord, NetworkSpec } from './network.ts';
import { formatAddress, parseAddress } from './subnet.ts';

export const DEFAULT_MTU = 1500;

/** What the driver options of a bridge network decide; others are refused. */
export interface BridgeOptions
  extends Pick<
    NetworkRecord,
    | 'mtu'
    | 'masquerade'
    | 'sources'
    | 'apart'
    | 'sourceCheck'
    | 'hostBinding'
    | 'interfacePrefix'
    | 'withoutGateway'
    | 'gatewayElsewhere'
    | 'trusted'
    | 'unprotected'
    | 'routed'
  > {
  readonly bridge?: string;
}

export function unsupported(what: string, hint?: string): TscError {
  return new TscError('network/unsupported', what, hint ? { hint } : {});
}

function invalid(message: string): TscError {
  return new TscError('network/invalid', message);
}

function readBoolean(key: string, value: string): boolean {
  if (/^(1|t|true)$/i.test(value)) return true;
  if (/^(0|f|false)$/i.test(value)) return false;
  throw invalid(`network option ${key}=${value} is not a boolean`);
}

/** Throws network/invalid. */
export function readMtu(key: string, value: string): number {
  const mtu = Number(value);
  if (!Number.isInteger(mtu) || mtu < 68 || mtu > 65535)
    throw invalid(`network option ${key}=${value} is not from 68 to 65535`);
  return mtu;
}

type OptionReader = (options: BridgeOptions, value: string, key: string, spec: NetworkSpec) => BridgeOptions;

const gatewayMode =
  (family: 4 | 6): OptionReader =>
  (options, value, key, spec) => {
    if (value === 'nat' || value === '') return options;
    if (value === 'nat-unprotected') return { ...options, unprotected: [...(options.unprotected ?? []), family] };
    if (value === 'routed') return { ...options, routed: [...(options.routed ?? []), family] };
    if (value !== 'isolated')
      throw invalid(`network option ${key}=${value} is not one of nat, nat-unprotected, routed, isolated`);
    if (!spec.internal) throw invalid(`network option ${key}=isolated needs an internal network`);
    return { ...options, withoutGateway: [...new Set([...(options.withoutGateway ?? []), family])] };
  };

/** An option that may be given with the one value that our bridges have anyway. */
const only =
  (wanted: boolean, otherwise: string, hint?: string): OptionReader =>
  (options, value, key) => {
    if (readBoolean(key, value) !== wanted) throw unsupported(otherwise, hint);
    return options;
  };

/** The address of the host that containers go out under. */
const source =
  (family: 4 | 6): OptionReader =>
  (options, value, key) => {
    const address = parseAddress(value);
    if (address?.family !== family) throw invalid(`network option ${key}=${value} is not an IPv${family} address`);
    return { ...options, sources: [...(options.sources ?? []), formatAddress(address)] };
  };

/** Read before all others, see withFamilies. */
const family: OptionReader = (options, value, key) => {
  readBoolean(key, value);
  return options;
};

const ENABLE = { 4: 'com.docker.network.enable_ipv4', 6: 'com.docker.network.enable_ipv6' } as const;

/** Which families a network has may be said by option, too; what is said elsewhere wins. */
export function withFamilies(spec: NetworkSpec): NetworkSpec {
  const said = (which: 4 | 6) => {
    const value = spec.options?.[ENABLE[which]];
    return value === undefined ? undefined : readBoolean(ENABLE[which], value);
  };
  const four = spec.enableIpv4 ?? said(4);
  const six = spec.enableIpv6 ?? said(6);
  return {
    ...spec,
    ...(four !== undefined && { enableIpv4: four }),
    ...(six !== undefined && { enableIpv6: six }),
  };
}

const READERS: Readonly<Record<string, OptionReader>> = {
  'com.docker.network.driver.mtu': (options, value, key) => ({ ...options, mtu: readMtu(key, value) }),
  'com.docker.network.bridge.name': (options, value) => {
    // The host end of every link is named `<instance>v…`: a bridge must not look like one.
    if (!/^[a-zA-Z][a-zA-Z0-9_.-]{0,14}$/.test(value))
      throw invalid(`bridge name ${JSON.stringify(value)} is not an interface name`);
    return { ...options, bridge: value };
  },
  'com.docker.network.bridge.enable_ip_masquerade': (options, value, key) => ({
    ...options,
    masquerade: readBoolean(key, value),
  }),
  'com.docker.network.bridge.enable_icc': (options, value, key) =>
    readBoolean(key, value) ? options : { ...options, apart: true },
  'dev.tscompose.bridge.source_check': (options, value, key) =>
    readBoolean(key, value) ? { ...options, sourceCheck: true } : options,
  'com.docker.network.bridge.host_binding_ipv4': (options, value, key) => {
    if (parseAddress(value)?.family !== 4) throw invalid(`network option ${key}=${value} is not an IPv4 address`);
    return value === '0.0.0.0' ? options : { ...options, hostBinding: value };
  },
  [ENABLE[4]]: family,
  [ENABLE[6]]: family,
  'com.docker.network.host_ipv4': source(4),
  'com.docker.network.host_ipv6': source(6),
  'com.docker.network.container_iface_prefix': (options, value, key) => {
    // A number follows, and the kernel takes 15 characters.
    if (!/^[a-zA-Z][a-zA-Z0-9_-]{0,11}$/.test(value) || value === 'lo')
      throw invalid(`network option ${key}=${value} is not the beginning of an interface name`);
    return { ...options, interfacePrefix: value };
  },
  'com.docker.network.bridge.gateway_mode_ipv4': gatewayMode(4),
  'com.docker.network.bridge.gateway_mode_ipv6': gatewayMode(6),
  'com.docker.network.bridge.default_bridge': only(
    false,
    'network option com.docker.network.bridge.default_bridge: the default bridge belongs to network bridge, a second network on it would take its address away',
    'leave the option out, and name the bridge with com.docker.network.bridge.name',
  ),
  'com.docker.network.bridge.inhibit_ipv4': (options, value, key, spec) =>
    readBoolean(key, value)
      ? {
          ...options,
          withoutGateway: [...new Set([...(options.withoutGateway ?? []), 4 as const])],
          ...(!spec.internal && { gatewayElsewhere: true }),
        }
      : options,
  'com.docker.network.bridge.trusted_host_interfaces': (options, value, key) => {
    const names = [...new Set(value.split(':').filter((name) => name !== ''))];
    const wrong = names.find((name) => !/^[a-zA-Z0-9_.@-]{1,15}$/.test(name) || ['.', '..', 'lo'].includes(name));
    if (wrong !== undefined)
      throw invalid(
        `network option ${key}: ${JSON.stringify(wrong)} is not an interface of the host (example: eth0:wg0)`,
      );
    return names.length > 0 ? { ...options, trusted: names } : options;
  },
};

/** Throws network/unsupported, network/invalid. */
export function readBridgeOptions(spec: NetworkSpec): BridgeOptions {
  let options: BridgeOptions = { mtu: DEFAULT_MTU, masquerade: true };
  for (const [key, value] of Object.entries(spec.options ?? {})) {
    const read = READERS[key];
    if (!read) throw unsupported(`network option ${key} is not supported`);
    options = read(options, value, key, spec);
  }
  if (spec.enableIpv6 && options.mtu < 1280)
    throw invalid(`network ${spec.name}: IPv6 needs an MTU of 1280 at least, not ${options.mtu}`);
  return options;
}
