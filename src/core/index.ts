/**
 * core: words that every room shares – errors, diagnostics, ids, references, units, ordering. Pure and without
 * dependencies; refuses everything that touches the machine or knows a container.
 */
export { allDone } from './all-done.ts';
export { formatByteSize, parseByteSize } from './byte-size.ts';
export { type Diagnostic, DiagnosticCollector, formatDiagnostic, type Position, type Severity } from './diagnostics.ts';
export { type Digest, digestHex, isDigest, parseDigest } from './digest.ts';
export { formatDuration, parseDuration } from './duration.ts';
export { EGRESS_EXAMPLES, type EgressEntry, parseEgressEntry } from './egress-entry.ts';
export {
  describeError,
  type ErrorCode,
  type ErrorKind,
  isKind,
  KINDS,
  ROOMS,
  type Room,
  TscError,
  unreachable,
} from './errors.ts';
export { sortTopologically } from './graph.ts';
export {
  type ContainerId,
  type ExecId,
  type NetworkId,
  OBJECT_NAME,
  type ObjectId,
  parseObjectId,
  shortId,
} from './ids.ts';
export { familiarImageRef, formatImageRef, type ImageRef, parseImageRef, withDefaultTag } from './image-ref.ts';
export { UndoList } from './undo-list.ts';
