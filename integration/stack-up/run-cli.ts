import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { runProgram, spawnProgram } from '../../src/host/index.ts';

const COMMAND = resolve(import.meta.dirname, '../../src/launch/tscompose');

export interface CliResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder with a compose file, and the real command run in it against one engine. */
export interface CliProject extends Disposable {
  readonly folder: string;
  readonly name: string;
  write(path: string, text: string): void;
  run(args: readonly string[], input?: string): Promise<CliResult>;
  start(args: readonly string[]): ReturnType<typeof spawnProgram>;
}

export function cliProject(host: string, files: Readonly<Record<string, string>>): CliProject {
  const folder = mkdtempSync('/tmp/tsc-cli-');
  const name = folder.slice('/tmp/'.length).toLowerCase();
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  for (const [path, text] of Object.entries(files)) write(path, text);
  const environment = { PATH: process.env['PATH'] ?? '', HOME: folder, DOCKER_HOST: host, COMPOSE_PROJECT_NAME: name };
  return {
    folder,
    name,
    write,
    run: async (args, input) => {
      const { status, stdout, stderr } = await runProgram(COMMAND, args, {
        cwd: folder,
        environment,
        ...(input !== undefined && { input }),
      });
      return { status, stdout, stderr };
    },
    start: (args) => spawnProgram(COMMAND, args, { cwd: folder, env: environment, stdio: ['ignore', 'pipe', 'pipe'] }),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}
