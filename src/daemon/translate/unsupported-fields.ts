import { isSet, KNOWN_HOST_FIELDS, UNSUPPORTED_HOST_FIELDS } from '../../api/index.ts';
import { TscError } from '../../core/index.ts';
import type { WireObject } from '../wire-object.ts';

const KNOWN = new Set(KNOWN_HOST_FIELDS.map((name) => name.toLowerCase()));
const UNSUPPORTED = new Map(UNSUPPORTED_HOST_FIELDS.map((field) => [field.name.toLowerCase(), field]));

/** Refuses every field of a HostConfig (or of update) that asks for something we do not offer, naming it. */
export function refuseUnsupportedHostFields(host: WireObject): void {
  for (const [name, value] of host.entries()) {
    const field = UNSUPPORTED.get(name.toLowerCase());
    if (KNOWN.has(name.toLowerCase()) || !isSet(value) || field?.harmless?.includes(value)) continue;
    if (field) throw new TscError('daemon/unsupported', `HostConfig.${field.name} is not supported: ${field.why}`);
    throw new TscError('daemon/invalid', `HostConfig.${name.slice(0, 80)} is not a known field`);
  }
}

/** Refuses the named fields of an object when they ask for something. */
export function refuseFields(object: WireObject, names: readonly string[], why: string): void {
  const name = names.find((item) => isSet(object.get(item)));
  if (name !== undefined) throw new TscError('daemon/unsupported', `${object.at}.${name} is not supported: ${why}`);
}

/** Refuses parameters of a query that are present with a value that asks for something. */
export function refuseParameters(query: URLSearchParams, names: Readonly<Record<string, string>>): void {
  for (const [name, why] of Object.entries(names)) {
    const value = query.get(name) ?? '';
    if (!['', '0', 'false', '[]', '{}', 'null'].includes(value)) {
      throw new TscError('daemon/unsupported', `parameter ${name} is not supported: ${why}`);
    }
  }
}
