import type { SourceReader } from './source.ts';

/** A reader over texts in memory, for tests, editors and generated files. Paths are absolute, `-` is standard input. */
export function memoryReader(files: Readonly<Record<string, string | Uint8Array>>): SourceReader {
  const known = new Map(Object.entries(files));
  return { read: (path) => Promise.resolve(known.get(path)) };
}
