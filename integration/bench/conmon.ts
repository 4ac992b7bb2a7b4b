import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { runProgram } from '../../src/host/index.ts';
import { peersDirectory } from '../kit/peers.ts';

/** Debian's testing suite has a current one; it needs that suite's libraries, which are unpacked beside it. */
const PACKAGES = [
  ...['conmon', 'libglib2.0-0t64', 'libc6', 'libsystemd0', 'libseccomp2'],
  ...['libpcre2-8-0', 'libcap2', 'libffi8', 'zlib1g', 'libatomic1'],
];

async function need(file: string, args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await runProgram(file, args);
  if (status !== 0) throw new Error(`${file} ${args.join(' ')}: ${stderr.trim().slice(-500)}`);
  return stdout;
}

/** Unpacks podman's monitor, once; returns the path of its program. */
export async function fetchConmon(): Promise<string> {
  const directory = join(peersDirectory(), 'conmon-forky');
  const program = join(directory, 'root/usr/bin/conmon');
  if (existsSync(join(directory, 'patched'))) return program;
  mkdirSync(peersDirectory(), { recursive: true });
  await need('/usr/bin/apt-get', ['install', '-y', '--no-install-recommends', 'patchelf']);
  const targets = await need('/usr/bin/apt-get', ['indextargets', '--format', '$(SITE)', 'Created-By: Packages']);
  const mirror = targets.split('\n').find((line) => /\/debian\/?$/.test(line));
  if (mirror === undefined) throw new Error('no Debian mirror among the sources of apt');
  const script = resolve(import.meta.dirname, '../kit/fetch-peer.sh');
  await need('/bin/sh', [script, peersDirectory(), 'forky', mirror, directory, ...PACKAGES]);
  const libraries = join(directory, 'root/usr/lib/x86_64-linux-gnu');
  const loader = join(libraries, 'ld-linux-x86-64.so.2');
  await need('/usr/bin/patchelf', ['--set-interpreter', loader, '--force-rpath', '--set-rpath', libraries, program]);
  writeFileSync(join(directory, 'patched'), '');
  return program;
}
