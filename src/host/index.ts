/**
 * host: the door to effects – files, child processes, sockets, time, randomness. Refuses policy: it does what it is told
 * and reports errors, it never decides.
 */

export { createFileStream, fileSize, movePath, openFileStream } from './blob-files.ts';
export {
  cgroupHierarchies,
  cgroupProcesses,
  cgroupVersion,
  freezeCgroup,
  killCgroup,
  readCgroupFile,
  removeCgroup,
  writeCgroupFile,
} from './cgroups.ts';
export { type Clock, newObjectId, systemClock, timestamp } from './clock.ts';
export { directorySize } from './disk-usage.ts';
export {
  type ChangeWatch,
  type FileReader,
  fileIdentity,
  openGzipReader,
  openReader,
  watchDirectory,
} from './file-reader.ts';
export {
  type AtomicWriteOptions,
  isErrno,
  listDirectory,
  listEntries,
  makeDirectory,
  pathExists,
  readJsonIfExists,
  readTextIfExists,
  removeFile,
  removeTemporaries,
  removeTree,
  rewriteInPlace,
  syncDirectory,
  writeAtomically,
  writeNew,
} from './files.ts';
export { type DeviceInfo, deviceInfo, lstatIfExists, makeDirectoryLike } from './inspect-path.ts';
export {
  CLEAN_ENVIRONMENT,
  type ProcessIdentity,
  type RunOptions,
  type RunResult,
  runProgram,
  spawnProgram,
  startTimeOf,
} from './processes.ts';
export { readBytesIfExists } from './read-bytes.ts';
export { readTextWithin } from './read-within.ts';
export { type ConnectOptions, connectUnix } from './sockets.ts';
export { hashFile, hashTexts, listTree, resolveInside, type TreeEntryOnDisk } from './tree.ts';
export { describePath, readFileStream, type TreeEntry, walkTree } from './walk-tree.ts';
