import { spawnProgram } from '../../src/host/index.ts';

export interface TerminalSession {
  /** Types text. */
  type(text: string): void;
  /** Everything shown so far. */
  shown(): string;
  /** Resolves when the screen matches; rejects with what it shows after the deadline. */
  waitFor(pattern: RegExp, deadlineMs?: number): Promise<void>;
  /** Gives the terminal another size, as a window manager would; the same size again tells a program that was not listening yet. */
  resize(rows: number, columns: number): void;
  /** Exit status of the program. */
  readonly ended: Promise<number | null>;
}

/** A pseudo terminal with a given size around a command; sizes are set from a side channel (`rows columns` lines on fd 3). */
const PTY = `
import fcntl, os, pty, select, signal, struct, sys, termios
rows, columns, argv = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
def size(fd, r, c): fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', r, c, 0, 0))
pid, master = pty.fork()
if pid == 0:
    size(0, rows, columns)
    os.execvp(argv[0], argv)
control = os.fdopen(3, 'r')
sources = [0, 3, master]
while True:
    ready, _, _ = select.select(sources, [], [])
    if master in ready:
        try: data = os.read(master, 65536)
        except OSError: data = b''
        if not data: break
        os.write(1, data)
    if 0 in ready:
        data = os.read(0, 65536)
        if data: os.write(master, data)
        else: sources.remove(0)
    if 3 in ready:
        line = control.readline()
        if line:
            size(master, *map(int, line.split()))
            os.kill(pid, signal.SIGWINCH)
        else: sources.remove(3)
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status) & 255)
`;

/** Runs a command on a pseudo terminal. */
export function openTerminal(
  command: readonly string[],
  options: {
    readonly environment: Readonly<Record<string, string>>;
    readonly rows?: number;
    readonly columns?: number;
    readonly cwd?: string;
  },
): TerminalSession {
  const { rows = 24, columns = 80 } = options;
  const child = spawnProgram('/usr/bin/python3', ['-c', PTY, String(rows), String(columns), ...command], {
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C.UTF-8', TERM: 'xterm', ...options.environment },
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    ...(options.cwd !== undefined && { cwd: options.cwd }),
  });
  let screen = '';
  const listeners = new Set<() => void>();
  const show = (chunk: Buffer) => {
    screen += chunk.toString('utf8');
    for (const listener of listeners) listener();
  };
  child.stdout?.on('data', show);
  child.stderr?.on('data', show);
  const { promise: ended, resolve } = Promise.withResolvers<number | null>();
  child.on('close', (status) => {
    resolve(status);
    for (const listener of listeners) listener();
  });
  const control = child.stdio[3] as NodeJS.WritableStream;
  return {
    type: (text) => void child.stdin?.write(text),
    shown: () => screen,
    async waitFor(pattern, deadlineMs = 20_000) {
      const { promise, resolve: found, reject } = Promise.withResolvers<void>();
      const check = () => {
        if (pattern.test(screen)) found();
        else if (child.exitCode !== null) reject(new Error(`ended without ${pattern}; the screen shows:\n${screen}`));
      };
      const timer = setTimeout(() => reject(new Error(`no ${pattern}; the screen shows:\n${screen}`)), deadlineMs);
      listeners.add(check);
      check();
      try {
        await promise;
      } finally {
        clearTimeout(timer);
        listeners.delete(check);
      }
    },
    resize: (newRows, newColumns) => void control.write(`${newRows} ${newColumns}\n`),
    ended,
  };
}
