import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { pathExists } from '../../src/host/index.ts';
import { RUNTIME } from '../kit/bundle.ts';
import { until } from '../kit/keeper.ts';

/**
 * A service manager in small: binds the API socket and a socket for notices, starts the keeper with descriptor 3 as
 * sd_listen_fds(3) says, and prints the notices. Its own end of input ends the keeper.
 */
const MANAGER = `
import os, select, signal, socket, subprocess, sys
directory, kind, program, mode = sys.argv[1:5]
place = os.open('/dev/null', os.O_RDONLY)  # keeps 3 free of what lives on
api = socket.socket(socket.AF_UNIX); api.bind(directory + '/api.sock'); api.listen(16); print('listening', flush=True)
if mode == 'bound': api = socket.socket(socket.AF_UNIX); api.bind(directory + '/other.sock')
notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
name = '\\0tsc-notify-%d' % os.getpid() if kind == 'abstract' else directory + '/notify.sock'
notices.bind(name)
os.dup2(api.fileno(), 3)
def be_the_service():
    os.environ['LISTEN_PID'] = str(os.getpid())
environment = {'PATH': '/bin', 'LISTEN_FDS': '2' if mode == 'two' else '1', 'NOTIFY_SOCKET': name.replace('\\0', '@')}
words = ['/bin/sh', '-c', 'LISTEN_PID=$$ exec "$@"', 'sh', program, 'keeper', '--run-dir', directory + '/run', '--instance', 'tscact',
  '--socket', directory + '/api.sock', '--foreground', '--', '/bin/sh', directory + '/daemon.sh']
child = subprocess.Popen(words, env=environment, pass_fds=(3,), stdin=subprocess.DEVNULL, stderr=sys.stdout)
while child.poll() is None:
    ready, _, _ = select.select([notices, sys.stdin], [], [], 0.05)
    if notices in ready: print('notice', notices.recv(4096).decode(), flush=True)
    if sys.stdin in ready and sys.stdin.readline() == '': child.send_signal(signal.SIGTERM); sys.stdin = open('/dev/zero'); break
status = child.wait()
notices.setblocking(False)
try: print('notice', notices.recv(4096).decode())
except BlockingIOError: pass
print('status', status, flush=True)
`;

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tsc-activate-'));
  // A daemon that answers everybody on descriptor 3 with one line.
  await writeFile(join(directory, 'manager.py'), MANAGER);
  const daemon = `const net = require('node:net'); process.on('SIGTERM', () => process.exit(0));
    new net.Socket({ fd: 4 }).on('end', () => process.exit(3)).resume();
    net.createServer((socket) => socket.end('served ' + Object.keys(process.env).sort())).listen({ fd: 3 });`;
  await writeFile(join(directory, 'daemon.cjs'), daemon);
  await writeFile(join(directory, 'daemon.sh'), `exec '${process.execPath}' '${directory}/daemon.cjs'\n`);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

function startManager(kind: 'path' | 'abstract', mode = 'listening') {
  const child = spawn('/usr/bin/python3', [join(directory, 'manager.py'), directory, kind, RUNTIME, mode]);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk));
  return { child, text: () => text, closed: once(child, 'close') };
}

async function greeting(): Promise<string> {
  const socket = connect(join(directory, 'api.sock'));
  let text = '';
  socket.on('data', (chunk) => (text += chunk));
  await once(socket, 'end');
  return text;
}

it.each(['path', 'abstract'] as const)(
  'serves a socket that a service manager passes, and tells it so (notices by %s)',
  async (kind) => {
    const manager = startManager(kind);
    // A connection from before the keeper lives waits and is served.
    await until('the socket', () => manager.text().startsWith('listening'));
    expect(await greeting()).toMatch(/^served LANG,PATH(,PWD)?$/);
    await until('the notice', () => manager.text().includes('notice READY=1'));
    manager.child.stdin.end();
    await manager.closed;
    expect(manager.text()).toMatch(/notice STOPPING=1\nstatus 0\n$/);
    // It is the manager's socket: it stays.
    expect(await pathExists(join(directory, 'api.sock'))).toBe(true);
    expect(await pathExists(join(directory, 'run/lock'))).toBe(false);
  },
);

it.each([
  ['two', /passes 2 sockets; the keeper serves one/],
  ['bound', /descriptor 3 of the socket unit is no listening unix socket/],
])('refuses %s sockets with the reason', async (mode, reason) => {
  const manager = startManager('path', mode);
  await manager.closed;
  expect(manager.text()).toMatch(reason);
  expect(manager.text()).toMatch(/status 1\n$/);
});
