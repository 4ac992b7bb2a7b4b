import { amount, type Codec, number, type Out, object, text } from '../codec.ts';
import type { FileGrant, Ulimit } from '../grants.ts';
import { readMode } from '../scalar-formats.ts';

/** Octal when written as text, the number itself otherwise (YAML has read `0440` as octal already). */
export const fileMode: Codec<number> = {
  read: (node) => {
    if (node?.kind !== 'scalar' || node.value === null) return undefined;
    return typeof node.value === 'number' ? node.value : readMode(node.text);
  },
  write: (value) => `0${value.toString(8)}`,
};

/** A mode that renders as a plain number. */
export const numericMode: Codec<number> = { read: fileMode.read, write: amount.write };

export const fileGrant: Codec<FileGrant> = object<FileGrant>({
  source: text,
  target: text,
  uid: text,
  gid: text,
  mode: fileMode,
});

const limits = object<{ readonly soft: number; readonly hard: number }>({ soft: number, hard: number });

export const ulimit: Codec<Ulimit> = {
  read: (node) => {
    if (node?.kind === 'map') {
      const read = limits.read(node);
      return read && { ...read, single: false };
    }
    const value = number.read(node);
    return value === undefined ? undefined : { soft: value, hard: value, single: true };
  },
  write: ({ single, ...rest }): Out | undefined => {
    if (!single) return limits.write(rest);
    return rest.soft === 0 ? new Map([...Object.entries(rest)]) : rest.soft;
  },
};
