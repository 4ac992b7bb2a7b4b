import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from '../kit/keeper.ts';
import type { Place } from '../network-reach/world.ts';

/** A real DNS server with a log of what it was asked. */
export class Dnsmasq {
  readonly #process: ChildProcess;
  readonly #log: string;

  private constructor(child: ChildProcess, log: string) {
    this.#process = child;
    this.#log = log;
  }

  /** Serves on port 53 of a place. `name` tells several of one directory from each other. */
  static async start(
    program: string,
    place: Place,
    options: { readonly directory: string; readonly name: string; readonly args: readonly string[] },
  ): Promise<Dnsmasq> {
    const log = join(options.directory, `${options.name}.log`);
    const own = ['--keep-in-foreground', '--conf-file=/dev/null', '--no-hosts', '--user=root', '--pid-file='];
    const args = [...own, '--log-queries', `--log-facility=${log}`, ...options.args];
    const child = spawn('/usr/bin/nsenter', [`--net=${place.path}`, program, ...args], { stdio: 'inherit' });
    const server = new Dnsmasq(child, log);
    await until(`dnsmasq ${options.name}`, async () => {
      if (child.exitCode !== null) throw new Error(`dnsmasq ${options.name} ended`);
      return (await server.log()).includes('started');
    });
    return server;
  }

  log(): Promise<string> {
    return readFile(this.#log, 'utf8').catch(() => '');
  }

  /** Names it was asked for, in order. */
  async asked(): Promise<readonly string[]> {
    return [...(await this.log()).matchAll(/query\[\w+\] (\S+) from/g)].map(([, name = '']) => name);
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }
}
