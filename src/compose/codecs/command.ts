import { type Codec, list, text } from '../codec.ts';
import { splitCommandLine } from '../shell-words.ts';

/** An argument vector; a string is split into words as a shell would, without running anything. */
export const command: Codec<readonly string[] | null> = {
  read: (node) => {
    if (node === undefined || (node.kind === 'scalar' && node.value === null)) return null;
    if (node.kind === 'scalar') return splitCommandLine(node.text)?.words ?? [node.text];
    return list(text).read(node) ?? null;
  },
  write: (value) => (value === null ? { jsonOnly: null } : [...value]),
};
