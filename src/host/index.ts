/**
 * host: the door to effects – files, child processes, sockets, time, randomness. Refuses policy: it does what it is told
 * and reports errors, it never decides.
 */
export { type Clock, newObjectId, systemClock, timestamp } from './clock.ts';
export { directorySize } from './disk-usage.ts';
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
  removeTree,
  syncDirectory,
  writeAtomically,
} from './files.ts';
export { CLEAN_ENVIRONMENT, type RunOptions, type RunResult, runProgram, spawnProgram } from './processes.ts';
export { readTextWithin } from './read-within.ts';
export { hashFile, hashTexts, listTree, resolveInside, type TreeEntryOnDisk } from './tree.ts';
export { describePath, readFileStream, type TreeEntry, walkTree } from './walk-tree.ts';
