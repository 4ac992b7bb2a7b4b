import { createHash } from 'node:crypto';
import { connect, createServer, type Server } from 'node:net';
import { TscError } from '../core/index.ts';
import { isErrno } from '../host/index.ts';

/**
 * One command at a time changes a project. The lock is a socket in the abstract namespace: the kernel drops it with its
 * owner, so nothing stale is left, and who waits learns of the end by the connection's end. `onWait` gets the owner's process id.
 */
export async function lockProject(
  endpoint: string,
  project: string,
  onWait: (owner: string) => void,
): Promise<Disposable> {
  const key = createHash('sha256').update(`${endpoint}\n${project}`).digest('hex').slice(0, 32);
  const address = `\0tscompose-project-${key}`;
  for (let attempt = 0; attempt < 1000; attempt += 1) {
    const server = await tryListen(address);
    if (server) return { [Symbol.dispose]: () => void server.close() };
    await ownerGone(address, attempt === 0 ? onWait : () => undefined);
  }
  throw new TscError('stack/unavailable', `project ${project} is always locked by another command`);
}

function tryListen(address: string): Promise<Server | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<Server | undefined>();
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.unref();
    socket.write(String(process.pid));
  });
  server.on('error', (error) => {
    if (isErrno(error, 'EADDRINUSE')) resolve(undefined);
    else reject(new TscError('stack/failed', 'cannot take the project lock', { cause: error }));
  });
  server.listen(address, () => resolve(server));
  server.unref();
  return promise;
}

/** Resolves when the owner lets go; a connection it keeps open ends with it. */
function ownerGone(address: string, onOwner: (owner: string) => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = connect(address);
  socket.on('data', (data) => onOwner(data.toString('latin1')));
  socket.on('error', () => resolve());
  socket.on('close', () => resolve());
  return promise;
}
