import { join, resolve } from 'node:path';
import { busyboxRootfsBytes } from '../kit/images.ts';
import { type GuestFile, hostFile, hostPrograms, hostTree } from './initramfs.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const NODE = join(ROOT, `node_modules/node-linux-${process.arch}/bin/node`);

const FILES: readonly { readonly path: string; readonly content: string; readonly mode?: number }[] = [
  { path: '/etc/passwd', content: 'root:x:0:0:root:/root:/bin/sh\n' },
  { path: '/etc/group', content: 'root:x:0:\n' },
  { path: '/etc/hosts', content: '127.0.0.1 localhost\n' },
  // METHOD PATH [FILE]: one call of the API, its body on standard output.
  {
    path: '/stack/call.mjs',
    content: `import { request } from 'node:http';
import { createReadStream } from 'node:fs';
const [method, path, file] = process.argv.slice(2);
const body = file?.startsWith('{') ? file : undefined;
const headers = { Host: 'docker', 'Content-Type': body ? 'application/json' : 'application/x-tar' };
const call = request({ socketPath: '/run/tscompose/tscompose.sock', method, path, headers }, (answer) => {
  answer.pipe(process.stdout);
  process.exitCode = answer.statusCode < 400 ? 0 : 1;
});
if (file && !body) createReadStream(file).pipe(call);
else call.end(body);
`,
  },
];

/** Functions of the scenarios; `api METHOD PATH [FILE|JSON]` is one call of the engine's API. */
export const ENGINE_PRELUDE = `
cd /stack
export PATH=/app/src/launch:$PATH
api() { /app/src/launch/node /stack/call.mjs "$@"; }
has() { grep -q -F -e "$2" "$1" || { echo "$1 lacks: $2"; cat "$1"; return 1; }; }
fails() { if "$@"; then echo "succeeded: $*"; return 1; fi; }
lacks() { fails grep -q -F -e "$2" "$1"; }
same() { [ "$1" = "$2" ] || { echo "is: $1"; echo "not: $2"; return 1; }; }
group() { echo /sys/fs/cgroup/tscompose-tsc/$(cat /tmp/web-id); }
`;

/** What bridges, address translation and the firewall need. */
export const ENGINE_MODULES: readonly string[] = (
  'overlay loop veth bridge crc32c_generic nf_tables nft_chain_nat nft_nat nft_masq nft_redir nft_ct ' +
  'nft_fib_inet nft_reject_inet nft_limit nft_log nft_hash nft_numgen nft_socket nf_conntrack_netlink nft_fib_ipv4 nft_fib_ipv6 tun dummy'
).split(' ');

/** The package as it is shipped below `/app`, with what it runs, and the test image in `/stack`. */
export async function engineFiles(compose: string): Promise<GuestFile[]> {
  const native = join(ROOT, 'dist/native');
  const programs = await hostPrograms([NODE, '/usr/sbin/nft', join(native, 'tscompose-layer')]);
  const move = ({ path, ...rest }: GuestFile) => ({ ...rest, path: path.replace(ROOT, '/app') });
  return [
    ...programs.map(move),
    hostFile(join(native, 'tscompose-runtime'), '/app/dist/native/tscompose-runtime'),
    ...hostTree(join(ROOT, 'dist/chunks'), '/app/dist/chunks'),
    ...hostTree(join(ROOT, 'dist/compiled'), '/app/dist/compiled'),
    ...['tscompose.cjs', 'main.cjs'].map((file) => hostFile(join(ROOT, 'dist', file), `/app/dist/${file}`)),
    hostFile(join(ROOT, 'package.json'), '/app/package.json'),
    ...hostTree(join(ROOT, 'src/launch'), '/app/src/launch'),
    { path: '/stack/busybox.tar', content: await busyboxRootfsBytes() },
    { path: '/stack/compose.yaml', content: compose },
    ...FILES,
  ];
}
