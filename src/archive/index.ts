/**
 * archive: tar streams in memory, compression by its first bytes, and .dockerignore rules. Pure streams: refuses to
 * read or write a disk, and to interpret entry names as paths.
 */
export { type Compression, decompressArchive, detectCompression } from './compression.ts';
export { compileIgnorePatterns, type IgnoreMatcher, parseIgnoreFile } from './ignore-patterns.ts';
export {
  type ArchiveEntry,
  type ArchiveEntryType,
  type ArchiveLimits,
  readArchive,
  readEntryBytes,
} from './read-archive.ts';
export { type ArchiveHeader, type ArchiveWriter, writeArchive } from './write-archive.ts';
