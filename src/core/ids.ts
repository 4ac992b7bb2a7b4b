import { TscError } from './errors.ts';

declare const idBrand: unique symbol;
/** 64 lower-case hex digits; made only by {@link parseObjectId} or from random bytes by the host door. */
export type ObjectId = string & { readonly [idBrand]: true };
export type ContainerId = ObjectId;
export type NetworkId = ObjectId;
export type ExecId = ObjectId;

/** Checks a full object id. Throws `core/invalid`. */
export function parseObjectId(text: string): ObjectId {
  if (!/^[0-9a-f]{64}$/.test(text))
    throw new TscError('core/invalid', `invalid id ${JSON.stringify(text.slice(0, 80))}`);
  return text as ObjectId;
}

/** The 12 digits that tables and host names show. */
export function shortId(id: string): string {
  return id.replace(/^sha256:/, '').slice(0, 12);
}

/** Name rule of the Engine API for containers, networks and volumes. */
export const OBJECT_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
