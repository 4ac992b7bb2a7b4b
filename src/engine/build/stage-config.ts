import { posix } from 'node:path';
import { parseDuration, TscError } from '../../core/index.ts';
import {
  type Command,
  dockerfileError,
  type HealthcheckInstruction,
  type Instruction,
  placeOf,
} from '../../dockerfile/index.ts';
import type { HealthcheckConfig, ImageRunConfig } from '../images/index.ts';

const DEFAULT_SHELL = ['/bin/sh', '-c'];

/** The arguments that a command in either form runs with. */
export function commandArgs(command: Command, config: ImageRunConfig): readonly string[] {
  return command.form === 'exec' ? command.args : [...(config.shell ?? DEFAULT_SHELL), command.text];
}

/** Value of a variable in an environment list. */
export function environmentValue(env: readonly string[], name: string): string | undefined {
  const found = env.findLast((entry) => entry.startsWith(`${name}=`));
  return found?.slice(name.length + 1);
}

/**
 * The configuration after an instruction that only changes metadata; undefined for those that touch files (RUN, COPY,
 * ADD, WORKDIR) or only the build (ARG). Pure. `expand` resolves variables in one word.
 */
export function applyToConfig(
  instruction: Instruction,
  config: ImageRunConfig,
  expand: (word: string) => string,
): ImageRunConfig | undefined {
  switch (instruction.kind) {
    case 'env':
      return {
        ...config,
        env: instruction.pairs.reduce(
          (env, pair) => setVariable(env, expand(pair.key), expand(pair.value)),
          config.env,
        ),
      };
    case 'label':
      return {
        ...config,
        labels: new Map([
          ...config.labels,
          ...instruction.pairs.map((pair) => [expand(pair.key), expand(pair.value)] as const),
        ]),
      };
    case 'cmd':
      return { ...config, cmd: commandArgs(instruction.command, config) };
    case 'entrypoint':
      // As the reference says: an ENTRYPOINT resets a CMD that came from the base image or stands before it.
      return { ...config, entrypoint: commandArgs(instruction.command, config), cmd: undefined };
    case 'user':
      return { ...config, user: expand(instruction.value) };
    case 'stopsignal':
      return { ...config, stopSignal: expand(instruction.value) };
    case 'expose':
      return {
        ...config,
        exposedPorts: union(
          config.exposedPorts,
          instruction.values.flatMap((value) => parseExposed(expand(value), instruction)),
        ),
      };
    case 'volume':
      return {
        ...config,
        volumes: union(
          config.volumes,
          instruction.values.map((value) => volumePath(expand(value), instruction)),
        ),
      };
    case 'shell':
      return { ...config, shell: instruction.args };
    case 'healthcheck':
      return { ...config, healthcheck: healthcheckConfig(instruction, instruction, config) };
    case 'onbuild':
      return { ...config, onBuild: [...config.onBuild, instruction.trigger] };
    case 'maintainer':
      return config;
    case 'run':
    case 'copy':
    case 'add':
    case 'workdir':
    case 'arg':
      return undefined;
    default:
      return instruction satisfies never;
  }
}

function setVariable(env: readonly string[], key: string, value: string): string[] {
  const entry = `${key}=${value}`;
  const index = env.findIndex((item) => item.startsWith(`${key}=`));
  return index < 0 ? [...env, entry] : env.with(index, entry);
}

function union(before: readonly string[], added: readonly string[]): string[] {
  return [...new Set([...before, ...added])].sort();
}

/** `80`, `80/udp` or `8000-8010/tcp` as one entry a port. */
function parseExposed(text: string, instruction: Instruction): string[] {
  return text
    .split(/\s+/)
    .filter(Boolean)
    .flatMap((word) => {
      const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(word);
      const first = Number(match?.[1]);
      const last = Number(match?.[2] ?? match?.[1]);
      if (!match || first < 1 || last > 65_535 || last < first) {
        throw dockerfileError(
          instruction.at,
          `invalid port ${JSON.stringify(word)}`,
          'write a port from 1 to 65535, a range, and optionally /tcp or /udp',
        );
      }
      const protocol = (match[3] ?? 'tcp').toLowerCase();
      return Array.from({ length: last - first + 1 }, (_, offset) => `${first + offset}/${protocol}`);
    });
}

function volumePath(path: string, instruction: Instruction): string {
  if (path.trim() === '') throw dockerfileError(instruction.at, 'VOLUME needs a path');
  return posix.resolve('/', path);
}

/** A working directory relative to the one before. */
export function resolveWorkdir(before: string, path: string): string {
  return posix.resolve(before || '/', path);
}

function healthcheckConfig(
  body: HealthcheckInstruction,
  instruction: Instruction,
  config: ImageRunConfig,
): HealthcheckConfig {
  const nanoseconds = (text: string | undefined, flag: string) => {
    try {
      return text === undefined ? 0 : parseDuration(text);
    } catch (cause) {
      throw new TscError('dockerfile/invalid', `${placeOf(instruction.at)}: --${flag}`, { cause });
    }
  };
  const { command } = body;
  return {
    test:
      command === undefined
        ? ['NONE']
        : command.form === 'exec'
          ? ['CMD', ...command.args]
          : shellTest(command.text, config),
    interval: nanoseconds(body.interval, 'interval'),
    timeout: nanoseconds(body.timeout, 'timeout'),
    startPeriod: nanoseconds(body.startPeriod, 'start-period'),
    startInterval: nanoseconds(body.startInterval, 'start-interval'),
    retries: body.retries ?? 0,
  };
}

function shellTest(text: string, config: ImageRunConfig): string[] {
  return config.shell === undefined ? ['CMD-SHELL', text] : ['CMD', ...config.shell, text];
}
