import { join } from 'node:path';
import { unpackForky } from './forky.ts';

const PACKAGES = [
  ...['conmon', 'libglib2.0-0t64', 'libc6', 'libsystemd0', 'libseccomp2'],
  ...['libpcre2-8-0', 'libcap2', 'libffi8', 'zlib1g', 'libatomic1'],
];

/** Podman's monitor; returns the path of its program. */
export async function fetchConmon(): Promise<string> {
  return join(await unpackForky('conmon-forky', PACKAGES, 'usr/bin/conmon'), 'usr/bin/conmon');
}
