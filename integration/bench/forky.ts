import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { runProgram } from '../../src/host/index.ts';
import { peersDirectory } from '../kit/peers.ts';

/** Runs a program and gives its output; throws with what it said when it fails. */
async function need(file: string, args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await runProgram(file, args);
  if (status !== 0) throw new Error(`${file} ${args.join(' ')}: ${stderr.trim().slice(-500)}`);
  return stdout;
}

/** Installs packages of this machine's own suite. */
export async function install(...packages: readonly string[]): Promise<void> {
  await need('/usr/bin/apt-get', [
    '-o',
    'DPkg::Lock::Timeout=300',
    'install',
    '-y',
    '--no-install-recommends',
    ...packages,
  ]);
}

/**
 * Unpacks packages of Debian's testing suite with the libraries they need, once, into a directory of that name; returns the root of
 * the tree. `program` (relative to it) is patched to use those libraries: not wrapped, since some execute themselves again.
 */
export async function unpackForky(name: string, packages: readonly string[], program: string): Promise<string> {
  const directory = join(peersDirectory(), name);
  const root = join(directory, 'root');
  if (existsSync(join(directory, 'patched'))) return root;
  mkdirSync(peersDirectory(), { recursive: true });
  await install('patchelf');
  const targets = await need('/usr/bin/apt-get', ['indextargets', '--format', '$(SITE)', 'Created-By: Packages']);
  const mirror = targets.split('\n').find((line) => /\/debian\/?$/.test(line));
  if (mirror === undefined) throw new Error('no Debian mirror among the sources of apt');
  const script = resolve(import.meta.dirname, '../kit/fetch-peer.sh');
  await need('/bin/sh', [script, peersDirectory(), 'forky', mirror, directory, ...packages]);
  const libraries = join(root, 'usr/lib/x86_64-linux-gnu');
  const loader = join(libraries, 'ld-linux-x86-64.so.2');
  const patch = ['--set-interpreter', loader, '--force-rpath', '--set-rpath', libraries];
  await need('/usr/bin/patchelf', [...patch, join(root, program)]);
  writeFileSync(join(directory, 'patched'), '');
  return root;
}
