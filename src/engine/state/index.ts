/**
 * state: records on disk, one directory or file per object, replaced atomically; also locks by key inside the process.
 * Refuses to know what the records mean.
 */
export { createKeyedLock, type KeyedLock } from './keyed-lock.ts';
export { openRecordStore, type RecordStore } from './record-store.ts';
