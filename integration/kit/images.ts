import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type ArchiveWriter, writeArchive } from '../../src/archive/index.ts';

const BUSYBOX = '/bin/busybox';

const FILES: readonly { readonly name: string; readonly content: string; readonly mode?: number }[] = [
  {
    name: 'etc/passwd',
    content:
      'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\napp:x:1000:1000:app:/home/app:/bin/sh\n',
  },
  { name: 'etc/group', content: 'root:x:0:\ntty:x:5:\nnogroup:x:65534:\napp:x:1000:app\nextra:x:1001:app\n' },
  { name: 'etc/shadow', content: 'root:*:19000:0:99999:7:::\n', mode: 0o600 },
  { name: 'etc/hosts', content: '127.0.0.1 localhost\n' },
  { name: 'etc/nsswitch.conf', content: 'hosts: files dns\n' },
  { name: 'etc/busybox-release', content: 'tscompose test image\n' },
];

const DIRECTORIES: readonly { readonly name: string; readonly mode?: number; readonly uid?: number }[] = [
  { name: 'bin' },
  { name: 'dev' },
  { name: 'etc' },
  { name: 'home' },
  { name: 'home/app', uid: 1000 },
  { name: 'proc' },
  { name: 'root', mode: 0o700 },
  { name: 'sys' },
  { name: 'tmp', mode: 0o1777 },
  { name: 'usr' },
  { name: 'usr/bin' },
  { name: 'var' },
  { name: 'var/www' },
];

async function writeBusybox(writer: ArchiveWriter): Promise<void> {
  for (const { name, mode = 0o755, uid = 0 } of DIRECTORIES)
    await writer.add({ name: `${name}/`, type: 'directory', mode, uid, gid: uid });
  await writer.add({ name: 'bin/busybox', mode: 0o755 }, readFileSync(BUSYBOX));
  const applets = execFileSync(BUSYBOX, ['--list'], { encoding: 'utf8' }).split('\n');
  for (const applet of applets.filter((name) => name !== '' && name !== 'busybox').sort())
    await writer.add({ name: `bin/${applet}`, type: 'symlink', mode: 0o777, linkName: 'busybox' });
  await writer.add({ name: 'usr/bin/env', type: 'symlink', mode: 0o777, linkName: '../../bin/busybox' });
  for (const { name, content, mode = 0o644 } of FILES) await writer.add({ name, mode }, content);
}

/**
 * Root file system of the test image as a tar stream, the same bytes every time: busybox with a link per applet,
 * users root and app (1000), /tmp, the mount points.
 */
export function busyboxRootfsTar(): Readable {
  return writeArchive(writeBusybox);
}

/** The same as one buffer. */
export function busyboxRootfsBytes(): Promise<Buffer> {
  return buffer(busyboxRootfsTar());
}
