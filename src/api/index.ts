/**
 * api: the wire contract of the Engine API (1.24 to 1.51) – shapes per resource and the codecs of its small formats.
 * Pure; refuses sockets, and knows neither the engine's nor the stack's words for things.
 */
export {
  type AttachFrame,
  AttachFrameDecoder,
  type FrameStream,
  formatAttachFrame,
  formatAttachHeader,
  MAX_FRAME,
} from './attach-frame-codec.ts';
export type * from './container.ts';
export type * from './event.ts';
export type * from './exec.ts';
export { checkFilters, type Filters, formatFilters, hasLabel, matchesLabels, parseFilters } from './filter-codec.ts';
export { isSet, KNOWN_HOST_FIELDS, UNSUPPORTED_HOST_FIELDS, type UnsupportedField } from './host-config-limits.ts';
export type * from './image.ts';
export type * from './network.ts';
export {
  formatProgressError,
  formatProgressLine,
  JsonLinesDecoder,
  type ProgressLine,
  parseProgressLine,
} from './progress-codec.ts';
export type * from './system.ts';
export {
  compareApiVersions,
  MIN_API_VERSION,
  NEWEST_API_VERSION,
  splitApiVersion,
  type VersionedPath,
} from './version.ts';
export type * from './volume.ts';
