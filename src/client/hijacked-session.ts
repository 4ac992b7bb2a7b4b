import type { Duplex } from 'node:stream';
import { demultiplex } from './demultiplex.ts';
import type { StreamSession } from './engine-client.ts';

/** A session over a connection that the engine has turned into a byte stream. */
export function openSession(connection: Duplex, tty: boolean): StreamSession {
  // A peer that goes away ends the output; a write after that must not end the program.
  connection.on('error', () => undefined);
  return {
    output: demultiplex(connection, tty),
    write: (data) => {
      if (connection.destroyed || connection.writableEnded) return Promise.resolve();
      const { promise, resolve } = Promise.withResolvers<void>();
      connection.write(data, () => resolve());
      return promise;
    },
    end: () => {
      if (!connection.writableEnded) connection.end();
    },
    close: () => void connection.destroy(),
  };
}
