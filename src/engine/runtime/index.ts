/**
 * runtime: the engine's side of the native half – what config.json says, the policy for system calls, the links to keeper and
 * monitors. Refuses to know containers as users see them, and to touch the kernel itself.
 */
export { apparmorProfileText, DEFAULT_APPARMOR_PROFILE } from './apparmor-profile.ts';
export {
  ALL_CAPABILITIES,
  type CapabilityRequest,
  capabilitiesOfMask,
  chooseCapabilities,
} from './capabilities.ts';
export { defaultSeccompProfile, type SeccompProfile, type SeccompRule } from './default-seccomp.ts';
export { type ExitRecord, parseExitRecord, readExitRecord } from './exit-record.ts';
export { encodeFrame, encodeFrameHeader, FRAME, type Frame, FrameDecoder, type FrameType } from './frame-codec.ts';
export {
  type ChildExit,
  type KeeperHoldings,
  KeeperLink,
  type KeeperPortHold,
  type KeeperRun,
  type KeeperRunResult,
  type SpawnedChild,
} from './keeper-link.ts';
export {
  connectMonitor,
  identityIn,
  type MonitorAttach,
  MonitorLink,
  type MonitorState,
  type OutputFrame,
} from './monitor-link.ts';
export {
  buildOciConfig,
  DEFAULT_MASKED_PATHS,
  DEFAULT_READONLY_PATHS,
  type DeviceNode,
  type DeviceRule,
  type NamespaceChoice,
  type OciConfig,
  type OciConfigInput,
  type OciLimits,
  type OciMount,
} from './oci-config.ts';
export { buildProcess, type OciProcess, type ProcessInput, type ProcessUser, type Rlimit } from './process-spec.ts';
export { resolveSeccompFile, type SeccompFacts } from './seccomp-file.ts';
